"""report.html of made-up and recorded runs: its structure, its numbers, its words, and that names cannot break it."""

import functools
import html.parser
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_up_runs import EVIL, bare, broken, everything, large, run

from nar.reports.html import axis as page_axis
from nar.reports.html import chart, context, elements, page
from nar.reports.html import steps as page_steps
from nar.reports.html.sections import errors
from nar.results import statistics, study

RESULTS = Path(__file__).parent.parent / "results"
VOID = {"meta", "img", "br", "path", "link", "input"}


class Page(html.parser.HTMLParser):
    """The elements of a page, the text of each, and whether they are nested as they are closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.texts = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "text": "", "inside": [e["tag"] for e in self.open], **dict(attributes)}
        element["parents"] = list(self.open)
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open[-1]["tag"] == tag, (
            f"</{tag}> closes {self.open[-1]['tag'] if self.open else None}"
        )
        self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag, **attributes):
        return [e for e in self.elements if e["tag"] == tag and all(e.get(k) == v for k, v in attributes.items())]

    def table(self, name):
        """The rows of the table in the box of this name."""
        (box,) = [e for e in self.all("div", role="region") if e["aria-label"] == name]
        rows = [e for e in self.all("tr") if box in e["parents"]]
        return [
            [c["text"] for c in self.elements if c["tag"] in ("td", "th") and c["parents"][-1] is row] for row in rows
        ]


parse = functools.lru_cache(maxsize=16)(Page)  # several tests look at one page


@pytest.fixture(scope="module")
def recorded():
    """The recorded runs of the checkout: two algorithms, two networks, three seeds."""
    return study.read(RESULTS)


@pytest.fixture(scope="module")
def texts(recorded):
    made = {"everything": everything(), "bare": bare(), "broken": broken(), "recorded": recorded}
    return {name: page.document(found) for name, found in made.items()}


@pytest.fixture(scope="module", params=["everything", "bare", "broken", "recorded"])
def text(request, texts):
    return texts[request.param]


def test_it_is_a_whole_document_without_anything_from_elsewhere(text):
    found = parse(text)
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">') and not found.open
    assert not {"script", "link", "iframe", "object", "embed"} & {e["tag"] for e in found.elements}
    for element in found.elements:
        for name in ("src", "srcset", "data", "xlink:href", "poster"):
            assert (element.get(name) or "data:").startswith("data:"), element
        assert element["tag"] == "a" or "href" not in element
        assert "url(" not in (element.get("style") or "") and not any(k.startswith("on") for k in element)
    assert "@import" not in text and "url(" not in text and "@font-face" not in text
    for link in found.all("a"):
        assert link["href"].startswith(("#", "https://"))


def test_ids_are_unique_and_links_go_somewhere(text):
    found = parse(text)
    ids = [e["id"] for e in found.elements if "id" in e]
    assert len(ids) == len(set(ids))
    wanted = [e["href"][1:] for e in found.all("a") if e["href"].startswith("#")]
    wanted += [e["aria-labelledby"] for e in found.elements if "aria-labelledby" in e]
    assert set(wanted) <= set(ids) and len(wanted) > 4
    sections = found.all("section")
    assert [e["href"][1:] for e in found.all("a") if "nav" in e["inside"]] == [s["id"] for s in sections]


def test_headings_go_down_one_level_at_a_time(text):
    levels = [int(e["tag"][1]) for e in parse(text).elements if re.fullmatch("h[1-6]", e["tag"])]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_every_picture_has_an_alternative_and_every_figure_a_caption_and_its_numbers(text):
    found = parse(text)
    for svg in found.all("svg"):
        hidden = svg.get("aria-hidden") == "true"
        assert hidden or (svg["role"] == "img" and len(svg["aria-label"]) > 25), svg
        assert "nan" not in svg["aria-label"].lower().split() if not hidden else True
    assert all(len(e["alt"]) > 20 for e in found.all("img"))
    for figure in found.all("figure"):
        inner = [e for e in found.elements if figure in e["parents"]]
        assert sum(e["tag"] == "figcaption" and len(e["text"]) > 30 for e in inner) == 1
        assert any(e["tag"] == "table" for e in inner)
    assert all(e.get("tabindex") == "0" and e["aria-label"] for e in found.all("div", role="region"))


def test_no_number_that_is_none_is_drawn_or_written(text):
    assert not re.search(r'(?i)[ "MLHV,.](nan|inf|none)[ "LHVz.]', "".join(re.findall(r' d="[^"]*"', text)))
    cells = [e["text"] for e in parse(text).all("td")]
    assert not {"nan", "NaN", "None", "inf"} & set(cells)


def test_hostile_names_stay_text(texts):
    text = texts["everything"]
    assert EVIL not in text and EVIL.replace('"', "&quot;") not in text
    found = parse(text)
    assert not found.all("b")
    assert any(cell["text"] == EVIL for cell in found.all("th") + found.all("td"))
    assert any(EVIL in svg["aria-label"] for svg in found.all("svg") if "aria-label" in svg)


def test_element_escapes_and_leaves_out():
    made = elements.element("a", "<&", None, elements.element("b", "x"), href="\"'<", class_=None, hidden=True)
    assert made == '<a href="&quot;&#x27;&lt;" hidden>&lt;&amp;<b>x</b></a>'
    assert elements.element("path", d="M0 0") == '<path d="M0 0"/>'


def test_equal_results_give_equal_bytes_without_torch(texts, tmp_path):
    first = page.write(everything(), tmp_path / "deep" / "a")
    assert first == tmp_path / "deep" / "a" / "report.html"
    assert first.read_text(encoding="utf-8") == texts["everything"]
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
        "import made_up_runs as m; from nar.reports.html import page; "
        f"page.write(m.everything(), {str(tmp_path / 'c')!r}); "
        "print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    assert (tmp_path / "c" / "report.html").read_bytes() == first.read_bytes()  # whatever the hashes of strings


def test_the_numbers_of_the_page_are_those_of_the_study(recorded, texts):
    found = recorded
    rows = parse(texts["recorded"]).table("Scores of every algorithm, label and size")[1:]
    assert len(rows) == len(found.cells) == 20
    for row in rows:
        (cell,) = found.select(algorithm=row[0], label=row[1], size=int(row[2]))
        for place, name in ((4, "score"), (6, "exact"), (7, "valid")):
            wanted = statistics.interval(cell.values(name))
            assert row[place] == f"{100 * wanted.mean:.2f} [{100 * wanted.low:.2f}, {100 * wanted.high:.2f}]"
        assert row[5] == ", ".join(f"{100 * value:.2f}" for value in cell.values("score"))
        assert row[3] == f"{int(row[2]) / 16:g}x"


def test_the_marks_lie_where_the_numbers_are():
    found = study.collect([run("bfs", "mpnn", seed) for seed in range(3)])
    text = page.document(found)
    (panel,) = [e for e in parse(text).all("svg") if "node score" in e.get("aria-label", "")]
    y = page_axis.percent_axis("node score (%)", [v for cell in found.cells for v in cell.values("score")] + [0.9989])
    low, high = chart.HEIGHT - chart.BOTTOM, chart.TOP  # of the plot, downwards
    for cell in found.cells:
        mean = 100 * statistics.interval(cell.values("score")).mean
        assert f"{elements.number(mean)}% at {cell.size}" in panel["aria-label"]
        (mark,) = re.findall(
            rf"<title>mpnn, n = {cell.size}: {mean:.2f}[^<]*</title><path d=\"M([\d.]+) ([\d.]+)", text
        )
        assert float(mark[1]) == pytest.approx(low + (high - low) * (mean - y.low) / (100 - y.low), abs=0.06)
        for value in cell.values("score"):
            assert f": {100 * value:.2f}</title>" in text
    assert "Published for MPNN: 99.89% ± 0.05 over 3 seeds (Ibarz et al. 2022)." in panel["aria-label"]


def test_the_answer_in_words(texts):
    lead = parse(texts["recorded"]).all("p", **{"class": "lead"})[0]["text"].replace("\u00a0", " ")
    assert "learned bellman_ford and bfs on graphs of at most 16 nodes: 12 runs, 3 seeds each (0, 1 and 2)." in lead
    assert "On bellman_ford with 64 nodes, mpnn scores 97.35% [96.97, 98.10] and triplet_gmpnn scores 97.62%" in lead
    assert "with every output right in 20.8% and 17.7% of graphs" in lead
    assert "with 256 nodes (16 times as many as in training) 90.95% and 93.64%" in lead
    # three seeds: clear of zero only where all three agree
    assert "lies above zero for mpnn in 0 and below zero in 1 of 4 comparisons." in lead
    one = parse(texts["bare"]).all("p", **{"class": "lead"})[0]["text"]
    assert "in one run with seed 7" in one and "[" not in one


def test_one_seed_has_no_interval_and_says_so(texts):
    text = texts["bare"]
    assert "One seed each, so there is no interval." in text
    assert "[" not in "".join(row[4] for row in parse(text).table("Scores of every algorithm, label and size")[1:])
    assert "hints-heading" not in text and "errors-heading" not in text  # nothing to show, no section
    assert 'class="c0 bar"' not in text


def test_runs_without_results_are_named(texts):
    text = texts["broken"]
    assert "Interrupted at step 120 of 10,000" in text and "120 of 10,000" in text
    rows = parse(text).table("Every run")
    assert [row[0] for row in rows[1:]] == ["bfs", "dijkstra"]
    nothing = page.document(study.collect([run("bfs", "mpnn", 0, evaluations=[])]))
    assert "No run has been evaluated" in nothing and "score-heading" not in nothing


def test_the_sections_are_those_of_the_results(texts):
    ids = [e["id"] for e in parse(texts["everything"]).all("section")]
    assert ids == ["score", "heat-map", "comparisons", "hints", "errors", "faithfulness", "termination", "settings",
                   "measures", "cost", "training", "made"]  # fmt: skip
    text = texts["everything"]
    for said in ("barabasi_albert", "ties", "fixed point", "learned", "gate", "mpnn, trained on bellman_ford"):
        assert said in text
    rows = parse(text).table("Termination")[1:]
    assert {row[3] for row in rows} == {"oracle", "fixed point", "learned"}
    (needed, taken) = next((row[6], row[7]) for row in rows if row[3] == "learned")
    assert needed != taken and next(row for row in rows if row[3] == "oracle")[6:8] == [needed, needed]


def test_errors_are_not_written_as_percentages():
    path, results, metrics = run("bfs", "mpnn", 0)
    for entry in results["evaluations"]:
        entry["outputs"]["d"] = {"metric": "mse", "value": 0.1}
        entry["score"] = 0.25
    text = page.document(study.collect([(path, results, metrics)]))
    assert {row[4] for row in parse(text).table("Scores of every algorithm, label and size")[1:]} == {"0.25 (error)"}
    assert "25.00" not in text


def test_survival_counts_graphs_before_their_first_error(texts):
    steps = [1, 3, 3, None]
    assert errors.survival(steps, 5, corners=False) == [(0, 1.0), (1, 0.75), (3, 0.25), (5, 0.25)]
    assert errors.survival(steps, 5) == [(0, 1.0), (1, 1.0), (1, 0.75), (3, 0.75), (3, 0.25), (5, 0.25)]
    rows = parse(texts["everything"]).table("First errors")[1:]
    assert rows and all(float(row[4]) <= 100 for row in rows)


def test_spread_over_seeds_of_unequal_length_and_with_gaps():
    found = page_steps.spread([[0.5, None, 0.25], [1.0, float("nan")]])
    assert found[0] == (0.75, 0.5, 1.0)
    assert all(value != value for value in found[1])
    assert found[2] == (0.25, 0.25, 0.25)


@pytest.mark.parametrize(
    ("axis", "value", "place"),
    [
        (page_axis.Axis("x", 0, 10, []), 2.5, 0.25),
        (page_axis.Axis("x", 1, 100, [], log=True), 10, 0.5),
        (page_axis.Axis("y", 3, -1, []), 0, 0.75),  # the first row above
        (page_axis.Axis("y", 3, -1, []), 3, 0.0),
        (page_axis.Axis("x", 0, 10, []), 11, 1.0),
    ],
)
def test_places_on_axes(axis, value, place):
    assert axis.place(value) == pytest.approx(place)


@pytest.mark.parametrize(
    ("shares", "low"), [([0.99, 0.91], 90), ([0.899], 80), ([0.9], 80), ([0.62], 50), ([0.3], 0), ([], 0)]
)
def test_percent_axes_begin_below_the_least(shares, low):
    axis = page_axis.percent_axis("score (%)", shares)
    assert (axis.low, axis.high, axis.ticks[0][0], axis.ticks[-1][0]) == (low, 100, low, 100)


@pytest.mark.parametrize("values", [[0.5], [1e-9, 3.0], [12, 14], [600, 380], [1e-5], [0, -1], [1, 1e9]])
def test_log_axes_always_have_ticks_within(values):
    axis = page_axis.log_axis("x", values)
    assert 1 <= len(axis.ticks) <= 9
    assert all(axis.low <= tick <= axis.high for tick, _ in axis.ticks)
    assert len({label for _, label in axis.ticks}) == len(axis.ticks)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (float("nan"), "–"), (414468, "414,468"), (0.12345, "0.123"), (1234.5, "1,234"), (1.5e-5, "1.50e-5"),
     (0, "0"), (3.0, "3")],
)  # fmt: skip
def test_numbers(value, text):
    assert elements.number(value) == text


def test_intervals_are_written_as_mean_and_brackets():
    assert elements.with_interval(0.9735, 0.9697, 0.981) == "97.35 [96.97, 98.10]"
    assert elements.with_interval(0.5, None, None) == "50.00"


def test_series_differ_by_more_than_their_colour():
    styles = [chart.named_style(k) for k in range(28)]
    assert len({(s.marker, s.dash) for s in styles}) == len(set(styles)) == 28
    sizes = [chart.ordered_style(k, 6) for k in range(6)]
    assert len({s.color for s in sizes}) == len({s.marker for s in sizes}) == 6


# What is left of linear RGB for eyes without one kind of cones: Machado, Oliveira and Fernandes 2009, severity 1
CONES = {
    "all": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def lab(color, cones):
    """The CIELAB coordinates of "#rrggbb" as these cones see it."""
    rgb = np.array([int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(CONES[cones]) @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in xyz / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("cones", CONES)
@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize(("kind", "count"), [("c", 7), ("o", 6)])
def test_colours_are_told_apart_by_colour_blind_readers(cones, scheme, kind, count):
    css = Path(page.__file__).with_name("page.css").read_text()
    colors = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", css.split("prefers-color-scheme: dark")[scheme]))
    seen = [lab(colors[f"{kind}{k}"], cones) for k in range(count)]
    assert (
        min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 9
    )  # a just visible difference is 2.3


def test_comparisons_are_paired_by_seed_and_against_the_reference(recorded, texts):
    found = recorded
    rows = parse(page.document(found, against="mpnn")).table("Differences between labels")[1:]
    assert {row[1] for row in rows} == {"triplet_gmpnn minus mpnn"}
    row = next(row for row in rows if row[0] == "bellman_ford" and row[2] == "256")
    ours, theirs = (found.select("bellman_ford", label, 256)[0].by_seed("score") for label in ("triplet_gmpnn", "mpnn"))
    wanted = statistics.paired(ours, theirs)
    assert row[3].startswith(f"{100 * wanted.difference.mean:.2f} [") and row[4] == f"{wanted.p:.3g}"
    default = parse(texts["recorded"]).table("Differences between labels")[1:]
    assert {row[1] for row in default} == {"mpnn minus triplet_gmpnn"}


def test_labels_are_not_compared_on_different_graphs():
    first, second = run("bfs", "mpnn", 0), run("bfs", "gat", 0)
    for entry in second[1]["evaluations"]:
        entry["data"]["sha256"] = "0" * 64
    more = [run("bfs", "mpnn", 1), run("bfs", "gat", 1)]
    for entry in more[1][1]["evaluations"]:
        entry["data"]["sha256"] = "0" * 64
    assert "comparisons-heading" not in page.document(study.collect([first, second, *more]))


def test_a_large_study_stays_a_page_that_opens():
    text = page.document(large(algorithms=6, networks=9))
    assert len(text) < 3_000_000
    found = parse(text)
    assert len([e for e in found.all("svg") if "aria-hidden" not in e]) < 400
    assert "These are the first 48 of" in text or "With so many runs" in text
    assert len(found.table("Scores of every algorithm, label and size")) == 6 * 9 * 3 + 1


def test_ten_runs_weigh_less_than_a_photograph(texts):
    assert len(texts["recorded"].encode()) < 400_000  # of twelve runs
    assert len(texts["everything"].encode()) < 1_500_000


def test_a_picture_of_a_rollout_is_taken_in_with_its_words(tmp_path):
    _, results, metrics = run("bfs", "mpnn", 0)
    (tmp_path / "example.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    (tmp_path / "example.txt").write_text("Node 3 points to 2 <instead> of 1.\n")
    text = page.document(study.collect([(tmp_path, results, metrics)]))
    (image,) = parse(text).all("img")
    assert image["alt"] == "Node 3 points to 2 <instead> of 1."
    assert image["src"].startswith("data:image/svg+xml;base64,") and "<script" not in text
    (tmp_path / "example.svg").write_text("x" * 400_000)
    assert not parse(page.document(study.collect([(tmp_path, results, metrics)]))).all("img")


def test_every_setting_and_every_hash_is_there(recorded, texts):
    found, text = recorded, texts["recorded"]
    rows = {row[0]: row[1] for row in parse(text).table("Settings")[1:]}
    assert set(rows) == {name for one in found.runs for name in one.results["config"]}
    assert rows["hidden"] == "128" and "mpnn (" in rows["processor"] and "triplet_gmpnn (" in rows["processor"]
    assert all(cell.data["sha256"] in text for cell in found.cells)
    assert all(one.results["command"] in text for one in found.runs)


def test_results_of_the_first_schema_are_read(tmp_path):
    (tmp_path / "results.json").write_text((RESULTS / "bfs-mpnn/seed0/results.json").read_text())
    assert json.loads((tmp_path / "results.json").read_text())["schema"] == 1
    assert "bfs with mpnn" in page.write(study.read(tmp_path), tmp_path).read_text()


def test_values_that_are_not_numbers_are_left_out_of_means():
    found = study.collect([run("bfs", "mpnn", seed) for seed in range(3)])
    cell = found.cells[0]
    cell.entries[0]["score"] = float("nan")
    cell.entries[1]["score"] = None
    assert context.interval(cell, "score").n == 1
    assert context.written(cell) == f"{100 * cell.entries[2]['score']:.2f}"
