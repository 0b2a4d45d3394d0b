"""The picture of a model's trace beside the algorithm's: what is red, which steps are drawn, names, files, examples."""

import dataclasses
import json
import re
import xml.etree.ElementTree
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from answers import exact

import nar
from nar import datasets
from nar.analysis.references import compiled
from nar.inference import comparison, example
from nar.model.reasoner import Reasoner
from nar.traces.drawing import figure

RED = "#D55E00"
KINDS = (  # graphs, tables with and without one, boxes, points
    "automaton", "bellman_ford", "bridges", "dag_shortest_paths", "floyd_warshall", "graham_scan", "insertion_sort",
    "lcs_length", "minimum", "naive_string_matcher", "optimal_bst", "segments_intersect",
    "strongly_connected_components",
)  # fmt: skip


@pytest.fixture
def graph():
    graph = nx.Graph()
    graph.add_weighted_edges_from([("a", "b", 0.5), ("b", "c", 2.0), ("a", "c", 3.0), ("c", "d", 0.25)])
    return graph


@pytest.fixture
def right(graph):
    return exact("bellman_ford").run(graph, source="a")


def changed(prediction, **entries):
    """The prediction with some hints (by name: step, node, value) as the model might have had them."""
    hints = {name: value.copy() for name, value in prediction.hints.items()}
    for name, (s, node, value) in entries.items():
        hints[name][s, node] = value
    return dataclasses.replace(prediction, hints=hints)


def panels(page):
    return {axes.texts[0].get_text().replace("\u00a0", " "): axes for axes in page.axes}


def heading(axes):
    """All lines above a panel, as one."""
    lines = [text for text in axes.texts if text.get_fontsize() == 8.5 and text.get_position()[0] == 0.03]
    return " ".join(text.get_text() for text in lines).replace("\u00a0", " ")


def red(axes):
    return [text.get_text() for text in axes.texts if text.get_color() == RED]


def test_every_step_is_drawn_beside_the_algorithms(right):
    page = right.draw(moments=4)
    titles = list(panels(page))
    assert titles[:4] == [
        "inputs",
        "start, given to both",
        "algorithm: step 1 of 3",
        "model: step 1 of 3, nothing wrong",
    ]
    assert titles[-2:] == ["algorithm: outputs", "model: outputs, nothing wrong"] and len(titles) == 4 + 4 + 2
    for left, other in zip(page.axes[::2], page.axes[1::2], strict=True):
        assert left.get_position().y0 == other.get_position().y0 and left.get_position().x0 < other.get_position().x0
    assert not any(red(axes) for axes in page.axes)


def test_what_is_wrong_is_red_and_counted(right):
    """`d` of node 2 (true: 2.5, range 0 to 2.75) is off by a lot, that of node 1 by little; a mask is wrong."""
    wrong = changed(right, d=(1, 2, 9.0), msk=(1, 3, 0))
    wrong.hints["d"][1, 1] += 0.05
    axes = next(axes for axes in wrong.draw(moments=4).axes if heading(axes).startswith("model: step 2 of 3"))
    assert heading(axes) == "model: step 2 of 3, 1 decision, 1 number wrong"
    assert red(axes) == ["9"]
    (nodes,) = (found for found in axes.collections if type(found).__name__ == "PathCollection")
    rims = [tuple(color[:3]) == pytest.approx((213 / 255, 94 / 255, 0)) for color in nodes.get_edgecolors()]
    assert rims == [False, False, False, True]  # msk of d
    assert wrong.summary()[1] == "The model leaves the algorithm's trace at step 2 of 3: msk at d."
    assert right.summary()[1] == "Every decision on the way is the algorithm's."


def test_a_pointer_that_wrongly_points_to_its_own_node_has_a_red_rim(right):
    """No arrow could be red."""
    wrong = changed(right, pi_h=(1, 1, 1))
    axes = next(axes for axes in wrong.draw(moments=4).axes if heading(axes).startswith("model: step 2 of 3"))
    assert heading(axes) == "model: step 2 of 3, 1 decision wrong"
    (nodes,) = (found for found in axes.collections if type(found).__name__ == "PathCollection")
    rims = [tuple(color[:3]) == pytest.approx((213 / 255, 94 / 255, 0)) for color in nodes.get_edgecolors()]
    assert rims == [False, True, False, False]


def test_of_many_steps_the_first_the_first_wrong_and_the_last_are_drawn():
    solver = exact("bfs")
    right = solver.run(nx.path_graph(8), source=0)
    assert right.steps == 7
    assert comparison.steps_shown(right.trace, 7, None) == list(range(1, 8))
    assert comparison.steps_shown(right.trace, 6, None) == [1, 7]
    wrong = changed(right, reach_h=(3, 7, 1))
    assert wrong.first_error == 4 and comparison.steps_shown(wrong.trace, 6, 4) == [1, 4, 7]
    assert "model: step 4 of 7, 1 decision wrong" in panels(wrong.draw(moments=3))
    with pytest.raises(ValueError, match="moments must be at least 2"):
        right.draw(moments=1)


