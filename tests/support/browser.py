"""A headless Chromium, driven over its DevTools pipe by the standard library alone: a page as its reader sees it.

    with browser.started(tmp_path) as chromium:
        page = chromium.open(path)
        assert page.evaluate("document.title") == "..."
        assert page.complaints() == [] and page.requests() == [path.as_uri()]

Every message is JSON with a zero byte behind it; what was asked for is told from events by its "id". Nothing waits for
a time: an answer, or an event, comes, or after LONGEST seconds the test fails.
"""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--hide-scrollbars", "--window-size=1200,800", "--remote-debugging-pipe"),
)
LONGEST = 120.0


def program():
    """The path of a Chromium; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def started(folder):
    """A Chromium with a new profile in `folder`; the test is skipped where none is installed."""
    if os.name != "posix" or program() is None:
        pytest.skip("no Chromium is installed")
    chromium = Chromium(Path(folder) / "profile")
    try:
        yield chromium
    finally:
        chromium.close()


class Chromium:
    """The process, and the two pipes to it."""

    def __init__(self, profile):
        profile.mkdir()
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        # It reads from descriptor 3 and writes to 4; out of their way first, so that neither covers the other.
        far_in, far_out = (fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 20) for one in (theirs_in, theirs_out))
        self._process = subprocess.Popen(
            [program(), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False,
            preexec_fn=lambda: (os.dup2(far_in, 3), os.dup2(far_out, 4)), start_new_session=True,
        )  # fmt: skip
        for one in (theirs_in, theirs_out, far_in, far_out):
            os.close(one)
        self._in, self._out, self._rest, self._count = ours_in, ours_out, b"", 0
        self.events = []

    def close(self):
        """End the process, and wait until it has gone."""
        with contextlib.suppress(OSError, AssertionError):
            self.ask("Browser.close")
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def ask(self, method, session=None, **parameters):
        """Send one command and wait for its result."""
        self._count += 1
        number = self._count
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._out, json.dumps(message).encode() + b"\0")
        answer = self.wait_for(lambda found: found.get("id") == number)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def wait_for(self, wanted):
        """The next message that is wanted; events on the way are kept in `events`."""
        end = time.monotonic() + LONGEST
        while True:
            message = self._next(end)
            if "id" not in message:
                self.events.append(message)
            if wanted(message):
                return message

    def _next(self, end):
        """The next message."""
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(end - time.monotonic(), 0.0))
            assert ready, f"Chromium was silent for {LONGEST:g} s"
            part = os.read(self._in, 1 << 20)
            assert part, "Chromium has ended"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def open(self, path, width=1200, height=800, scripts=True, dark=False):
        """Open a file as a page of its own, and wait until it is loaded."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.ask(f"{domain}.enable")
        page.ask("Emulation.setScriptExecutionDisabled", value=not scripts)
        page.resize(width, height)
        page.media(dark=dark)
        page.ask("Page.navigate", url=Path(path).resolve().as_uri())
        loaded = {"method": "Page.loadEventFired", "sessionId": session}
        self.wait_for(lambda found: loaded.items() <= found.items())
        return page


class Page:
    """One page."""

    def __init__(self, chromium, session):
        self._chromium, self._session = chromium, session

    def ask(self, method, **parameters):
        """One DevTools command to this page."""
        return self._chromium.ask(method, self._session, **parameters)

    def evaluate(self, script):
        """The value of an expression, by way of JSON; a promise is waited for."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def resize(self, width, height):
        """Give the page a window of so many CSS pixels."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def media(self, dark=False, kind=""):
        """Prefer dark or light; kind "print" shows the page as it is printed."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", media=kind, features=[scheme])

    def press(self, key, code=0):
        """Press and release a key where the focus is."""
        for kind in ("rawKeyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def screenshot(self, path, whole=False):
        """Write what is seen, or the whole page, as PNG."""
        answer = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **self._clip(whole))
        Path(path).write_bytes(base64.b64decode(answer["data"]))

    def _clip(self, whole):
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"] if whole else None
        return {"clip": {**{key: size[key] for key in ("x", "y", "width", "height")}, "scale": 1}} if whole else {}

    def print_to_pdf(self, path):
        """Write the page as it is printed, as PDF."""
        answer = self.ask("Page.printToPDF", printBackground=True)
        Path(path).write_bytes(base64.b64decode(answer["data"]))

    def _events(self, *methods):
        self.ask("Runtime.evaluate", expression="0")  # what happened before has come when this is answered
        own = [event for event in self._chromium.events if event.get("sessionId") == self._session]
        return [event["params"] for event in own if event["method"] in methods]

    def complaints(self):
        """What stands on the console or in the log (refusals of the content policy, too), and exceptions."""
        return [
            json.dumps(params)
            for params in self._events("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        ]

    def requests(self):
        """The addresses that the page asked for, its own first."""
        return [params["request"]["url"] for params in self._events("Network.requestWillBeSent")]
