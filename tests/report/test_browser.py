"""The page in a real browser: no error, no request, what the script does, the first screen, and what paper holds."""

import base64
import contextlib
import json
import math
import os
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

import pytest
import runs

import simlr
from simlr.papers import nakkiran2020
from simlr.report import __main__

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Chromium and its chromedriver"),
]
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"]
ARGUMENTS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
A4 = 718  # pixels that A4 paper has room for beside its margins


class Browser:
    """One page of Chromium, driven by chromedriver through HTTP alone."""

    def __init__(self, port, folder, width, height):
        self._base = f"http://127.0.0.1:{port}/session"
        size = {"deviceMetrics": {"width": width, "height": height, "pixelRatio": 1.0, "mobile": False, "touch": False}}
        options = {"binary": CHROMIUM, "args": [*ARGUMENTS, f"--user-data-dir={folder}"], "mobileEmulation": size}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        self._base += "/" + self.ask("", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def ask(self, path, content=None, method="POST"):
        """What the driver answers."""
        data = json.dumps(content if content is not None else {}).encode() if method == "POST" else None
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None

    def run(self, code, *arguments):
        """What a piece of script returns."""
        return self.ask("/execute/sync", {"script": code, "args": list(arguments)})

    def find(self, selector):
        return self.ask("/element", {"using": "css selector", "value": selector})

    def click(self, selector):
        self.ask(f"/element/{self.find(selector)[ELEMENT]}/click")

    def type(self, selector, text):
        self.ask(f"/element/{self.find(selector)[ELEMENT]}/value", {"text": text})

    def move(self, x, y):
        """The mouse to a place of the window."""
        step = {"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)}
        self.ask("/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": [step]}]})

    def drag(self, start, end):
        """The mouse, held, from a place of the window to another."""
        moves = [{"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)} for x, y in (start, end)]
        steps = [moves[0], {"type": "pointerDown", "button": 0}, moves[1], {"type": "pointerUp", "button": 0}]
        self.ask("/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": steps}]})

    def log(self, kind):
        return self.ask("/se/log", {"type": kind})

    def command(self, name, **parameters):
        return self.ask("/goog/cdp/execute", {"cmd": name, "params": parameters})


