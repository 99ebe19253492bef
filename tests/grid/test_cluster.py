"""Blocks on a Dask cluster: the bits of one machine, whatever dies."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import doubles
import numpy as np
import pytest
import runs
from hypothesis import given
from hypothesis import strategies as st

import simlr
from simlr.engine import environment as environment_module
from simlr.grid import command as commands
from simlr.grid import pipeline
from simlr.grid.cluster import connect, pool
from simlr.grid.cluster import worker as remote
from simlr.grid.cluster.dispatch import MOST_DEATHS, MOST_KEPT, Dispatch
from simlr.store import merging

ONE_THREAD = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


# ---- who gets what ----


@given(st.data())
def test_every_block_comes_once_or_is_set_aside(data):
    """Whatever workers do: deaths count for the block in hand alone, and no worker has more than it may."""
    blocks, workers = data.draw(st.integers(1, 12)), "abc"
    work, deaths, fetched = Dispatch(range(blocks)), dict.fromkeys(range(blocks), 0), []
    hand, kept = {}, {}
    for _ in range(60):
        for worker, block in work.assign():
            assert hand[worker] is None and block not in [*hand.values(), *fetched, *itertools.chain(*kept.values())]
            hand[worker] = block
        worker = data.draw(st.sampled_from(workers))
        can = ["leave", *(["finish"] if hand.get(worker) is not None else []), *(["fetch"] if kept.get(worker) else [])]
        what = "join" if worker not in hand else data.draw(st.sampled_from(can))
        if what == "join":
            work.join(worker)
            hand[worker], kept[worker] = None, []
        elif what == "leave":
            died = data.draw(st.booleans())
            assert work.leave(worker, died) == hand[worker]
            if hand[worker] is not None:
                deaths[hand[worker]] += died
            del hand[worker], kept[worker]
        elif what == "finish":
            work.finish(worker, hand[worker])
            kept[worker].append(hand[worker])
            hand[worker] = None
        else:
            work.fetch(worker, kept[worker][0])
            fetched.append(kept[worker].pop(0))
        assert all(len(of) <= MOST_KEPT + 1 for of in kept.values())
        assert sorted(work.set_aside) == [block for block, count in deaths.items() if count >= MOST_DEATHS]
        assert work.done == (len(fetched) + len(work.set_aside) == blocks)
    for worker in list(hand):
        work.leave(worker, died=False)
    work.join("whole")
    while not work.done:
        for worker, block in list(work.assign()):
            work.finish(worker, block)
            work.fetch(worker, block)
            fetched.append(block)
    assert sorted(fetched + work.set_aside) == list(range(blocks))


def test_an_innocent_block_is_never_set_aside():
    """What waits on a worker to be fetched is lost with it, time and again, and not to blame."""
    work = Dispatch(range(2))
    for _ in range(2 * MOST_DEATHS):
        work.join("a")
        for worker, block in list(work.assign()):
            work.finish(worker, block)
        list(work.assign())
        work.leave("a")
    assert work.set_aside == [1] and not work.done


# ---- two workers, which are started anew when they die ----


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """(address of a scheduler with two workers of one thread, their folder)."""
    pytest.importorskip("distributed")
    from simlr.grid.cluster.connect import local_cluster, silence_dask

    silence_dask()
    folder = tmp_path_factory.mktemp("cluster")
    doubles.write_orders(folder)
    environment = {"SIMLR_TEST_FOLDER": str(folder), **ONE_THREAD}
    with local_cluster(1, n_workers=2, preload=[doubles.__file__], env=environment) as made:
        yield made.scheduler_address, folder


@pytest.fixture(scope="module")
def whole():
    """The small run on this machine alone."""
    return simlr.run(runs.grid(), threads=1)


@pytest.fixture
def grid_folder(folder):
    """A working directory with the small grid in it."""
    Path("small.toml").write_text(runs.SMALL)
    return folder


def grid(address, *arguments):
    """The command with a cluster, in this process; its exit status."""
    return commands.grid_command(["small.toml", "--out", "run.h5", "--dask", address, *arguments])


def assert_whole(whole):
    run = simlr.load("run.h5")
    assert run.complete
    runs.assert_same_bits(run, whole)


def test_the_bits_are_those_of_one_machine(cluster, grid_folder, whole, capfd):
    address, folder = cluster
    doubles.write_orders(folder)
    assert grid(address, "--quiet") == 0
    assert_whole(whole)
    assert sorted(doubles.computed(folder)) == whole.block_start.tolist()
    assert capfd.readouterr() == ("", "")


def test_a_worker_killed_in_mid_block(cluster, grid_folder, whole, capfd):
    address, folder = cluster
    doubles.write_orders(folder, {"do": "die", "seed": 14, "times": 1})
    assert grid(address) == 0
    assert_whole(whole)
    assert "is gone; block 2 (seeds 14 to 20) is computed again" in capfd.readouterr().err
    computed = doubles.computed(folder)
    assert computed.count(14) == 2 and len(computed) <= 6 + 1 + MOST_KEPT + 1


@pytest.mark.slow
def test_a_block_that_always_kills_its_worker(cluster, grid_folder, whole, capfd):
    address, folder = cluster
    doubles.write_orders(folder, {"do": "die", "seed": 7, "times": 1000})
    assert grid(address, "--quiet") == 1
    # Between a worker's death and its return there may be none for a while, which is said.
    said = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("no workers at ")]
    assert len(said) == 1
    assert said[0].startswith("simlr: block 1 (seeds 7 to 13): set aside, since 3 workers died of it;")
    assert doubles.computed(folder).count(7) == MOST_DEATHS
    assert simlr.load("run.h5").block_done.tolist() == [1, 0, 1, 1, 1, 1]
    doubles.write_orders(folder)
    assert grid(address, "--quiet", "--resume") == 0
    assert doubles.computed(folder) == [7]
    assert_whole(whole)


def test_an_exception_in_a_task_is_one_line(cluster, grid_folder, whole, capfd):
    address, folder = cluster
    doubles.write_orders(folder, {"do": "raise", "seed": 21, "times": 1})
    assert grid(address, "--quiet") == 1
    said = capfd.readouterr().err
    assert "simlr: block 3 (seeds 21 to 27): ValueError: as it was ordered, on worker tcp://" in said
    assert len(said.splitlines()) == 1
    assert grid(address, "--quiet", "--resume") == 0
    assert_whole(whole)


def ended_at_last():
    """`still_working`, on a machine with much else to do."""
    deadline = time.monotonic() + 60
    while pipeline.still_working():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on(number, cluster, grid_folder, whole, capfd, monkeypatch):
    address, folder = cluster
    # The command would end the process, here pytest's, where a thread of its takes more than a moment to end.
    monkeypatch.setattr(commands, "still_working", ended_at_last)
    order = {"do": "signal", "seed": 14, "times": 1, "pid": os.getpid(), "number": number}
    doubles.write_orders(folder, order)
    assert grid(address) == 130
    said = capfd.readouterr().err
    assert f"Go on with: python -m simlr.grid small.toml --out run.h5 --dask {address} --resume" in said
    assert not simlr.load("run.h5").complete
    assert grid(address, "--quiet", "--resume") == 0
    assert_whole(whole)


def test_shards_of_a_cluster_merge_to_one_run(cluster, grid_folder, whole):
    address, folder = cluster
    doubles.write_orders(folder)
    names = [f"{index}.h5" for index in range(3)]
    for index, name in enumerate(names):
        assert grid(address, "--quiet", "--shard", f"{index}/3", "--out", name) == 0
    merging.merge(names, "run.h5")
    assert_whole(whole)


PLATEAUS = """
[problem]
kind = "gaussian"
dimension = 3
train_rows = 10
validation_rows = 6
label_noise = 0.5
[seeds]
count = 9
[stop]
steps = [20, 40]
[record]
points = 9
[run]
block_seeds = 2
[[schedule]]
kind = "reduce_on_plateau"
unit = "sharpness"
learning_rate = 1.0
patience = 1
every = 3
monitor = ["train_loss", "validation_loss"]
[[noise]]
kind = "minibatch"
batch_size = 2
"""


def test_rates_that_are_each_seeds_own_are_those_of_one_machine(cluster, folder):
    """Of a grid whose rates fall on plateaus, begun on a cluster's shards and on one machine."""
    Path("small.toml").write_text(PLATEAUS)
    whole = simlr.run(PLATEAUS)
    assert len(np.unique(whole["trajectory_learning_rate"][:, :, -1])) > 2
    runs.run_blocks(runs.grid(PLATEAUS), "run.h5", [1, 3])
    assert grid(cluster[0], "--quiet", "--resume") == 0
    assert_whole(whole)
    for index in range(2):
        assert grid(cluster[0], "--quiet", "--overwrite", "--shard", f"{index}/2", "--out", f"{index}.h5") == 0
    merging.merge(["0.h5", "1.h5"], "run.h5", overwrite=True)
    assert_whole(whole)


