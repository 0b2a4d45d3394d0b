"""report.html in a real browser: Chromium without a window, at the widths of a phone, a tablet and a screen, in both
colour schemes and printed. Skipped where no Chromium is installed."""

import json
import re
import struct
import zlib

import pytest
from browser import CHROMIUM, Browser
from made_up_runs import METRICS, everything, run

from nar import datasets
from nar.analysis.references.compiled import compiled
from nar.inference import example
from nar.reports import report as reports
from nar.results import study

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
WIDTHS = (360, 768, 1280)  # CSS pixels: a phone, a tablet, a screen

# what lies beyond the right edge of the page, although nothing scrolls it
SPILLED = """[...document.querySelectorAll('body *')].filter(e => e.getClientRects().length
    && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1
    && !e.closest('.scroll, pre, .skip') && !e.closest('svg')).map(e => e.outerHTML.slice(0, 90))"""
# letters of pictures that are cut off by the page, or smaller than can be read
UNREADABLE = """[...document.querySelectorAll('figure svg text')].filter(e => {
    const box = e.getBoundingClientRect(), panel = e.closest('svg').getBoundingClientRect();
    return box.left < 0 || box.right > document.documentElement.clientWidth + 1
        || parseFloat(getComputedStyle(e).fontSize) * panel.width / e.closest('svg').viewBox.baseVal.width < 8.5;
}).map(e => e.textContent)"""
# names of ticks and axes of one picture that cover each other
COVERED = """[...document.querySelectorAll('.panel > svg')].flatMap(svg => {
    const boxes = [...svg.querySelectorAll('text')].map(e => [e.textContent, e.getBoundingClientRect()]);
    const found = [];
    boxes.forEach(([a, p], i) => boxes.slice(i + 1).forEach(([b, q]) => {
        if (p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 4 && q.top < p.bottom - 4)
            found.push(a + ' / ' + b + ' in ' + svg.getAttribute('aria-label').slice(0, 60));
    }));
    return found;
})"""
# contrast of text with the page as WCAG defines it, for texts outside of the heat map
CONTRAST = """(() => {
    const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(v => { v /= 255;
        return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
        return (x + 0.05) / (y + 0.05); };
    const page = getComputedStyle(document.body).backgroundColor, out = {};
    for (const e of document.querySelectorAll('p, td, th, a, li, figcaption, summary, svg text')) {
        const style = getComputedStyle(e);
        let box = e, ground = 'rgba(0, 0, 0, 0)';
        for (; box && /, 0\\)$/.test(ground); box = box.parentElement)
            ground = getComputedStyle(box).backgroundColor;
        const found = ratio(e.namespaceURI.endsWith('svg') ? style.fill : style.color, ground);
        const name = e.tagName + '.' + (e.className.baseVal ?? e.className);
        out[name] = Math.min(out[name] ?? 99, found);
    }
    for (const e of document.querySelectorAll('.line, .dot')) {
        const style = getComputedStyle(e), name = e.className.baseVal;
        out[name] = 1.5 * Math.min(out[name] ?? 99, ratio(/line/.test(name) ? style.stroke : style.fill, page));
    }
    return out;
})()"""  # lines and marks need 3, letters 4.5: hence the factor


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    path = tmp_path_factory.mktemp("empty") / "page.html"
    path.write_text("<title>here</title>")
    with Browser() as found:
        found.open(path)
        if found.run("document.title") != "here":
            pytest.skip("this Chromium may not read temporary files, as those that come as a snap")
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return reports.write(everything(), tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def recorded(request, tmp_path_factory):
    return reports.write(study.read(request.config.rootpath / "results"), tmp_path_factory.mktemp("recorded"))


@pytest.mark.parametrize("name", ["report", "recorded"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_too_wide_cut_off_or_fetched(browser, request, name, width):
    path = request.getfixturevalue(name)
    browser.open(path, width)
    for unfolded in (False, True):
        if unfolded:
            browser.run("document.querySelectorAll('details').forEach(e => e.open = true)")
        assert browser.run("[innerWidth, document.documentElement.scrollWidth]") == [width, width]
        assert browser.run(SPILLED) == []
    assert browser.run(UNREADABLE) == []
    assert browser.run(COVERED) == []
    assert [url for url in browser.requests() if not url.startswith("data:")] == [f"file://{path}"]
    assert browser.complaints() == []


@pytest.mark.parametrize("name", ["report", "recorded"])
def test_a_phone_shows_the_main_number_of_every_row(browser, request, name):
    """Without scrolling sideways."""
    browser.open(request.getfixturevalue(name), 390)
    right = browser.run(
        "[...document.querySelectorAll('main > .scroll td strong')].map(e => e.getBoundingClientRect().right)"
    )
    assert len(right) > 2 and max(right) < 390


def test_panels_stand_side_by_side_where_there_is_room(browser, recorded):
    across = []
    for width in WIDTHS:
        browser.open(recorded, width)
        tops = browser.run("[...document.querySelectorAll('#score .panel')].map(e => e.getBoundingClientRect().top)")
        across.append(tops.count(tops[0]))
    assert across == [1, 2, 3]


@pytest.mark.parametrize("dark", [False, True])
def test_both_colour_schemes_can_be_read(browser, report, dark):
    browser.open(report, 1280, dark=dark)
    red, green, blue = map(int, re.findall(r"\d+", browser.run("getComputedStyle(document.body).backgroundColor")))
    assert (red + green + blue < 100) == dark
    contrasts = browser.run(CONTRAST)
    assert len(contrasts) > 20
    assert {name: ratio for name, ratio in contrasts.items() if ratio < 4.5} == {}


def test_every_picture_can_be_seen(browser, report):
    browser.open(report, 768)
    sizes = browser.run(
        "[...document.querySelectorAll('.panel > svg')].map(e => [e.clientWidth, e.clientHeight, "
        "e.querySelectorAll('path:not(.grid):not(.axis)').length])"
    )
    assert len(sizes) > 50
    assert all(width > 250 and height > 60 and parts > 0 for width, height, parts in sizes)
    pixels = colours(browser.screenshot(whole=False))
    assert len(pixels) > 50  # a page that was not drawn has one


def test_the_keyboard_reaches_the_contents_and_every_table(browser, recorded):
    browser.open(recorded, 1280)
    reached = []
    for _ in range(30):
        for kind in ("keyDown", "keyUp"):
            browser.ask("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        reached.append(browser.run("document.activeElement.tagName + ' ' + document.activeElement.textContent"))
    assert reached[0] == "A Skip to the figures"
    assert reached[1:3] == ["A Score against size", "A Algorithms and processors"]
    assert any(one.startswith("DIV ") for one in reached) and any(one.startswith("SUMMARY ") for one in reached)


def test_it_prints_on_paper(browser, recorded):
    browser.open(recorded, 1280, dark=True)
    printed = browser.pdf()
    assert printed.startswith(b"%PDF") and 3 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 15
    for scheme in ("dark", "light"):  # paper is white, whatever the screen was
        browser.ask(
            "Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )
        assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    browser.ask("Emulation.setDeviceMetricsOverride", width=680, height=900, deviceScaleFactor=1, mobile=False)  # A4
    assert browser.run("document.documentElement.scrollWidth") == 680
    browser.ask("Emulation.setEmulatedMedia", media="")


def test_a_picture_of_a_rollout_loads_nothing_and_runs_nothing(browser, tmp_path):
    (tmp_path / "example.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="900" height="90">'
        '<script>parent.document.title = "changed"</script>'
        '<image href="https://example.org/x.png" width="9" height="9"/><rect width="900" height="90" fill="red"/></svg>'
    )
    path = reports.write(study.collect([(tmp_path, run(), METRICS)]), tmp_path)
    browser.open(path, 360)
    assert browser.run("document.title") == "bfs with mpnn - extrapolation report"
    assert browser.run("document.querySelector('img').complete && document.querySelector('img').naturalWidth") == 900
    assert browser.run("document.documentElement.scrollWidth") == 360
    assert {url for url in browser.requests() if not url.startswith("data:")} == {f"file://{path}"}


def test_a_rollout_is_stepped_through_and_enlarged(browser, tmp_path):
    example.write(compiled("bellman_ford"), datasets.get("bellman_ford"), tmp_path, 8)
    path = reports.write(study.collect([(tmp_path, run(), METRICS)]), tmp_path)
    steps = list(json.loads((tmp_path / "example_steps.json").read_text())["frames"])
    shown = "[...document.querySelectorAll('.moment')].filter(e => e.getClientRects().length).map(e => e.alt)"
    browser.open(path, 390)
    assert browser.run(shown) == steps[:1]
    browser.run("document.querySelector('.steps input').focus()")
    for step in steps[1:]:
        for kind in ("keyDown", "keyUp"):
            browser.ask("Input.dispatchKeyEvent", type=kind, key="ArrowRight", windowsVirtualKeyCode=39)
        assert browser.run(shown) == [step] == [browser.run("document.querySelector('output').value")]
    width = "document.querySelector('.moment:not([hidden])').getBoundingClientRect().width"
    before = browser.run(width)
    browser.run("document.querySelector('.enlarge input').click()")
    assert browser.run(width) > 1.9 * before and before < 390
    assert browser.run("document.documentElement.scrollWidth") == 390  # the picture scrolls in its box
    assert browser.complaints() == []
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(path, 390)
    browser.ask("Emulation.setScriptExecutionDisabled", value=False)
    assert browser.run(shown) == steps


def colours(png):
    """The different colours in every 16th row of a PNG with 8-bit RGB or RGBA pixels."""
    width, height, _, kind = struct.unpack(">IIBB", png[16:26])
    channels = {2: 3, 6: 4}[kind]
    data, place = b"", 8
    while place < len(png):
        length, name = struct.unpack(">I4s", png[place : place + 8])
        data += png[place + 8 : place + 8 + length] if name == b"IDAT" else b""
        place += 12 + length
    raw, stride = zlib.decompress(data), 1 + channels * width
    rows = (raw[k * stride + 1 : (k + 1) * stride] for k in range(0, height, 16))
    return {row[k : k + channels] for row in rows for k in range(0, len(row), channels)}
