"""Pictures of traces: the right panels with the right marks in them, for every algorithm, and animations."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image
from shown_traces import POS, by_hand, run, sampled

from nar import datasets
from nar.traces.drawing import figure as drawing
from nar.traces.drawing import layout
from nar.traces.drawing import text as show


def panels_of(page):
    """The text in every panel, in order."""
    return [[text.get_text().replace("\u00a0", " ") for text in axes.texts] for axes in page.axes]


def test_selected_steps():
    assert drawing.selected(4, 10) == [0, 1, 2, 3]
    assert drawing.selected(100, 4) == [0, 33, 66, 99]
    assert drawing.selected(9, 1) == [8] and drawing.selected(0, 3) == []
    for length in range(1, 60):
        steps = drawing.selected(length, 10)
        assert len(set(steps)) == len(steps) == min(10, length) and (steps[0], steps[-1]) == (0, length - 1)
        assert max(np.diff(steps), default=0) - min(np.diff(steps), default=0) <= 1


def test_panels_know_what_changed_since_the_panel_before():
    trace = run("minimum", A=[5, 4, 3, 2, 6])
    moments = drawing.moments(trace, [0, 2, 4])
    assert [m.title for m in moments] == ["inputs", "step 1 of 5", "step 3 of 5", "step 5 of 5", "outputs"]
    assert [bool(m.changed("min_h")) for m in moments[1:-1]] == [False, True, True]
    assert int(moments[2].now["min_h"]) == 2 and int(moments[3].now["min_h"]) == 3
    assert not moments[2].changed("pred_h").any()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("bellman_ford", "GraphPanels"),
        ("bfs", "GraphPanels"),
        ("floyd_warshall", "TablePanels"),
        ("insertion_sort", "BoxPanels"),
        ("minimum", "BoxPanels"),
    ],
)
def test_kinds(name, kind):
    assert type(drawing.kind_of(sampled(name))).__name__ == kind


def test_kinds_of_new_specs():
    """From the spec alone: points, tables, and anything else."""
    xy = {"x": ("input", "node", "scalar"), "y": ("input", "node", "scalar"), "m": ("hint", "node", "mask")}
    points = {"pos": [0, 0.5], "x": [0.0, 1.0], "y": [1.0, 0.0]}
    done = {"r": ("output", "graph", "mask")}
    trace = by_hand(POS | xy | done, 2, points, {"m": [[0, 0], [0, 1]]}, {"r": 1})
    kind = drawing.kind_of(trace)
    assert type(kind).__name__ == "GraphPanels" and kind.plane
    assert kind.at[0, 0] < kind.at[1, 0] and kind.at[0, 1] > kind.at[1, 1]

    table = POS | {"c": ("hint", "edge", "scalar")} | done
    trace = by_hand(table, 2, {"pos": [0, 0.5]}, {"c": np.arange(8.0).reshape(2, 2, 2)}, {"r": 0})
    assert type(drawing.kind_of(trace)).__name__ == "TablePanels"
    texts = panels_of(drawing.figure(trace))
    assert texts[2][0] == "step 2 of 2" and texts[2][-4:] == ["4", "5", "6", "7"]

    weighted = POS | {"W": ("input", "edge", "scalar"), "t": ("hint", "graph", "scalar")} | done
    trace = by_hand(weighted, 2, {"pos": [0, 0.5], "W": np.eye(2)}, {"t": [0.25, 3]}, {"r": 0})
    assert type(drawing.kind_of(trace)).__name__ == "BoxPanels"
    assert "not drawn: W (see the text)." in drawing.kind_of(trace).notes

    other = POS | {"t": ("hint", "graph", "scalar")} | done
    trace = by_hand(other, 2, {"pos": [0, 0.5]}, {"t": [0.25, 3]}, {"r": 0})
    assert type(drawing.kind_of(trace)).__name__ == "BoxPanels"
    headings = [texts[0] for texts in panels_of(drawing.figure(trace))]
    assert headings == ["inputs", "step 1 of 2   t 0.25", "step 2 of 2   t 3", "outputs   r 0"]


@pytest.mark.parametrize("classes, colored", [(9, True), (10, False)])
def test_more_classes_than_colours_are_written(classes, colored):
    spec = POS | {"adj": ("input", "edge", "mask"), "c": ("hint", "node", "categorical", classes)}
    spec |= {"r": ("output", "graph", "mask")}
    edges = np.ones((2, 2)) - np.eye(2)
    trace = by_hand(spec, 2, {"pos": [0, 0.5], "adj": edges}, {"c": [[-1, 8], [3, 8]]}, {"r": 1})
    kind = drawing.kind_of(trace)
    assert ("c" in kind.classes, "c" in kind.scalars) == (colored, not colored)
    assert ("nothing is asked" in kind.legend()[0]) == colored
    last = panels_of(drawing.figure(trace))[2]
    assert ("3" in last and "8" in last) != colored


def test_boxes_stand_in_the_order_of_the_list():
    """The numbers in the boxes, from the left."""
    page = drawing.figure(run("insertion_sort", A=[30, 10, 20]))
    rows = []
    for axes in page.axes:
        boxes = [(t.get_position()[0], t.get_text()) for t in axes.texts if t.get_text() in ("10", "20", "30")]
        rows.append([text for _, text in sorted(boxes)])
    assert rows == [["30", "10", "20"]] * 2 + [["10", "30", "20"]] + [["10", "20", "30"]] * 2


def test_marks_of_a_graph():
    """Inputs show weights and the source; a step shows distances; what changed is red."""
    A = [[0, 0.5, 0], [0.5, 0, 2], [0, 2, 0]]
    page = drawing.figure(run("bellman_ford", A=A, s=0))
    inputs, first, second = panels_of(page)[:3]
    assert {"0.50", "2", "s"} <= set(inputs) and "s" not in first
    assert "0.50" not in first and "0.50" in second
    red = [t.get_text() for t in page.axes[2].texts if t.get_color() == "#D55E00"]
    assert red == ["0.50"]
    legend = [text.get_text() for text in page.legends[0].get_texts()]
    assert "msk = 1" in legend and any(text.startswith("pi: points to") for text in legend)


def test_a_path_is_laid_out_as_one():
    edges = np.zeros((5, 5), bool)
    edges[range(4), range(1, 5)] = True
    at = layout.layout(edges)
    apart = np.linalg.norm(at[:, None] - at[None], axis=-1)
    assert apart[0, 4] == apart.max() and np.allclose(at, layout.layout(edges))
    joined = apart[edges | edges.T]
    assert joined.max() < 1.5 * joined.min() and joined.max() < apart[0, 2]


@pytest.mark.parametrize("name", datasets.names())
def test_every_algorithm_can_be_shown(name, tmp_path):
    trace = sampled(name, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = show.text(trace)
        assert page.startswith(f"{name}: {trace.nodes} nodes, {trace.length} steps\n")
        assert max(map(len, page.splitlines())) <= 100
        figure = drawing.figure(trace, panels=4)
        drawing.animate(trace, tmp_path / "steps.gif", frames=3)
    every = [text for texts in panels_of(figure) for text in texts]
    titles = [text.split("   ")[0] for text in every if text.startswith(("inputs", "step ", "outputs"))]
    assert titles[0] == "inputs" and titles[-1] == "outputs" and f"step {trace.length} of {trace.length}" in titles
    assert str(trace.nodes - 1) in every  # every node has its number
    with Image.open(tmp_path / "steps.gif") as gif:
        assert gif.n_frames == 3 or trace.length == 0


def test_the_animation_has_a_frame_per_step(tmp_path):
    drawing.animate(run("minimum", A=[3, 1, 2]), tmp_path / "steps.gif", seconds=0.5)
    with Image.open(tmp_path / "steps.gif") as gif:
        pauses = []
        for frame in range(gif.n_frames):
            gif.seek(frame)
            pauses.append(gif.info["duration"])
        assert pauses == [1000, 500, 500, 1000, 1000]  # inputs, three steps, outputs
    with pytest.raises(ValueError, match="frames must be at least 3"):
        drawing.animate(run("minimum", A=[1]), tmp_path / "none.gif", frames=2)
    with pytest.raises(ValueError, match="panels must be at least 4"):
        drawing.figure(run("minimum", A=[1]), panels=3)


def test_drawing_leaves_no_global_state():
    code = (
        "import sys, matplotlib, nar.traces.drawing.text\nfrom nar import datasets\n"
        "from nar.traces.drawing import figure\n"
        "before = matplotlib.rcParams.copy(); trace = datasets.get('minimum').run(A=[2, 1]); figure.figure(trace)\n"
        "assert matplotlib.rcParams.copy() == before\n"
        "print(*sorted({'torch', 'matplotlib.pyplot', 'networkx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