# More seeds and a schedule more than the run that is there.
MORE = "--extend", "--seeds", "53", "--set", "schedule.3.learning_rate=[0.7,0.2]"


def grown():
    """The grid of `MORE`."""
    return runs.grid(seeds__count=53, schedule__3__learning_rate=[0.7, 0.2])


def test_an_extension_on_a_cluster(cluster, grid_folder, capfd):
    address, folder = cluster
    simlr.run(runs.grid(), "run.h5")
    doubles.write_orders(folder, {"do": "die", "seed": 14, "times": 1})
    assert grid(address, *MORE) == 0
    told = capfd.readouterr().err
    assert "240 cells of 371 are there, 131 are computed" in told and "block 2 (seeds 14 to 20) is computed" in told
    computed = doubles.computed(folder)
    assert set(computed) == {0, 7, 14, 21, 28, 35, 40, 42, 49} and computed.count(14) == 2
    assert_whole(simlr.run(grown()))
    assert sorted(os.listdir()) == ["run.h5", "small.toml"]


def test_what_is_there_is_sent_nobody(cluster, grid_folder):
    """Blocks of which nothing is missing, and none at all."""
    address, folder = cluster
    simlr.run(runs.grid(), "run.h5")
    doubles.write_orders(folder)
    assert grid(address, "--quiet", "--extend", "--seeds", "49") == 0
    assert sorted(doubles.computed(folder)) == [40, 42]
    assert_whole(simlr.run(runs.grid(seeds__count=49)))
    assert grid(address, "--quiet", "--extend", "--seeds", "49", "--set", "stop.train_loss=[1e-4,1e-2,1e9]") == 0
    assert simlr.load("run.h5").complete


