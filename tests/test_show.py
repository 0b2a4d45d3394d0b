"""The text of a trace: small ones to the letter, lines that fit, what is left out."""

import numpy as np
import pytest
from shown_traces import POS, by_hand, run, sampled

from nar.traces.drawing import text as show
from nar.traces.linked_list import linked_list


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
