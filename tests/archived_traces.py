"""Traces that files must keep: of algorithms, of one that is not in the table, and whether two are the same."""

import numpy as np
from inputs import sampled

from nar.traces.run_length import RunLengthArray
from nar.traces.spec import Spec
from nar.traces.trace import Trace


def traces_of(name, sizes=(1, 2, 5, 8, 5)):
    return [sampled(name, n, seed, train=seed % 2 == 1)[2] for seed, n in enumerate(sizes)]


def assert_same(one, other):
    """Every bit: values, signs of zeros, types, shapes, and runs as runs."""
    assert (one.algorithm, one.spec, one.nodes, one.length) == (other.algorithm, other.spec, other.nodes, other.length)
    assert list(one.compact) == list(other.compact) == list(one.spec)
    for name, values in one.compact.items():
        again = other.compact[name]
        assert isinstance(again, RunLengthArray) == isinstance(values, RunLengthArray), name
        if isinstance(values, RunLengthArray):
            assert np.array_equal(values.index, again.index)
            values, again = values.values, again.values
        values = np.asarray(values)
        assert (values.dtype, values.shape) == (again.dtype, again.shape), name
        assert values.tobytes() == again.tobytes(), name


SPEC = Spec(
    {
        "x": ("input", "node", "scalar"),
        "colour": ("input", "graph", "categorical", 3),
        "row": ("input", "edge", "mask_one"),
        "W": ("hint", "edge", "scalar"),
        "kind": ("hint", "edge", "categorical", 4),
        "row_h": ("hint", "edge", "mask_one"),
        "m": ("hint", "node", "mask"),
        "order": ("output", "node", "permutation_pointer"),
        "flag": ("output", "graph", "mask"),
    }
)


def foreign():
    """A trace of an algorithm that is not in the table; minus zero, a huge number, ignored entries, an odd index."""
    compact = {
        "x": np.array([-0.0, 1e300]),
        "colour": np.array(-1, np.int8),
        "row": np.array([1, 0], np.int16),
        "W": RunLengthArray(
            np.array([[[0.0, 1.0], [2.0, 3.0]], [[0.1, -0.0], [0.0, 0.0]]]), np.array([1, 0, 1], np.int32)
        ),
        "kind": RunLengthArray.of(np.full((3, 2, 2), -1, np.int8)),
        "row_h": np.array([[0, 1], [1, 1], [0, 0]], np.int16),
        "m": np.array([[0, 1], [1, -1], [1, 1]], np.int8),
        "order": np.array([1, 0], np.int16),
        "flag": np.array(1, np.int8),
    }
    return Trace("not_in_the_table", SPEC, 2, 3, compact)