def test_an_extension_that_is_ended_goes_on_elsewhere(cluster, grid_folder, capfd):
    """Begun on the cluster, gone on with here."""
    address, folder = cluster
    simlr.run(runs.grid(), "run.h5")
    before = Path("run.h5").read_bytes()
    doubles.write_orders(folder, {"do": "raise", "seed": 49, "times": 1})
    assert grid(address, "--quiet", *MORE) == 1
    told = capfd.readouterr().err
    assert "block 7 (seeds 49 to 52): ValueError" in told and "--extend goes on" in told and "--resume" not in told
    assert Path("run.h5").read_bytes() == before
    assert commands.grid_command(["small.toml", "--out", "run.h5", "--quiet", *MORE]) == 0
    assert_whole(simlr.run(grown()))


def test_shards_that_grow_on_a_cluster(cluster, grid_folder):
    address, folder = cluster
    doubles.write_orders(folder)
    names = [f"{index}.h5" for index in range(2)]
    for index, name in enumerate(names):
        shard = "--quiet", "--shard", f"{index}/2", "--out", name
        assert commands.grid_command(["small.toml", *shard]) == 0
        assert grid(address, *shard, *MORE) == 0
    merging.merge(names, "run.h5")
    assert_whole(simlr.run(grown()))


def test_data_files_travel_with_the_grid(cluster, folder):
    """The workers run elsewhere, and have none of them."""
    rows = np.random.default_rng(0).standard_normal((30, 4))
    np.savetxt("rows.csv", rows, delimiter=",")
    text = """
[problem]
kind = "dataset"
file = "../rows.csv"
header = false
train_rows = [5, 10]
[seeds]
count = 20
[stop]
train_loss = [0.5]
max_steps = 50
[run]
block_seeds = 8
[[schedule]]
kind = "constant"
learning_rate = 0.1
"""
    os.mkdir("grids")
    Path("grids/own.toml").write_text(text)
    assert commands.grid_command(["grids/own.toml", "--out", "run.h5", "--dask", cluster[0], "--quiet"]) == 0
    assert_whole(simlr.run(simlr.GridConfig.from_toml(Path("grids/own.toml"))))


@pytest.mark.parametrize("left", [0, 20])
def test_a_scheduler_file_in_the_writing_is_waited_for(left, cluster, grid_folder, whole, capfd, monkeypatch):
    """It is written out when the command says that it waits."""
    address, folder = cluster
    doubles.write_orders(folder)
    content = json.dumps({"type": "Scheduler", "address": address})
    Path("scheduler.json").write_text(content[:left])
    said = []

    def say(text):
        said.append(text)
        Path("scheduler.json").write_text(content)

    monkeypatch.setattr(commands, "say", say)
    assert grid("scheduler.json") == 0
    assert said[0] == "scheduler.json: waiting up to 30 s for the scheduler to write its address ..."
    assert sum("waiting" in text for text in said) == 1
    assert_whole(whole)


