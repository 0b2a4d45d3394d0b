"""Seeing a trace: the text of small ones to the letter, the right panels, a picture of every algorithm, mistakes."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from nar import datasets
from nar.cli import main as cli
from nar.traces.drawing import figure as drawing
from nar.traces.drawing import layout
from nar.traces.drawing import text as show
from nar.traces.linked_list import linked_list
from nar.traces.spec import Spec
from nar.traces.trace import Trace


def run(name, **inputs):
    return datasets.get(name).run(**inputs)


def sampled(name, n=5, seed=0):
    algorithm = datasets.get(name)
    return algorithm.run(**algorithm.sample(np.random.RandomState(seed), max(n, algorithm.min_nodes)))


def panels_of(page):
    """The text in every panel, in order."""
    return [[text.get_text().replace("\u00a0", " ") for text in axes.texts] for axes in page.axes]


# Text


def test_a_search_to_the_letter():
    assert show.text(run("minimum", A=[3, 1, 2.5])) == (
        "minimum: 3 nodes, 3 steps\n"
        "\n"
        "inputs\n"
        "                0     1     2\n"
        "  key           3     1  2.50\n"
        "\n"
        "* changed at this step   . points to itself, 0 or no   - ignored\n"
        "\n"
        "step 1          0     1     2\n"
        "  min_h 0   i 0\n"
        "  pred_h        .     0     1\n"
        "\n"
        "step 2\n"
        "  min_h 1*   i 1*\n"
        "\n"
        "step 3\n"
        "  min_h 1   i 2*\n"
        "\n"
        "outputs\n"
        "  min 1\n"
    )


def test_a_graph_to_the_letter():
    """The path 0 - 1 - 2 from node 0, weights 0.5 and 2: one node is reached at every step."""
    A = [[0, 0.5, 0], [0.5, 0, 2], [0, 2, 0]]
    assert show.text(run("bellman_ford", A=A, s=0)).split("\n\n", 2)[1:] == [
        "inputs\n"
        "  s 0\n"
        "  A             0     1     2\n"
        "          0     .  0.50     .\n"
        "          1  0.50     .     2\n"
        "          2     .     2     .",
        "* changed at this step   . points to itself, 0 or no   - ignored\n"
        "\n"
        "step 1          0     1     2\n"
        "  pi_h          .     .     .\n"
        "  d             0     0     0\n"
        "  msk           1     .     .\n"
        "\n"
        "step 2          0     1     2\n"
        "  pi_h          .     0*    .\n"
        "  d             0  0.50*    0\n"
        "  msk           1     1*    .\n"
        "\n"
        "step 3          0     1     2\n"
        "  pi_h          .     0     1*\n"
        "  d             0  0.50  2.50*\n"
        "  msk           1     1     1*\n"
        "\n"
        "outputs\n"
        "                0     1     2\n"
        "  pi            .     0     1\n",
    ]


def test_a_sort_shows_its_array_in_order():
    lines = show.text(run("insertion_sort", A=[3, 1, 2])).splitlines()
    ordered = [line.split()[3:] for line in lines if line.startswith("  key in order")]
    assert ordered == [["3", "1", "2"], ["1", "3", "2"], ["1", "2", "3"]]


def test_hints_on_edges_list_what_changed():
    A = [[0, 1, 0], [1, 0, 2], [0, 2, 0]]
    page = show.text(run("floyd_warshall", A=A))
    assert "  D          (0,2):3  (2,0):3\n  msk        (0,2):1  (2,0):1" in page
    assert page.count("(0,2):3") == 1


@pytest.mark.parametrize(("n", "name"), [(8, "strongly_connected_components"), (24, "dijkstra"), (40, "heapsort")])
def test_lines_fit(n, name):
    page = show.text(sampled(name, n), steps=None)
    assert max(map(len, page.splitlines())) <= 100
    assert page.count("\nstep ") == sampled(name, n).length


def test_without_room_for_columns_changed_nodes_are_listed():
    A = np.zeros((40, 40))
    A[7, 30] = A[30, 7] = 0.25
    page = show.text(run("bellman_ford", A=A, s=7))
    assert "step 2\n  pi_h       30:7\n  d          30:0.25\n  msk        30:1\n" in page
    assert "  A          (7,30):0.25  (30,7):0.25\n" in page


def test_the_middle_of_a_long_trace_is_left_out():
    page = show.text(run("minimum", A=range(20)), steps=4)
    steps = [int(line.split()[1]) for line in page.splitlines() if line.startswith("step ")]
    assert steps == [1, 2, 3, 20] and "... 16 steps left out ..." in page
    with pytest.raises(ValueError, match="steps must be at least 2"):
        show.text(run("minimum", A=[1]), steps=1)


def test_a_step_without_change():
    spec = {"m": ("hint", "node", "mask"), "t": ("hint", "graph", "scalar"), "r": ("output", "graph", "mask")}
    page = show.text(by_hand(POS | spec, 2, {"pos": [0, 0.5]}, {"m": [[1, 0], [1, 0]], "t": [2.5, 2.5]}, {"r": 1}))
    assert page.split("\n\n")[-2:] == ["step 2\n  t 2.50\n  nothing changed", "outputs\n  r 1\n"]


def test_numbers_and_lists():
    written = [show.number(x) for x in (0, 3.0, -2, 0.5, 0.004, 123.456, 1e9, 2.5e-7)]
    assert written == ["0", "3", "-2", "0.50", "0.004", "123.46", "1e+09", "2e-07"]
    assert linked_list(np.array([2, 1, 1])).tolist() == [1, 2, 0]
    for other in ([0, 1, 1], [0, 0, 0], [1, 0, 2], [0, 2, 1]):  # two lists, a fork, circles
        assert linked_list(np.array(other)) is None
    assert show.list_hint(run("insertion_sort", A=[3, 1, 2])) == "pred_h"
    assert show.list_hint(run("insertion_sort", A=[1, 2, 3])) is None  # never changes
    assert show.list_hint(run("minimum", A=[3, 1, 2])) is None


# Pictures


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


def by_hand(spec, nodes, inputs, hints, outputs, length=2):
    compact = {**inputs, **hints, **outputs}
    return Trace("mine", Spec(spec), nodes, length, {name: np.asarray(compact[name]) for name in spec})


POS = {"pos": ("input", "node", "scalar")}


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


# The command


@pytest.fixture
def nar(tmp_path, monkeypatch, capsys):
    """Runs `nar show` in an empty folder; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NAR_DEBUG", raising=False)

    def command(*arguments):
        capsys.readouterr()
        try:
            code = cli.main(["show", *map(str, arguments)])
        except SystemExit as stop:
            code = stop.code
        printed = capsys.readouterr()
        return code or 0, printed.out, printed.err

    return command