@pytest.mark.parametrize("name", ["bellman_ford", "floyd_warshall", "insertion_sort"])
def test_frames_are_of_one_size_and_of_every_step(name):
    """The algorithm above the model; what marks mean stands apart."""
    algorithm = datasets.get(name)
    inputs = algorithm.sample(np.random.RandomState(4), 5)
    torch.manual_seed(0)
    found = nar.Solver(Reasoner.build(name, "deepsets", hidden=8)).run(algorithm.run(**inputs), algorithm=name)
    key, frames = found.frames()
    assert not key.axes and any("red" in text.get_text() for text in key.legends[0].get_texts())
    assert len({tuple(page.get_size_inches()) for page in frames.values()}) == 1
    titles = list(frames)
    assert len(titles) == found.steps + 2 and titles[0] == "inputs and start" and titles[-1].startswith("outputs, ")
    steps = [f"step {s + 1} of {found.steps}" for s in range(found.steps)]
    assert [title.split(",")[0] for title in titles[1:-1]] == steps
    for title, page in list(frames.items())[1:]:
        shown = {heading(axes): axes for axes in page.axes}
        model = next(axes for text, axes in shown.items() if text.startswith(f"model: {title}"))
        true = next(axes for text, axes in shown.items() if text.startswith("algorithm: "))
        assert model.get_position().y1 <= true.get_position().y0
    few = found.frames(2)[1]
    assert [title.split(",")[0] for title in few] == [titles[0], *(titles[k].split(",")[0] for k in (1, -2)), "outputs"]


@pytest.mark.parametrize(("edges", "shown"), [(20, True), (60, False)])
def test_weights_are_drawn_or_said_to_be_left_out(edges, shown):
    graph = nx.gnm_random_graph(16, edges, seed=1)
    for k, (u, v) in enumerate(graph.edges):
        graph[u][v]["weight"] = 0.01 * (k + 1)
    found = exact("bellman_ford").run(graph, source=0)
    page = found.draw(moments=2)
    written = {text.get_text() for text in panels(page)["inputs"].texts}
    weights = {f"{0.01 * (k + 1):.2f}" for k in range(edges)}
    assert weights <= written if shown else not weights & written
    said = " ".join(text.get_text() for text in page.texts)
    assert ("not drawn: A (weights fit on up to 40 edges, here are 60)" in said) == (not shown)
    assert "Weights of edges: " in example.in_words(found) and "0.01" in example.in_words(found)


def test_numbers_that_are_not_numbers_are_wrong(right):
    assert comparison.moments(right.true_trace, changed(right, d=(0, 0, np.nan)).trace, [1])[3].wrong() == {
        "decision": 0,
        "number": 1,
    }


def test_short_names_stand_in_the_nodes_long_ones_are_listed(graph, right):
    page = right.draw(moments=2)
    assert {"a", "b", "c", "d"} <= {text.get_text() for text in page.axes[0].texts}
    long = exact("bellman_ford").run(nx.relabel_nodes(graph, {"a": "Athens"}), source="Athens")
    page = long.draw(moments=2)
    assert "a" not in {text.get_text() for text in page.axes[0].texts}
    assert "Nodes: 0 Athens, 1 b, 2 c, 3 d." in [text.get_text() for text in page.texts]


def test_longer_and_shorter_than_the_trace(graph):
    solver = exact("bellman_ford")
    long = panels(solver.run(graph, source="a", steps=6).draw(moments=6))
    assert "model: step 6 of 6, nothing wrong" in long
    assert "model: step 1 of 1, nothing wrong" in panels(solver.run(graph, source="a", steps=1).draw())


def test_a_model_without_hints(graph):
    torch.manual_seed(0)
    solver = nar.Solver(Reasoner.build("bfs", "deepsets", hidden=4, hint_mode="none"))
    found = solver.run(graph, source="a")
    assert found.first_error is None and found.trace.length == 0 and list(found.trace.spec.hints) == []
    titles = list(panels(found.draw()))
    assert titles[:2] == ["inputs", "algorithm: outputs"] and titles[2].startswith("model: outputs, ")
    assert found.summary()[1] == "This model predicts no hints."


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_picture_has_an_example(name, tmp_path):
    algorithm = datasets.get(name)
    torch.manual_seed(0)
    reasoner = Reasoner.build(name, "deepsets", hidden=8)
    path = example.write(reasoner, algorithm, tmp_path, 4)
    assert path == tmp_path / "example.svg" and 2000 < path.stat().st_size <= example.BYTES
    root = xml.etree.ElementTree.fromstring(path.read_text())
    written = " ".join(root.itertext()).replace("\u00a0", " ")
    assert "given to both" in written and "model: outputs" in written
    steps = json.loads((tmp_path / "example_steps.json").read_text())
    for drawn in (steps["key"], *steps["frames"].values()):
        assert xml.etree.ElementTree.fromstring(drawn).tag.endswith("svg")
    assert len(steps["frames"]) >= 3 and len(json.dumps(steps)) < 2.2 * example.BYTES
    alternative = path.with_suffix(".txt").read_text()
    assert (
        alternative.startswith(f"{name} on ")
        and "The model's outputs: " in alternative
        and "\n" not in alternative[:-1]
    )