def test_workers_other_than_the_file_says_are_refused(cluster, grid_folder, capfd, monkeypatch):
    """The file comes from another machine; nothing is done to it."""
    other = environment_module.environment() | {"processor_features": "+abacus"}
    with monkeypatch.context() as patched:
        patched.setattr(environment_module, "environment", lambda: other)
        runs.run_blocks(runs.grid(), "run.h5", [0])
    before = Path("run.h5").read_bytes()
    assert grid(cluster[0], "--resume") == 2
    said = capfd.readouterr().err
    assert "is refused: its processor features is '" in said and ", and not '+abacus'" in said
    assert said.startswith("simlr: --dask: worker tcp://") and len(said.splitlines()) == 1
    assert Path("run.h5").read_bytes() == before


@pytest.mark.slow
def test_six_runs_at_once_on_one_cluster_all_go_on(cluster, grid_folder, whole):
    address, folder = cluster
    doubles.write_orders(folder)
    started = [
        runs.start("small.toml", "--out", f"{i}.h5", "--dask", address, "--quiet", cwd=grid_folder) for i in range(6)
    ]
    for i, process in enumerate(started):
        ended = runs.ended(process, timeout=300)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
        runs.assert_same_bits(simlr.load(f"{i}.h5"), whole)


@pytest.fixture
def nobody_taken(monkeypatch):
    """A worker in this process, without grids."""
    monkeypatch.setattr(remote, "_taken", {})
    return remote._taken


def test_no_grid_that_is_computed_is_evicted(nobody_taken, monkeypatch):
    order = remote.order(runs.grid(), 1)
    for i in range(6):
        remote.take_over(f"run {i}", order)
        remote.compute(f"run {i}", 0, 7)
    assert len(nobody_taken) == 6
    for i in range(6):
        assert remote.compute(f"run {i}", 7, 14)["test_loss"].shape[1] == 7
    # Later on, when nobody has asked for some of them for long, these go; one whose block is computed does not.
    now = time.monotonic() + 2 * remote.IDLE_SECONDS
    monkeypatch.setattr(remote.time, "monotonic", lambda: now)
    remote.compute("run 1", 0, 7)
    with nobody_taken["run 0"].lock:
        remote.take_over("run 6", order)
    assert set(nobody_taken) == {"run 0", "run 1", "run 5", "run 6"}


def test_a_worker_that_forgets_a_grid_at_once_is_asked_anew(cluster, grid_folder, whole, monkeypatch):
    address, folder = cluster
    doubles.write_orders(folder)
    before, forgotten = pool.Client.ask, []

    def ask(self, of_worker, function, *arguments):
        if function is remote.origin and not forgotten:
            forgotten.append(of_worker)
            raise remote.NotTaken
        return before(self, of_worker, function, *arguments)

    monkeypatch.setattr(pool.Client, "ask", ask)
    assert grid(address, "--quiet") == 0
    assert_whole(whole)


def test_a_quiet_run_says_that_it_waits():
    """Where nobody comes for a while; a worker that is started anew is no news."""
    made = pool.Pool.__new__(pool.Pool)
    made._waiting, made.address, told, warned = False, "here", [], []
    made.tell, made.warn = told.append, warned.append
    made._wait_for_workers()
    made._warn_of_waiting(60.0)
    assert len(told) == 1 and warned == []
    for _ in range(2):
        made._warn_of_waiting(0.0)
    assert warned == told == ["no workers at here: waiting for some to join ..."]
    made.warn = made.tell  # a run that is not quiet says it once
    made._waiting = False
    made._wait_for_workers()
    made._warn_of_waiting(0.0)
    assert len(told) == 2


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [0, 1, 20])
def test_ctrl_c_reaches_the_run_alone(blocks, folder):
    """A terminal sends it to all processes: the workers' tracebacks would be a hundred lines."""
    pytest.importorskip("distributed")
    Path("long.toml").write_text(runs.LONG)
    command = [sys.executable, "-m", "simlr.grid", "long.toml", "--out", "run.h5", "--dask", "local", "--quiet"]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=runs.environment(), start_new_session=True, **pipes)
    runs.wait_until(lambda: os.path.exists("run.h5") and runs.blocks_done("run.h5") >= blocks, process)
    os.killpg(process.pid, signal.SIGINT)
    ended = runs.ended(process)
    assert ended.returncode == 130 and ended.stdout == ""
    assert ended.stderr.startswith("interrupted; what was computed is kept. Go on with:")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_worker_unlike_the_others_is_refused(cluster, grid_folder, whole, capfd, monkeypatch):
    """One that joins in the midst of a run; the other goes on. The last test here, since it stays of no use."""
    address, folder = cluster
    doubles.write_orders(folder, {"do": "die", "seed": 14, "times": 1}, {"do": "wait", "seed": 28, "times": 1})
    (folder / "features").write_text("+abacus")
    before = pool.Pool._refuse

    def refuse(self, *arguments):
        before(self, *arguments)
        (folder / "go").touch()

    monkeypatch.setattr(pool.Pool, "_refuse", refuse)
    assert grid(address) == 0
    assert_whole(whole)
    assert "is refused: its processor features is '+abacus', and not '" in capfd.readouterr().err