def test_the_command(nar, tmp_path):
    code, out, err = nar("bellman_ford", "--n", 4, "--seed", 3, "--gif", "--p", 0.9)
    assert code == 0 and err == ""
    assert out.splitlines()[-2:] == ["figure: bellman_ford-n4-seed3.png", "animation: bellman_ford-n4-seed3.gif"]
    algorithm = datasets.get("bellman_ford")
    trace = algorithm.run(**algorithm.sample(np.random.RandomState(3), 4, p=0.9))
    assert out.startswith(show.text(trace))
    assert {path.name for path in tmp_path.iterdir()} == {"bellman_ford-n4-seed3.png", "bellman_ford-n4-seed3.gif"}


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_files(ending, nar, tmp_path):
    code, out, _ = nar("minimum", "--n", 3, "--out", f"a/b.{ending}")
    assert code == 0 and out.splitlines()[-1] == f"figure: a/b.{ending}"
    start = (tmp_path / f"a/b.{ending}").read_bytes()[:5]
    assert start == {"png": b"\x89PNG\r", "svg": b"<svg ", "pdf": b"%PDF-"}[ending]
    code, out, _ = nar("minimum", "--n", 3, "--no-figure", "--gif", "c.gif")
    assert code == 0 and out.splitlines()[-1] == "animation: c.gif" and (tmp_path / "c.gif").read_bytes()[:3] == b"GIF"


def test_parameters_of_the_sampler(nar):
    algorithm = datasets.get("minimum")
    trace = algorithm.run(**algorithm.sample(np.random.RandomState(0), 3, low=-5, high=-4.5))
    for given in ("--low -5 --high=-4.5", "--param low=-5 high=-4.5", "--low=-5 --param=high=-4.5"):
        assert nar("minimum", "--n", 3, "--no-figure", *given.split())[1].startswith(show.text(trace))
    printed = nar("bfs", "--n", 4, "--p", "1", "1.0", "--no-figure")[1].splitlines()[5:9]
    assert [line.split() for line in printed] == [f"{v} 1 1 1 1".split() for v in range(4)]  # every edge


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["takes the name of an algorithm"]),
        (["--n", "4"], ["takes the name of an algorithm"]),
        (["belman_ford"], ["unknown algorithm 'belman_ford'", "did you mean 'bellman_ford'"]),
        (["bfs", "--sed", "1"], ["unknown flag '--sed'", "did you mean '--seed'"]),
        (["minimum", "--hihg", "1"], ["unknown flag '--hihg'", "did you mean '--high'"]),
        (["minimum", "--param", "lwo=1"], ["unknown parameter of minimum 'lwo'", "did you mean 'low'"]),
        (["minimum", "--param", "low"], ["--param takes name=value, got 'low'", "low, high"]),
        (["minimum", "--low", "three"], ["low and high must be finite numbers", "'three'"]),
        (["bfs", "--p", "2"], ["p must hold edge probabilities", "2"]),
        (["bfs", "--n", "0"], ["n must be an integer of at least 1 for bfs, got 0"]),
        (["bfs", "--n", "many"], ["--n takes a whole number", "'many'"]),
        (["bfs", "--seed", "-1"], ["--seed must be a whole number from 0", "-1"]),
        (["bfs", "--steps", "1"], ["--steps must be 0 (all) or at least 2"]),
        (["bfs", "--out", "x.jpg"], ["--out must be a file ending in .png, .svg, .pdf, got 'x.jpg'"]),
        (["bfs", "--gif", "x.mp4"], ["--gif must be a file ending in .gif"]),
        (["bfs", "--no-figure", "--out", "x.png"], ["--no-figure"]),
        (["bfs", "4"], ["unexpected '4'"]),
    ],
    ids=" ".join,
)
def test_mistakes(arguments, parts, nar, tmp_path):
    code, out, err = nar(*arguments)
    assert code == 2 and out == "" and len(err.splitlines()) == 1 and err.startswith("nar"), err
    for part in parts:
        assert part in err, err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written(nar, tmp_path):
    (tmp_path / "file").write_text("a file")
    code, _, err = nar("minimum", "--n", 3, "--out", "file/x.png")
    assert code == 2 and len(err.splitlines()) == 1 and "file" in err


def test_help(nar):
    code, out, _ = nar("--help")
    assert code == 0 and "--param" in out and "--gif" in out
