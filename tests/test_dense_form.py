"""The dense form of traces: there and back, by hand, entries that are ignored; arrays and specs that are refused."""

import numpy as np
import pytest
from inputs import sampled

import nar.datasets
from nar.traces.spec import Spec
from nar.traces.trace import Trace


@pytest.mark.parametrize("name", nar.datasets.names())
def test_dense_form_and_back(name):
    for n in (1, 2, 9):
        _, _, trace = sampled(name, n, n)
        again = Trace.from_dense(name, trace.spec, trace.inputs, trace.hints, trace.outputs)
        assert (again.nodes, again.length, list(again.compact)) == (trace.nodes, trace.length, list(trace.compact))
        for probe, array in trace.compact.items():
            assert again.compact[probe].dtype == array.dtype
            np.testing.assert_array_equal(again.compact[probe], array)


def test_dense_form_of_a_tiny_run():
    """s = 0, edges 0 -> 1 (2) and 1 -> 2 (3); worked out by hand."""
    trace = nar.datasets.get("bellman_ford").run(A=[[0, 2, 0], [0, 0, 3], [0, 0, 0]], s=0)
    assert (trace.nodes, trace.length) == (3, 3)
    assert trace.inputs["s"].tolist() == [1, 0, 0]
    assert trace.inputs["pos"].tolist() == [0, 1 / 3, 2 / 3]
    assert trace.inputs["adj"].tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert trace.hints["d"].tolist() == [[0, 0, 0], [0, 2, 0], [0, 2, 5]]
    assert trace.hints["msk"].tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert trace.hints["pi_h"].tolist() == [[0, 1, 2], [0, 0, 2], [0, 0, 1]]
    assert trace.outputs["pi"].tolist() == [0, 0, 1]


def replaced(trace, stage, name, change):
    arrays = {"inputs": trace.inputs, "hints": trace.hints, "outputs": trace.outputs}
    arrays[stage][name] = change(arrays[stage][name])
    return Trace.from_dense(trace.algorithm, trace.spec, **arrays)


def with_first(value):
    def change(array):
        array = array.copy()
        array.flat[0] = value
        return array

    return change


@pytest.mark.parametrize(
    ("stage", "name", "change", "message"),
    [
        ("inputs", "s", with_first(1), "probe s: got rows that are not one-hot"),
        ("inputs", "s", lambda s: -s, "probe s: got -1 in a mask_one"),
        ("inputs", "adj", with_first(0.5), "probe adj: got values in .* required whole numbers -1 to 1"),
        ("inputs", "A", with_first(np.nan), "probe A: got NaN"),
        ("inputs", "pos", lambda pos: pos.astype(str), "probe pos: got dtype"),
        ("hints", "pi_h", with_first(4), "probe pi_h: .* required whole numbers 0 to 3"),
        ("hints", "msk", with_first(2), "probe msk: .* required whole numbers -1 to 1"),
        ("hints", "d", lambda d: d[1:], r"probe d of bellman_ford: got shape \(\d, 4\), required \(\d, 4\)"),
        ("outputs", "pi", lambda pi: pi[:-1], "probe pi of bellman_ford: got shape"),
        ("outputs", "extra", None, r"outputs of bellman_ford: got \['extra', 'pi'\], the spec requires \['pi'\]"),
    ],
)
def test_dense_arrays_of_the_wrong_kind_are_refused(stage, name, change, message):
    algorithm = nar.datasets.get("bellman_ford")
    trace = algorithm.run(**algorithm.sample(np.random.RandomState(1), 4))
    if change is None:
        with pytest.raises(ValueError, match=message):
            Trace.from_dense("bellman_ford", trace.spec, trace.inputs, trace.hints, {**trace.outputs, name: 0})
        return
    with pytest.raises(ValueError, match=message):
        replaced(trace, stage, name, change)


def test_ignored_entries_survive_the_dense_form():
    """dm-clrs marks an ignored class by -1 in the last column of its row, an ignored mask entry by -1."""
    algorithm = nar.datasets.get("dag_shortest_paths")
    trace = algorithm.run(**algorithm.sample(np.random.RandomState(1), 4))
    hints = trace.hints
    hints["color"][0, 1] = [0, 0, -1]
    hints["phase"][0] = -1
    again = Trace.from_dense(trace.algorithm, trace.spec, trace.inputs, hints, trace.outputs)
    assert again.compact["color"][0, 1] == -1 and again.compact["phase"][0] == -1
    np.testing.assert_array_equal(again.hints["color"], hints["color"])


@pytest.mark.parametrize(
    "probe, said",
    [
        (
            ("output", "node", "categorical"),
            r'probe color: a categorical needs its number of classes, as in \("output", ',
        ),
        (("output", "node", "mask", 3), "probe color: only a categorical has classes; got 3 of a mask"),
        (("output", "graph", "mask_one"), "probe color: a mask_one marks one node among all"),
        (("output", "nod", "mask"), "probe color: 'nod' is not a valid Location"),
    ],
)
def test_a_spec_names_the_probe_that_cannot_be(probe, said):
    with pytest.raises(ValueError, match=said):
        Spec({"pos": ("input", "node", "scalar"), "color": probe})