# ---- a scheduler and workers of their own, which stay away when they die ----


class Processes:
    """A scheduler, and workers without a nanny."""

    def __init__(self, folder):
        self.folder, self.started = folder, []
        self.environment = runs.environment(SIMLR_TEST_FOLDER=folder, DASK_DISTRIBUTED__LOGGING__DISTRIBUTED="critical")
        self.scheduler = self._start("dask_scheduler", "--port", "0", "--no-dashboard", "--no-show", "--host=127.0.0.1")
        self.workers(2)

    def _start(self, module, *arguments):
        command = [sys.executable, "-m", f"distributed.cli.{module}", "--scheduler-file", "scheduler.json", *arguments]
        process = subprocess.Popen(
            command, cwd=self.folder, env=self.environment | ONE_THREAD, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.started.append(process)
        return process

    def workers(self, count):
        """Have so many join."""
        for _ in range(count):
            self._start("dask_worker", "--no-nanny", "--nthreads=1", "--no-dashboard", "--preload", doubles.__file__)

    def close(self):
        """End all of them."""
        for process in self.started:
            process.kill()
            process.wait()


@pytest.fixture
def processes(tmp_path_factory):
    pytest.importorskip("distributed")
    folder = tmp_path_factory.mktemp("processes")
    doubles.write_orders(folder)
    made = Processes(folder)
    try:
        # It is there before its content is, which the command waits for.
        runs.wait_until((folder / "scheduler.json").exists, made.scheduler)
        yield made
    finally:
        made.close()


@pytest.mark.slow
def test_all_workers_killed_and_the_scheduler_lost(processes, grid_folder, whole, capfd, monkeypatch):
    """New workers join when the run says that it has none; then the scheduler dies."""
    folder = processes.folder
    doubles.write_orders(
        folder,
        {"do": "die", "seed": None, "times": 2},
        {"do": "signal", "seed": 28, "times": 1, "pid": processes.scheduler.pid, "number": signal.SIGKILL},
    )
    before = pool.Pool._wait_for_workers

    def wait_for_workers(self):
        if len(doubles.computed(folder)) == 2 and len(processes.started) == 3:
            processes.workers(2)
        before(self)

    monkeypatch.setattr(pool.Pool, "_wait_for_workers", wait_for_workers)
    assert grid(str(folder / "scheduler.json")) == 1
    said = capfd.readouterr().err.splitlines()
    assert sum("waiting for some to join" in line for line in said) >= 1
    assert any("going on with worker" in line for line in said)
    assert said[-1] == "simlr: the Dask scheduler is gone; what was written is kept, --resume goes on from there"
    done = simlr.load("run.h5").block_done
    assert 0 < done.sum() < 6
    run = simlr.run(runs.grid(), "run.h5", resume=True, threads=1)
    runs.assert_same_bits(run, whole)


# ---- encrypted ----


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder with a certificate of its own authority, and the TOML file that names it."""
    pytest.importorskip("distributed")
    if not shutil.which("openssl"):
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("certificates")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=simlr -keyout key.pem -out cert.pem"
    subprocess.run(make.split(), cwd=folder, check=True, capture_output=True)
    (folder / "tls.toml").write_text('ca = "cert.pem"\ncert = "cert.pem"\nkey = "key.pem"\n')
    return folder


@pytest.mark.slow
def test_a_cluster_behind_tls(certificates, grid_folder, whole, capfd):
    names = {part: str(certificates / f"{part}.pem") for part in ("cert", "key")}
    flags = ["--tls-ca-file", names["cert"], "--tls-cert", names["cert"], "--tls-key", names["key"]]
    environment = runs.environment(DASK_DISTRIBUTED__LOGGING__DISTRIBUTED="critical") | ONE_THREAD
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    started = []
    try:
        for module, more in (
            ("scheduler", ["--port", "0", "--protocol", "tls", "--no-dashboard", "--no-show", "--host=127.0.0.1"]),
            ("worker", ["--no-nanny", "--nthreads=1", "--no-dashboard"]),
        ):
            command = [sys.executable, "-m", f"distributed.cli.dask_{module}", "--scheduler-file", "scheduler.json"]
            started.append(subprocess.Popen([*command, *flags, *more], env=environment, **pipes))
            runs.wait_until(lambda: os.path.exists("scheduler.json"), started[0])
        assert grid("scheduler.json", "--quiet", "--dask-security", str(certificates / "tls.toml")) == 0
        told = capfd.readouterr()
        assert told.out == "" and all("waiting for some to join" in line for line in told.err.splitlines())
        assert_whole(whole)
        address = json.loads(Path("scheduler.json").read_text())["address"]
        assert address.startswith("tls://")
        assert grid(address, "--quiet", "--overwrite") == 2  # without a certificate nobody gets in
        assert len(capfd.readouterr().err.splitlines()) == 1
    finally:
        for process in started:
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    ("address", "text", "said"),
    [
        ("local", None, "--dask-security goes with the address of a scheduler"),
        ("tcp://127.0.0.1:1", None, "--dask-security wants an address that begins with tls://"),
        ("tls://127.0.0.1:1", 'ca = "cert.pem"\n', "tls.toml: must have exactly ca, cert and key"),
        ("tls://127.0.0.1:1", 'ca = "a"\ncert = "b"\nkey = "c"\n', "a: cannot be read: No such file or directory"),
        ("tls://127.0.0.1:1", "ca = [", "tls.toml: not valid TOML"),
        ("tls://127.0.0.1:1", None, "no Dask scheduler answers there"),
    ],
)
def test_security_that_does_not_do_is_one_line(address, text, said, certificates, grid_folder, capfd):
    if text is None:
        named = certificates / "tls.toml"
    else:
        named = Path("tls.toml")
        named.write_text(text)
    assert grid(address, "--dask-security", str(named)) == 2
    told = capfd.readouterr().err
    assert said in told and len(told.splitlines()) == 1 and "run.h5" not in os.listdir()
    assert commands.grid_command(["small.toml", "--dask-security", str(named)]) == 2
    assert capfd.readouterr().err == "simlr: --dask-security goes with --dask\n"


# ---- what does not begin ----


def test_a_scheduler_that_asks_for_certificates_names_the_argument(grid_folder, capfd):
    assert grid("tls://127.0.0.1:1", "--quiet") == 2
    told = capfd.readouterr().err
    assert told == "simlr: --dask 'tls://127.0.0.1:1': asks for certificates; --dask-security names them\n"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("nowhere", "--dask 'nowhere': no Dask scheduler answers there (ValueError: missing port number"),
        ("http://127.0.0.1:80", "no Dask scheduler answers there (ValueError: unknown address scheme 'http'"),
        ("none.json", "--dask: the scheduler file none.json is not there"),
    ],
)
def test_a_bad_address_is_one_line(address, expected, grid_folder, capfd):
    pytest.importorskip("distributed")
    assert grid(address) == 2
    said = capfd.readouterr().err
    assert expected in said and len(said.splitlines()) == 1
    assert os.listdir() == ["small.toml"]


@pytest.mark.parametrize("content", ["", '{"address": "tcp://127', '"caf\u00e9"'[:-1]])
def test_a_scheduler_file_that_stays_half_written_is_one_line(content, grid_folder, capfd, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(connect, "FILE_SECONDS", 0.2)
    Path("scheduler.json").write_text(content)
    assert grid("scheduler.json", "--quiet") == 2
    expected = "simlr: --dask: the scheduler file scheduler.json holds no address after 0.2 s\n"
    assert capfd.readouterr() == ("", expected)
    assert sorted(os.listdir()) == ["scheduler.json", "small.toml"]


@pytest.mark.parametrize("missing", ["dask", "distributed"])
def test_without_dask_the_line_says_how_to_get_it(missing, grid_folder, capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    assert grid("local") == 2
    assert capfd.readouterr().err == f'simlr: --dask: needs the package {missing}: pip install "simlr[cluster]"\n'
    assert os.listdir() == ["small.toml"]
