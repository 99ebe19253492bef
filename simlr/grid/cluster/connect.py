"""Connecting to a Dask cluster, or starting one on this machine (the extra `cluster`). The only user of Dask."""

import contextlib
import json
import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ...errors import InputError, show
from ...inputs import toml
from ...inputs.files import size_of
from ...platform import HERE
from ..job import Job
from .client import error_text
from .pool import Pool

LOCAL = "local"
INSTALL = 'pip install "simlr[cluster]"'
CONNECT_SECONDS = 5
CLOSE_SECONDS = 3
# How long a scheduler file may be empty or half written, and how often it is read.
FILE_SECONDS, POLL_SECONDS = 30, 0.05
NOISY = ("distributed", "distributed.client", "distributed.gc", "tornado", "tornado.application", "bokeh", "asyncio")
# That versions differ is found out by comparing them, large data in a task are meant, and a slow disk is none of ours.
SLOW = "Creating scratch directories"
# What a file of --dask-security has, and what Dask calls it.
CERTIFICATES = {"ca": "tls_ca_file", "cert": "tls_client_cert", "key": "tls_client_key"}
UNWANTED = (r"\s*Mismatched versions", r"\s*Sending large graph", SLOW)


@contextlib.contextmanager
def connected(
    address: str,
    job: Job,
    threads: int | None,
    tell: Callable[[str], None],
    warn: Callable[[str], None] | None = None,
    security: str | None = None,
) -> Iterator[Pool]:
    """The `Pool` of a cluster, for the duration.

    Parameters
    ----------
    address : str
        A scheduler's address, or the name of its scheduler file; "local" starts a cluster on this machine.
    job : Job
        What is to be computed.
    threads : int or None
        Threads of every worker; None: as many as Dask has started it with, and 1 of a local one.
    tell : callable
        `tell(text)` gets what there is to say.
    warn : callable, optional
        The same of what is said in any case: that the run waits for workers. `tell` by default.
    security : str, optional
        The name of a TOML file with the names of the certificates that TLS takes: `security_of`.

    Raises
    ------
    InputError
        Where there is no Dask, or no scheduler answers.
    """
    silence_dask()
    from distributed import Client

    if security is not None and address == LOCAL:
        raise InputError("--dask-security goes with the address of a scheduler; local workers are this machine's")
    settings = {} if security is None else {"security": security_of(security)}
    if address.endswith(".json") and not os.path.isfile(address):
        raise InputError(f"--dask: the scheduler file {address} is not there")
    with contextlib.ExitStack() as held:
        held.enter_context(warnings.catch_warnings())
        for text in UNWANTED:
            warnings.filterwarnings("ignore", message=text)
        is_local = address == LOCAL
        cluster = held.enter_context(local_cluster(threads)) if is_local else _answering(address, tell, **settings)
        client = Client(cluster, timeout=CONNECT_SECONDS, set_as_default=False, direct_to_workers=True, **settings)
        held.callback(_end, client)
        pool = Pool(client, address if is_local else client.scheduler.address, job, threads, tell)
        pool.warn = warn or tell  # which is the same but for a quiet run
        held.callback(pool.close, CLOSE_SECONDS)
        yield pool


def silence_dask() -> None:
    """Keep what Dask logs off the terminal, here and in the workers that are started here."""
    try:
        import dask

        dask.config.set({"logging": dict.fromkeys(NOISY, "critical")})
        import distributed  # noqa: F401 - which sets up its loggers
    except ImportError as error:
        raise InputError(f"--dask: needs the package {error.name}: {INSTALL}") from None
    for name in [*NOISY, *logging.root.manager.loggerDict]:
        if name.split(".")[0] in NOISY:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def security_of(path: str) -> Any:
    """Dask's `Security` of a TOML file: ca, the certificate that signed the scheduler's, and our own cert and key.

    File names in it are relative to its folder. InputError where something is missing.
    """
    from distributed import Security

    tables, folder = toml.read(Path(path))
    if set(tables) != set(CERTIFICATES) or not all(isinstance(name, str) for name in tables.values()):
        raise InputError(f"--dask-security {path}: must have exactly ca, cert and key, each the name of a file")
    files = {key: str(Path(folder) / name) for key, name in tables.items()}
    for file in files.values():
        size_of(file)
    return Security(require_encryption=True, **{CERTIFICATES[key]: file for key, file in files.items()})