@pytest.fixture(scope="module")
def port():
    """That of a chromedriver."""
    with subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, text=True) as driver:
        try:
            yield next(
                int(found[1]) for line in driver.stdout if (found := re.search(r"successfully on port (\d+)", line))
            )
        finally:
            driver.terminate()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of the claim, as an address."""
    folder = tmp_path_factory.mktemp("browser")
    simlr.run(runs.grid(nakkiran2020.GRID, seeds__count=100), out=folder / "claim.h5")
    assert __main__.main([str(folder / "claim.h5"), "--out", str(folder / "made"), "--format", "html"]) == 0
    return (folder / "made/report.html").as_uri()


@contextlib.contextmanager
def opened(port, page, width=1200, height=800):
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(port, folder, width, height)
        try:
            browser.ask("/url", {"url": page})
            yield browser
        finally:
            browser.ask("", method="DELETE")


@pytest.fixture
def browser(port, page):
    with opened(port, page) as one:
        yield one


def test_the_page_loads_without_an_error_and_asks_for_nothing(browser, page):
    assert browser.log("browser") == []
    told = [json.loads(line["message"])["message"] for line in browser.log("performance")]
    asked = [one["params"] for one in told if one["method"] == "Network.requestWillBeSent"]
    assert {one["request"]["url"] for one in asked if one["documentURL"] == page} == {page}
    assert browser.run("return performance.getEntriesByType('resource').length") == 0
    assert browser.run("return document.documentElement.classList.contains('script')")


@pytest.mark.parametrize("width", [1200, 400])
def test_the_first_screen_holds_claim_verdict_and_picture(port, page, width):
    with opened(port, page, width, 800) as browser:
        for selector in ("h1", ".verdict", ".first svg.plot"):
            box = browser.run(f"return document.querySelector('{selector}').getBoundingClientRect().toJSON()")
            assert box["top"] >= 0 and box["bottom"] <= 800 and box["left"] >= 0 and box["right"] <= width, selector
            assert box["height"] > 20
        assert browser.run("return document.documentElement.scrollWidth") <= width
        assert "Holds." in browser.run("return document.querySelector('.verdict').textContent")


def test_a_value_is_told_on_hover_and_by_the_keys(browser):
    place = browser.run(
        """const plot = document.getElementById("test-against-train-plot");
        plot.scrollIntoView({block: "center", behavior: "instant"});
        const data = JSON.parse(document.getElementById("values").textContent)["test-against-train"];
        const series = data.series.find((one) => data.names[one.series] === "annealed" && one.points.length > 3);
        const at = new DOMPoint(...series.points.at(-1)).matrixTransform(plot.getScreenCTM());
        return [at.x, at.y];"""
    )
    shown = "return [...document.querySelectorAll('#test-against-train .value:not([hidden])')].map(e => e.textContent)"
    assert browser.run(shown) == []
    browser.move(*place)
    (told,) = browser.run(shown)
    assert re.fullmatch(r"annealed; train loss: 1e-6; test loss / train loss: 0\.75", told), told
    browser.run("document.getElementById('test-against-train-plot').focus()")
    browser.type("#test-against-train-plot", "\ue014")  # the right arrow
    (other,) = browser.run(shown)
    assert other.startswith("flow; train loss: ") and other != told


def test_a_series_is_hidden_by_mouse_and_shown_by_the_keyboard(browser):
    button = "#test-against-train .legend button"
    state = """const parts = [...document.querySelectorAll('#test-against-train-plot [data-series="0"]')];
        return [document.querySelector('#test-against-train .legend button').getAttribute('aria-pressed'),
                parts.length > 0 && parts.every((part) => getComputedStyle(part).display === 'none')];"""
    assert browser.run(state) == ["true", False]
    browser.click(button)
    assert browser.run(state) == ["false", True]
    browser.type(button, " ")
    assert browser.run(state) == ["true", False]


RANGE = """const data = JSON.parse(document.getElementById("values").textContent).course;
    const labels = [...document.querySelectorAll("#course-plot text.tick")];
    return labels.map((label) => [Number(label.textContent), Number(label.getAttribute("x"))]);"""
TOLD = "return document.querySelector('#course .value:not([hidden])')?.textContent ?? ''"


def test_the_axis_of_time_is_enlarged_by_button_key_and_mouse_and_values_stay_right(browser):
    """A tick of the enlarged axis and a curve's value told beside it agree; what is seen whole is as it was."""
    browser.run("document.getElementById('course').scrollIntoView({block: 'start', behavior: 'instant'})")
    whole = browser.run("return document.querySelector('#course-plot').outerHTML.length")
    data = browser.run("return JSON.parse(document.getElementById('values').textContent).course")
    low, high, logarithmic = data["axis"]
    left, top, right, bottom = data["panels"][0]["box"]
    assert logarithmic and browser.run(RANGE) == []
    browser.click("#course .zoom button:nth-of-type(1)")
    browser.type("#course-plot", "+")
    ticks = browser.run(RANGE)
    assert len(ticks) >= 2
    # A quarter of the axis about its middle, in logarithms.
    middle, quarter = 0.5 * math.log(low * high), 0.125 * math.log(high / low)
    for value, x in ticks:
        assert abs(math.log(value) - middle) <= quarter * (1.0 + 1e-9)
        share = (math.log(value) - middle + quarter) / (2.0 * quarter)
        assert x == pytest.approx(left + share * (right - left), abs=0.1)
    # The mouse on a point of a curve, where the enlarged axis has it: its own values are told.
    series = next(one for one in data["series"] if one["panel"] == 0 and data["names"][one["series"]] == "flow")
    near = min(range(len(series["points"])), key=lambda i: abs(series["points"][i][0] - 0.5 * (left + right)))
    x, y = series["points"][near]
    place = browser.run(
        """const [x, y] = arguments; const plot = document.getElementById("course-plot");
        const at = new DOMPoint(x, y).matrixTransform(plot.getScreenCTM()); return [at.x, at.y];""",
        left + ((x - left) / (right - left) - 0.375) / 0.25 * (right - left),
        y,
    )
    browser.move(*place)
    told = browser.run(TOLD)
    time, loss = series["values"][near]
    assert told.endswith(f"train loss: {loss}") and f": {time};" in told, (told, series["values"][near])
    browser.type("#course-plot", "0")
    assert browser.run(RANGE) == []
    browser.drag(_on_screen(browser, left + 0.5 * (right - left), 0.5 * (top + bottom)),
                 _on_screen(browser, left + 0.75 * (right - left), 0.5 * (top + bottom)))  # fmt: skip
    values = [value for value, _ in browser.run(RANGE)]
    assert values and all(0.49 < math.log(v / low) / math.log(high / low) < 0.76 for v in values)
    browser.click("#course .zoom button:nth-of-type(3)")
    assert browser.run(RANGE) == []
    assert browser.run("return document.querySelector('#course .zoom button:nth-of-type(3)').disabled")
    assert abs(browser.run("return document.querySelector('#course-plot').outerHTML.length") - whole) < 0.05 * whole
    assert browser.log("browser") == []


def _on_screen(browser, x, y):
    return browser.run(
        """const [x, y] = arguments; const plot = document.getElementById("course-plot");
        const at = new DOMPoint(x, y).matrixTransform(plot.getScreenCTM()); return [at.x, at.y];""",
        x,
        y,
    )


