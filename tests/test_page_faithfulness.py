"""The report page on what `nar faithfulness` measured: values, baselines, and nothing where nothing is there."""

from made_up_runs import collect, measured, measured_row, run
from test_page import document, parse


def told(*contents, **changed):
    """The page of runs of mpnn on bfs, one seed each, of which these things were measured."""
    return document(collect(*(run(seed=seed, **changed) for seed in range(len(contents))), measured=contents))


def test_faithfulness_is_shown_over_seeds_beside_its_baselines():
    text = told(measured(["bfs"], 0.9), measured(["bfs"], 0.8), None)
    header, *rows = parse(text).table("Faithfulness")
    found = {line[1]: dict(zip(header, line, strict=True)) for line in rows}
    assert list(found) == ["mpnn", "mpnn, untrained", "compiled reference", "compiled reference, shuffled"]
    assert [line["seeds"] for line in found.values()] == ["2", "1", "–", "–"]
    ours, made = found["mpnn"], [measured_row("bfs", "trained", level) for level in (0.9, 0.8)]
    for column, part, name in (
        ("hints (%)", "external", "area"), ("acting (%)", "external", "acting"),
        ("ignored (%)", "interventions", "ignored"), ("followed (%)", "interventions", "followed"),
        ("ignored at every step (%)", "interventions", "ignored_throughout"), ("sources (%)", "sources", "mass"),
    ):  # fmt: skip
        one, other = (100 * entry[part][name] for entry in made)
        assert ours[column] == f"{(one + other) / 2:.2f} [{other:.2f}, {one:.2f}]", column
    assert ours["score (%)"] == "85.00 [80.00, 90.00]" and ours["chance (%)"] == "12.50" and ours["valid (%)"] == "–"
    assert found["compiled reference"]["followed (%)"] == "100.00"
    assert found["mpnn, untrained"]["hints (%)"] == f"{100 * 0.3**1.5:.2f}"  # of both runs the same: counted once
    probes = parse(text).table("Linear probes")[1:]
    assert ["bfs", "mpnn", "64", "d", "explained variance", "55.00 [40.00, 70.00]"] in probes
    assert ["bfs", "compiled reference", "64", "u", "accuracy", "100.00"] in probes
    assert "nar faithfulness runs/*" in text and "commit abc1234; torch 2.13.0" in text


def test_the_figure_of_faithfulness_says_what_it_shows():
    text = told(measured(["bfs"], 0.9), measured(["bfs"], 0.8))
    found = parse(text)
    (section,) = found.all("section", id="faithfulness")
    inside = [e for e in found.elements if section in e["parents"]]
    does, states = (e["aria-label"] for e in inside if e["tag"] == "svg" and "aria-label" in e)
    assert does.startswith("bfs, n = 64; edges changed at n = 16, what it does: share (%). Chance of sources: 12.5.")
    assert "mpnn: score 85, " in does and "compiled reference: score 100, hints 100, acting 100, ignored 100" in does
    assert "mpnn, untrained: d (variance) -110, msk_of_a_l… (balanced) 65, u (accuracy) 9." in states
    marks = [e.get("class") for e in inside if e["tag"] == "path"]
    assert marks.count("c0 dot") == 1 + 6 + 3 and marks.count("c0 seed") == 6 + 3  # with the one of the legend
    assert marks.count("c0 bar") == 6 + 3  # of two seeds; the untrained network is one


def test_what_was_not_measured_is_not_shown():
    assert "faithfulness-heading" not in told(None)
    sort = measured_row("insertion_sort", "trained", 0.9, sources=False) | {"interventions": None, "external": None}
    text = told(measured([], rows=[sort | {"outputs": {"x": {"metric": "mse", "value": 0.25}}, "score": 0.25}]))
    section = text.split('id="faithfulness-heading"')[1].split("</section>")[0]
    assert "insertion_sort, n = 64: what its hidden states tell" in section and "edges changed at" not in section
    assert "sources</strong>" not in section and "what it does" not in section  # an error is no share
    assert parse(text).table("Faithfulness")[1][6:] == ["0.25 (error)", "65.61", *["–"] * 8]


def test_what_was_measured_on_other_graphs_has_panels_of_its_own():
    text = told(measured(["bfs"], 0.9), measured(["bfs"], 0.8, size=32), measured(["bfs"], 0.7, size=32))
    rows = [line for line in parse(text).table("Faithfulness")[1:] if line[1] == "mpnn"]
    assert [line[2:4] + line[6:7] for line in rows] == [
        ["2", "32", "75.00 [70.00, 80.00]"],
        ["1", "64", "90.00"],
    ]
    assert "bfs, n = 32; edges" in text and "bfs, n = 64; edges" in text
