"""What notebooks show of traces, predictions and results; the tutorial of docs/, cell by cell."""

import ast
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
from answers import perfect, untrained
from made_up_runs import run

import nar
from nar.evaluation.evaluate import evaluate
from nar.results.schema import RunResults, upgraded

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.ipynb"


def rows(page):
    """The cells of every table's body; fails where the HTML is not well formed."""
    tree = ET.fromstring(f"<div>{page}</div>")
    return [[cell.text or "" for cell in row] for row in tree.iterfind(".//tbody/tr")]


def shown(value):
    """As a notebook shows the last line of a cell."""
    return value._repr_html_() if hasattr(value, "_repr_html_") else repr(value)


def test_the_tutorial_runs_as_it_stands(tmp_path, monkeypatch, no_report):
    notebook = json.loads(TUTORIAL.read_text())
    assert notebook["nbformat"] == 4
    monkeypatch.chdir(tmp_path)
    scope, displays = {"__name__": "__main__"}, []
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        assert not cell["outputs"] and cell["execution_count"] is None  # kept clean
        *lines, last = ast.parse("".join(cell["source"])).body
        exec(compile(ast.Module(lines, []), "cell", "exec"), scope)
        if isinstance(last, ast.Expr):
            displays.append(shown(eval(compile(ast.Expression(last.value), "cell", "eval"), scope)))
        else:
            exec(compile(ast.Module([last], []), "cell", "exec"), scope)
    trace, solver, prediction, distances, *_, results = displays
    assert trace.startswith("<pre") and "step 4" in trace and solver.startswith("Solver(dijkstra: relational")
    assert sorted(row[0] for row in rows(prediction)) == ["Bern", "Brig", "Olten", "Thun"]
    assert "64" in distances and rows(results)[0][:2] == ["bfs", "8"]


def test_a_trace_is_its_steps():
    trace = nar.datasets.get("minimum").run(A=[3, 1, 2])
    page = ET.fromstring(trace._repr_html_())
    assert page.tag == "pre" and "minimum: 3 nodes, 3 steps" in page.text and "min 1" in page.text


def test_a_prediction_is_a_table_with_what_is_wrong_first(roads):
    found = perfect("bfs").run(roads, source="a")
    assert ["a", "'a'", "100%", "'a'"] in rows(found._repr_html_()) and "#c00" not in found._repr_html_()
    wrong = untrained("bfs").run(roads, source="a")
    right = [wrong.outputs["pi"][node] == truth for node, truth in wrong.truth["pi"].items()]
    assert not all(right)
    page = ET.fromstring(f"<div>{wrong._repr_html_()}</div>")
    red = ["#c00" in row.get("style", "") for row in page.iterfind(".//tbody/tr")]
    assert red == sorted(red, reverse=True) and sum(red) == len(right) - sum(right)
    odd = np.array([[0, 1.0], [1, 0]])
    import networkx as nx

    named = nx.relabel_nodes(nx.from_numpy_array(odd), {0: "<b>&", 1: "x"})
    assert rows(perfect("bfs").run(named, source="x")._repr_html_())[0][0] in ("<b>&", "x")


def test_outputs_of_every_form_are_shown():
    for name in ("minimum", "insertion_sort", "floyd_warshall", "segments_intersect", "articulation_points"):
        algorithm = nar.datasets.get(name)
        inputs = algorithm.sample(np.random.RandomState(0), max(5, algorithm.min_nodes))
        for solver in (perfect(name), untrained(name, "deepsets")):
            found = rows(solver.run(**inputs)._repr_html_())
            assert 1 <= len(found) <= 20 and {len(row) for row in found} == {4}


def test_results_are_a_table_of_scores():
    results = upgraded(run("bfs", scores=(0.9, 0.5)))
    assert isinstance(results, RunResults) and json.loads(json.dumps(results)) == results
    assert [row[1] for row in rows(results._repr_html_())] == ["16", "64"]
    assert rows(results._repr_html_())[0][5:] == ["90.00%", "45.00%", ""]
    algorithm, rng = nar.datasets.get("bfs"), np.random.RandomState(0)
    found = evaluate(perfect("bfs").reasoner.eval(), algorithm, [algorithm.run(**algorithm.sample(rng, 5))] * 2)
    assert ["every output right", "2 of 2 graphs"] in rows(found._repr_html_())
