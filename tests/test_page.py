"""report.html of made-up and recorded runs: its structure, its numbers, its words, and that names cannot break it."""

import functools
import html.parser
import itertools
import json
import re
from pathlib import Path

import pytest
from made_up_runs import EVIL, METRICS, bare, broken, collect, detailed_run, elsewhere, everything, large, run

from nar.reports import report
from nar.reports.charts import axis, chart
from nar.reports.number_format import number
from nar.reports.rendering import html as rendering
from nar.results import statistics, study

RESULTS = Path(__file__).parent.parent / "results"
VOID = {"meta", "img", "path"}


def document(found, against=None):
    """The text of the page."""
    return rendering.page(report.document(found, against))


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
    return {name: document(found) for name, found in made.items()}


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
    assert EVIL not in text and EVIL.replace('"', "&#34;") not in text
    found = parse(text)
    assert not found.all("b")
    assert any(cell["text"] == EVIL for cell in found.all("th") + found.all("td"))
    assert any(EVIL in svg["aria-label"] for svg in found.all("svg") if "aria-label" in svg)


def test_the_numbers_of_the_page_are_those_of_the_study(recorded, texts):
    found = recorded
    rows = parse(texts["recorded"]).table("Scores of every algorithm, label and size")[1:]
    assert len(rows) == len(found.groups) == 20
    for row in rows:
        (group,) = found.select(algorithm=row[0], label=row[1], size=int(row[2]))
        for place, name in ((4, "score"), (6, "exact"), (7, "valid")):
            wanted = statistics.interval(group.values(name))
            assert row[place] == f"{100 * wanted.mean:.2f} [{100 * wanted.low:.2f}, {100 * wanted.high:.2f}]"
        assert row[5] == ", ".join(f"{100 * value:.2f}" for value in group.values("score"))
        assert row[3] == f"{int(row[2]) / 16:g}x"


def test_the_marks_lie_where_the_numbers_are():
    found = collect(*[detailed_run(seed=seed) for seed in range(3)])
    text = document(found)
    (panel,) = [e for e in parse(text).all("svg") if "node score" in e.get("aria-label", "")]
    y = axis.percent_axis("node score (%)", [v for group in found.groups for v in group.values("score")] + [0.9989])
    low, high = chart.HEIGHT - chart.BOTTOM, chart.TOP  # of the plot, downwards
    for group in found.groups:
        mean = 100 * statistics.interval(group.values("score")).mean
        assert f"{number(mean)}% at {group.size}" in panel["aria-label"]
        (mark,) = re.findall(rf"<title>mpnn at {group.size}: {mean:.2f}[^<]*</title><path d=\"M([\d.]+) ([\d.]+)", text)
        assert float(mark[1]) == pytest.approx(low + (high - low) * (mean - y.low) / (100 - y.low), abs=0.06)
        for value in group.values("score"):
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
    nothing = document(collect(run(evaluations=[])))
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
    results = detailed_run()
    for entry in results["evaluations"]:
        entry["outputs"]["d"] = {"metric": "mse", "value": 0.1}
        entry["score"] = 0.25
    text = document(collect(results))
    assert {row[4] for row in parse(text).table("Scores of every algorithm, label and size")[1:]} == {"0.25 (error)"}
    assert "25.00" not in text


def test_errors_on_the_way_have_shares_of_graphs(texts):
    rows = parse(texts["everything"]).table("First errors")[1:]
    assert rows and all(float(row[4].split(" [")[0]) <= 100 for row in rows)


def test_comparisons_are_paired_by_seed_and_against_the_reference(recorded, texts):
    found = recorded
    rows = parse(document(found, against="mpnn")).table("Differences between labels")[1:]
    assert {row[1] for row in rows} == {"triplet_gmpnn minus mpnn"}
    row = next(row for row in rows if row[0] == "bellman_ford" and row[2] == "256")
    ours, theirs = (found.select("bellman_ford", label, 256)[0].by_seed("score") for label in ("triplet_gmpnn", "mpnn"))
    wanted = statistics.paired(ours, theirs)
    assert row[3].startswith(f"{100 * wanted.difference.mean:.2f} [") and row[5] == f"{wanted.p:.3g}"
    default = parse(texts["recorded"]).table("Differences between labels")[1:]
    assert {row[1] for row in default} == {"mpnn minus triplet_gmpnn"}


def test_labels_are_not_compared_on_different_graphs():
    gat = [detailed_run(processor="gat", seed=seed) for seed in (0, 1)]
    mpnn = [detailed_run(seed=seed) for seed in (0, 1)]
    assert "comparisons-heading" in document(collect(*mpnn, *gat))
    for results in gat:
        results["evaluations"] = [elsewhere(entry) for entry in results["evaluations"]]
    assert "comparisons-heading" not in document(collect(*mpnn, *gat))


def test_a_large_study_stays_a_page_that_opens():
    text = document(large(algorithms=6, networks=9))
    assert len(text) < 3_000_000
    found = parse(text)
    assert len([e for e in found.all("svg") if "aria-hidden" not in e]) < 400
    assert "These are the first 48 of" in text or "With so many runs" in text
    assert len(found.table("Scores of every algorithm, label and size")) == 6 * 9 * 3 + 1


def test_ten_runs_weigh_less_than_a_photograph(texts):
    assert len(texts["recorded"].encode()) < 400_000  # of twelve runs
    assert len(texts["everything"].encode()) < 1_500_000


def test_a_picture_of_a_rollout_is_taken_in_with_its_words(tmp_path):
    (tmp_path / "example.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    (tmp_path / "example.txt").write_text("Node 3 points to 2 <instead> of 1.\n")
    text = document(study.collect([(tmp_path, run(), METRICS)]))
    (image,) = parse(text).all("img")
    assert image["alt"] == "Node 3 points to 2 <instead> of 1."
    assert image["src"].startswith("data:image/svg+xml;base64,") and "<script" not in text
    (tmp_path / "example.svg").write_text("x" * 400_000)
    assert not parse(document(study.collect([(tmp_path, run(), METRICS)]))).all("img")


def test_every_setting_and_every_hash_is_there(recorded, texts):
    found, text = recorded, texts["recorded"]
    rows = {row[0]: row[1] for row in parse(text).table("Settings")[1:]}
    assert set(rows) == {name for one in found.runs for name in one.results["config"]}
    assert rows["hidden"] == "128" and "mpnn (" in rows["processor"] and "triplet_gmpnn (" in rows["processor"]
    assert all(group.data["sha256"] in text for group in found.groups)
    assert all(one.results["command"] in text for one in found.runs)


def test_results_of_the_first_schema_are_read(tmp_path):
    (tmp_path / "results.json").write_text((RESULTS / "bfs-mpnn/seed0/results.json").read_text())
    assert json.loads((tmp_path / "results.json").read_text())["schema"] == 1
    assert "bfs with mpnn" in document(study.read(tmp_path))