def _answering(address, tell, security=None):
    """The address of a scheduler that answers: this one, or the one in the scheduler file of this name.

    Asked before there is a client: one that cannot connect ends late and with a traceback.
    """
    import asyncio

    from distributed import Security, rpc

    async def identify():
        settings = (security or Security()).get_connection_args("client")
        async with rpc(address, timeout=CONNECT_SECONDS, connection_args=settings) as scheduler:
            if (await scheduler.identity()).get("type") != "Scheduler":
                raise ValueError("it is a Dask worker")

    try:
        if os.path.isfile(address):
            address = _address_in(address, tell)
        if security is not None and not address.startswith("tls://"):
            raise InputError(f"--dask {show(address, 100)}: --dask-security wants an address that begins with tls://")
        if security is None and address.startswith("tls://"):
            raise InputError(f"--dask {show(address, 100)}: asks for certificates; --dask-security names them")
        asyncio.run(asyncio.wait_for(identify(), CONNECT_SECONDS))
    except InputError:
        raise
    except Exception as error:  # whatever a wrong address, or another program behind it, makes Dask raise
        raise InputError(
            f"--dask {show(address, 100)}: no Dask scheduler answers there ({error_text(error)})"
        ) from None
    return address


def _address_in(path, tell):
    """The address in a scheduler file; one that its scheduler has not written out yet is waited for."""
    end = None
    while True:
        try:
            with open(path, encoding="utf-8") as file:
                return json.load(file)["address"]
        except ValueError:  # no JSON, or a letter cut in two
            if end is None:
                end = time.monotonic() + FILE_SECONDS
                tell(f"{path}: waiting up to {FILE_SECONDS:g} s for the scheduler to write its address ...")
        if time.monotonic() >= end:
            raise InputError(f"--dask: the scheduler file {path} holds no address after {FILE_SECONDS:g} s")
        time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def local_cluster(threads: int | None, **settings: Any) -> Iterator[Any]:
    """Worker processes on this machine, for the duration; started anew when they die.

    Parameters
    ----------
    threads : int or None
        Threads of every worker; 1 by default. There are as many workers as the cores have room for.
    **settings
        As of `distributed.LocalCluster`.
    """
    import dask
    from distributed import LocalCluster

    threads = threads or 1
    cores = HERE.cores()
    # Deaths are counted by us. And Dask would give a worker up that dies again 15 s after it has died.
    dask.config.set(
        {"distributed.scheduler.allowed-failures": 1 << 20, "distributed.deploy.lost-worker-timeout": "52w"}
    )
    settings = {"n_workers": max(1, cores // threads), "dashboard_address": None, **settings}
    with _loop_without_interrupts() as loop:
        cluster = LocalCluster(
            threads_per_worker=threads,
            processes=True,
            memory_limit=0,
            silence_logs=logging.CRITICAL,
            loop=loop,
            **settings,
        )
        try:
            yield cluster
        finally:
            _end(cluster)


@contextlib.contextmanager
def _loop_without_interrupts():
    """An event loop in a thread of its own, none of whose processes gets Ctrl-C: it is the run's alone to answer.

    The terminal sends it to all of them, and each worker would end in a traceback.
    """
    import asyncio
    from multiprocessing import resource_tracker

    from tornado.ioloop import IOLoop

    if hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # which would let the signal through again in the thread that starts it
    began, loops = threading.Event(), []

    def work():
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

        async def stay():
            loops.append((IOLoop.current(), asyncio.Event()))
            began.set()
            await loops[0][1].wait()

        asyncio.run(stay())

    thread = threading.Thread(target=work, daemon=True, name="simlr-dask")
    thread.start()
    began.wait()
    loop, end = loops[0]
    try:
        yield loop
    finally:
        loop.add_callback(end.set)
        thread.join(CLOSE_SECONDS)


def _end(what):
    """Close a client or a cluster; what goes wrong with that is of no interest any more."""
    with contextlib.suppress(Exception):
        what.close(timeout=CLOSE_SECONDS)