def test_tables_sort_and_filter(browser):
    column = """return [...document.getElementById('tried').tBodies[0].rows].filter((line) => !line.hidden)
        .map((line) => [line.cells[0].textContent, Number(line.cells[1].textContent)]);"""
    browser.run("for (const one of document.querySelectorAll('details')) one.open = true")
    name = browser.run(
        """const table = [...document.querySelectorAll('table.sorts')].find((t) =>
            t.caption.textContent.startsWith('Test loss of the schedule'));
        table.id = 'tried';
        table.parentElement.previousElementSibling.id = 'tried-filter';
        return table.parentElement.previousElementSibling.getAttribute('aria-label');"""
    )
    assert name.startswith("filter: ")
    browser.click("#tried th:nth-child(2) button")
    ratios = [ratio for _, ratio in browser.run(column)]
    assert ratios == sorted(ratios) and ratios[0] < ratios[-1]
    browser.click("#tried th:nth-child(2) button")
    assert [ratio for _, ratio in browser.run(column)] == sorted(ratios, reverse=True)
    browser.type("#tried-filter", "annealed")
    assert {name for name, _ in browser.run(column)} == {"annealed", "annealed-1.4", "annealed-sharpness"}


KINDS = {
    "constant": {},
    "cosine": {"steps": 200},
    "linear": {"steps": 200},
    "exponential": {"gamma": 0.99},
    "warmup_stable_decay": {"steps": 200, "warmup_steps": 10, "decay_steps": 50},
}


def test_a_sweep_of_150_schedules_takes_ten_screens_at_most(port, tmp_path):
    rates = [round(0.05 * (i + 1), 2) for i in range(30)]
    schedules = [{"name": kind, "kind": kind, "learning_rate": rates, **more} for kind, more in KINDS.items()]
    stop = {"train_loss": [1e-2, 1e-4], "max_steps": 1000, "landing": "exact"}
    config = runs.grid(schedule=[*schedules, {"kind": "flow"}], seeds__count=20, stop=stop, record__points=40)
    assert simlr.run(config, out=tmp_path / "sweep.h5").schedule.size == 151
    assert __main__.main([str(tmp_path / "sweep.h5"), "--out", str(tmp_path / "made"), "--format", "html"]) == 0
    with opened(port, (tmp_path / "made/report.html").as_uri()) as browser:
        assert browser.run("return document.documentElement.scrollHeight") <= 10 * 800
        assert browser.run("return document.documentElement.scrollWidth") <= 1200
        assert " among 150 schedules, " in browser.run("return document.body.textContent")


# name -> what makes it small
QUESTIONS = {
    "annealing": {},
    "cosine-or-wsd": {},
    "early-stopping": {"stop__max_steps": 1000},
    "linear-scaling": {"stop__max_steps": 300},
    "momentum": {"stop__max_steps": 300},
    "warmup": {},
}


BROKEN = """return [...document.querySelectorAll('main th, main td:not(.words)')].flatMap((cell) => {
  const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), found = [];
  for (let text = texts.nextNode(); text; text = texts.nextNode())
    for (const word of text.data.matchAll(/[\\w.]+/g)) {
      const range = document.createRange();
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map((box) => box.top)).size > 1) found.push(word[0]);
    }
  return found;
});"""


@pytest.mark.parametrize("name", QUESTIONS)
def test_paper_holds_the_pages_of_the_questions(port, name, tmp_path):
    simlr.run(runs.grid(runs.ROOT / f"data/{name}.toml", seeds__count=4, **QUESTIONS[name]), out=tmp_path / "run.h5")
    assert __main__.main([str(tmp_path / "run.h5"), "--out", str(tmp_path / "made"), "--format", "html"]) == 0
    with opened(port, (tmp_path / "made/report.html").as_uri()) as browser:
        test_paper_holds_every_table_and_figure(browser)


def test_paper_holds_every_table_and_figure(browser):
    browser.command("Emulation.setEmulatedMedia", media="print")
    browser.command("Emulation.setDeviceMetricsOverride", width=A4, height=1000, deviceScaleFactor=1, mobile=False)
    browser.run("dispatchEvent(new Event('beforeprint'))")
    wide = browser.run(
        """return [...document.querySelectorAll('table, svg.plot, pre')].map((e) => [e.getBoundingClientRect(), e])
        .filter(([box]) => box.width === 0 || box.left < 0 || box.right > innerWidth + 1)
        .map(([box, e]) => [e.tagName, e.caption ? e.caption.textContent : e.id, box.right]);"""
    )
    assert wide == []
    # No word of a heading or number of a cell is broken in two, and no heading stands alone.
    assert browser.run(BROKEN) == []
    after = browser.run(
        "return [...document.querySelectorAll('thead, caption')].map((e) => getComputedStyle(e).breakAfter)"
    )
    assert after and set(after) == {"avoid"}
    assert base64.b64decode(browser.ask("/print")).startswith(b"%PDF")


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_without_scripts_the_page_holds_every_figure(port, page):
    with opened(port, page) as browser:
        browser.command("Emulation.setScriptExecutionDisabled", value=True)
        browser.ask("/refresh")
        seen = browser.command("Runtime.evaluate", expression="1")
        assert seen is not None
        document = browser.command("DOM.getDocument")["root"]["nodeId"]
        plots = browser.command("DOM.querySelectorAll", nodeId=document, selector="svg.plot")["nodeIds"]
        assert len(plots) == 10 and not browser.ask("/source", method="GET").count('class="script"')