def test_examples_are_the_same_every_time(tmp_path):
    reasoner, algorithm = compiled.compiled("dijkstra"), datasets.get("dijkstra")
    files = []
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        files.append(example.write(reasoner, algorithm, tmp_path / folder, 8).read_bytes())
    assert files[0] == files[1]
    assert "dijkstra on 8 nodes" in (tmp_path / "first" / "example.txt").read_text()


def test_an_example_that_fails_stops_nobody(tmp_path, caplog, monkeypatch):
    reasoner, algorithm = compiled.compiled("bfs"), datasets.get("bfs")
    file = tmp_path / "no folder"
    file.touch()
    assert example.write(reasoner, algorithm, file, 4) is None
    file.unlink()
    assert "no example of bfs" in caplog.text
    assert example.write(compiled.compiled("dijkstra"), algorithm, tmp_path, 4) is None
    monkeypatch.setattr(example, "BYTES", 1000)
    assert example.write(reasoner, algorithm, tmp_path, 4) is None and list(tmp_path.iterdir()) == []
    assert "would be larger than 1 kB" in caplog.text


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_files(ending, right, tmp_path):
    right.draw(tmp_path / "new" / "folder" / f"a.{ending}")
    right.draw(tmp_path / f"b.{ending}")
    data = (tmp_path / "new" / "folder" / f"a.{ending}").read_bytes()
    assert data[:4] == {"png": b"\x89PNG", "svg": b"<svg", "pdf": b"%PDF"}[ending]
    assert data == (tmp_path / f"b.{ending}").read_bytes()
    with pytest.raises(ValueError, match=r"a file ending in \.png, \.svg, \.pdf, got"):
        right.draw(tmp_path / "c.jpg")


def test_a_compact_svg_is_the_same_picture(right, tmp_path):
    """The same type at the same places, the same lines; nodes of the same radius."""
    page = right.draw(moments=2)
    with figure.style():
        page.savefig(tmp_path / "whole.svg")
    figure.save(page, tmp_path / "small.svg")
    whole, small = ((tmp_path / name).read_text() for name in ("whole.svg", "small.svg"))
    assert len(small) < 0.4 * len(whole)
    found = []
    for text in (whole, small):
        root = xml.etree.ElementTree.fromstring(text)
        found.append(
            [
                (el.text.replace("\u00a0", " "), el.get("x"), el.get("y"))
                for el in root.iter()
                if el.tag.endswith("text")
            ]
        )
    assert len(found[0]) == len(found[1]) > 40
    for (one, x, y), (other, u, v) in zip(*found, strict=True):
        assert (
            one == other
            and float(x) == pytest.approx(float(u), abs=0.06)
            and float(y) == pytest.approx(float(v), abs=0.06)
        )
    radius = re.search(r'<path id="C\w+" d="M0 ([\d.]+)C', small)
    assert float(radius[1]) == pytest.approx(72 * 0.135, abs=0.06)  # of small graphs: graph_panels.py
    assert "clip-path" not in small and "<metadata" not in small


def test_written_numbers_are_not_rounded():
    text = '<text x="1.26" style="s">0.0001  2.125</text><path d="M 1.04 2 \nL 3 4 \n"/>'
    small = figure.compact_svg(f"<svg><defs><style>*{{}}</style></defs>{text}</svg>")
    assert ">0.0001\u00a0 2.125<" in small and 'x="1.3"' in small and 'd="M1 2L3 4"' in small


def test_the_gallery_shows_every_picture_it_has():
    docs = Path(__file__).parents[1] / "docs"
    shown = re.findall(r"^!\[(.+)\]\((gallery/.+)\)$", (docs / "gallery.md").read_text(), flags=re.M)
    assert sorted(path for _, path in shown) == sorted(f"gallery/{file.name}" for file in (docs / "gallery").iterdir())
    assert len(shown) >= 5 and len({alternative for alternative, _ in shown}) == len(shown)
    for _, path in shown:
        root = xml.etree.ElementTree.fromstring((docs / path).read_text())
        assert root.tag.endswith("svg") and (docs / path).stat().st_size <= 100_000
        outside = re.findall(r'(?:href|url)[=(]"?https?:', (docs / path).read_text())
        assert not outside
