"""Sorting and searching: right answers, invariants, ties, bounds, long inputs, preconditions."""

import itertools

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from inputs import examples, outputs, run, valid

import nar.datasets
from nar.traces.inputs import arrays
from nar.traces.record import TraceRecorder
from nar.traces.trace import compact_dtype

SORTS = ("bubble_sort", "heapsort", "quicksort")
ONE_ARRAY = (*SORTS, "quickselect")
NAMES = (*ONE_ARRAY, "binary_search")


# --- right answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SORTS)
def test_sorting_equals_numpy(name):
    for algorithm, inputs, trace in examples(name):
        want = algorithm.oracle(**inputs)
        np.testing.assert_array_equal(trace.compact["pred"], want["pred"])
        np.testing.assert_array_equal(trace.compact["pred_h"][-1], want["pred"])
        assert (np.diff(want["sorted"]) >= 0).all()


def test_all_sorts_and_quickselect_agree():
    for _, inputs, trace in examples("insertion_sort"):
        for name in SORTS:
            np.testing.assert_array_equal(run(name, inputs["A"]).compact["pred"], trace.compact["pred"])
        median = int(run("quickselect", inputs["A"]).compact["median"])
        before = 0  # how many elements the sorted list has in front of the median
        while trace.compact["pred"][median] != median:
            median, before = trace.compact["pred"][median], before + 1
        assert before == trace.nodes // 2


def test_the_median_equals_numpy():
    for algorithm, inputs, trace in examples("quickselect"):
        found = inputs["A"][trace.compact["median"]]
        assert found == algorithm.oracle(**inputs)["value"]
        if trace.nodes % 2:
            assert found == np.median(inputs["A"])


def test_binary_search_equals_numpy_and_a_scan():
    for algorithm, inputs, trace in examples("binary_search", seeds=range(12)):
        scan = next((i for i, number in enumerate(inputs["A"]) if number >= inputs["x"]), trace.nodes - 1)
        assert trace.compact["return"] == algorithm.oracle(**inputs)["return"] == scan


@pytest.mark.parametrize("name", ONE_ARRAY)
def test_every_small_array(name):
    """All orders of up to 6 different numbers, and all arrays of up to 5 with ties: valid, within the bound."""
    algorithm = nar.datasets.get(name)
    permutations = (A for n in range(1, 7) for A in itertools.permutations(range(n)))
    ties = (A for n in range(1, 6) for A in itertools.product(range(3), repeat=n))
    longest = dict.fromkeys(range(1, 7), 0)
    for A in itertools.chain(permutations, ties):
        trace = run(name, A)
        assert algorithm.is_valid({"A": A}, outputs(trace)), A
        np.testing.assert_array_equal(trace.compact["key"], A)
        longest[len(A)] = max(longest[len(A)], trace.length)
    if name == "heapsort":  # its bound adds up worst cases that do not meet
        assert all(algorithm.bound(n) / 2 < longest[n] <= algorithm.bound(n) for n in longest)
    else:
        assert longest == {n: algorithm.bound(n) for n in longest}


def test_every_small_search():
    """Ties included; the longest search takes exactly as long as promised."""
    algorithm = nar.datasets.get("binary_search")
    for n in range(1, 18):
        A = np.arange(n) // 2
        traces = {x: run("binary_search", x, A) for x in np.arange(-1, n // 2 + 2, 0.5)}
        for x, trace in traces.items():
            assert trace.compact["return"] == min(np.searchsorted(A, x), n - 1)
            assert algorithm.is_valid({"x": x, "A": A}, outputs(trace))
        assert max(trace.length for trace in traces.values()) == algorithm.bound(n)


# --- invariants ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ONE_ARRAY)
def test_only_the_order_of_the_numbers_matters(name):
    for _, inputs, trace in examples(name, sizes=(2, 9), seeds=range(3)):
        ranks = run(name, np.argsort(np.argsort(inputs["A"])))
        for probe in (*trace.spec.hints, *trace.spec.outputs):
            np.testing.assert_array_equal(ranks.compact[probe], trace.compact[probe], err_msg=probe)


def test_the_heap_is_one_whenever_it_should_be():
    """When building ends, before each extraction and at the end; it loses one element per extraction."""
    for _, inputs, trace in examples("heapsort", sizes=(7, 16)):
        A, parent, phase = inputs["A"], trace.compact["parent"], trace.compact["phase"]
        extractions = np.flatnonzero(phase == 1)
        assert len(extractions) == trace.nodes - 1
        for moment in (*(extractions - 1), trace.length - 1):
            assert (A <= A[parent[moment]]).all()
        in_heap = [(parent[moment] != np.arange(trace.nodes)).sum() + 1 for moment in extractions]
        assert in_heap == list(range(trace.nodes - 1, 0, -1))


def test_exchanges_keep_the_pointers_right():
    rng = np.random.RandomState(0)
    for n in (1, 2, 3, 8):
        A, order = rng.uniform(size=n), np.arange(n)
        first, pred = A.copy(), arrays.predecessors(order)
        for _ in range(100):
            arrays.exchange(A, order, pred, rng.randint(n), rng.randint(n))
            np.testing.assert_array_equal(A, first[order])
            np.testing.assert_array_equal(pred, arrays.predecessors(order))


@pytest.mark.parametrize(
    ("name", "A", "length"),
    [
        ("quicksort", np.arange(10_000), 50_004_999),
        ("quicksort", -np.arange(1_000), 500_499),
        ("quicksort", np.zeros(1_000), 500_499),
        ("quickselect", np.arange(1_000), 375_250),  # parts of 1000, 999, ..., 501 elements
        ("quickselect", np.zeros(1_000), 375_250),
    ],
)
def test_long_arrays_in_the_worst_order(name, A, length):
    """Nothing is n deep. Only the first moments are kept: those of 10,000 numbers would take a terabyte."""
    algorithm, n = nar.datasets.get(name), len(A)
    layout = [(p.shape(n), compact_dtype(p, n), False) for p in algorithm.spec.hints.values()]
    recorder = TraceRecorder(layout, 4, algorithm.bound(n))
    (output,) = algorithm.spec.outputs
    answer = algorithm.steps(recorder.trace, A.astype(np.float64))
    assert recorder.length == length
    assert algorithm.is_valid({"A": A}, {output: answer})


# --- validity --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_no_answer_but_the_right_one_is_valid(name):
    """Different numbers have one answer: every single change of it is wrong."""
    seen = 0
    for algorithm, inputs, trace in examples(name, sizes=(6,), seeds=range(4)):
        ((output, right),) = outputs(trace).items()
        for v in np.ndindex(right.shape):
            for u in set(range(6)) - {int(right[v])}:
                wrong = right.copy()
                wrong[v] = u
                assert not algorithm.is_valid(inputs, {output: wrong}), (v, u)
                seen += 1
    assert seen == 4 * 5 * (6 if name in SORTS else 1)


@pytest.mark.parametrize("name", SORTS)
def test_equal_numbers_may_be_sorted_either_way(name):
    A = [1, 0, 1]
    assert valid(name, [A], [1, 1, 0]) and valid(name, [A], [2, 1, 1])
    assert not valid(name, [A], [0, 0, 0])  # 1 and 2 both follow 0
    assert not valid(name, [A], [0, 0, 1])  # 1 0 1
    assert not valid(name, [A], [2, 1, 0])  # 0 and 2 follow each other
    assert not valid(name, [A], [1, 0, 0])  # no first one
    assert not valid(name, [A], [1, 1, 2])  # two first ones


def test_sorting_extreme_numbers():
    big = np.finfo(np.float64).max
    for name in SORTS:
        assert run(name, [big, -big, 0]).compact["pred"].tolist() == [2, 1, 1]
        assert valid(name, [[big, -big, 0]], [2, 1, 1]) and not valid(name, [[big, -big, 0]], [0, 0, 1])


def test_equal_medians_are_all_right():
    assert [valid("quickselect", [[2, 1, 2]], i) for i in range(3)] == [True, False, True]
    assert [valid("quickselect", [[4, 3, 1, 2]], i) for i in range(4)] == [False, True, False, False]  # the upper one


def test_equal_numbers_found_are_all_right():
    A = [1, 2, 2, 3, 3]
    assert [valid("binary_search", [2, A], i) for i in range(5)] == [False, True, True, False, False]
    assert [valid("binary_search", [1.5, A], i) for i in range(5)] == [False, True, True, False, False]
    assert [valid("binary_search", [0, A], i) for i in range(5)] == [True, False, False, False, False]
    assert [valid("binary_search", [9, A], i) for i in range(5)] == [False, False, False, True, True]


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("A", "message"),
    [
        ([], r"A must be a one-dimensional array with at least one element, got shape \(0,\)"),
        ([[1, 2]], r"A must be a one-dimensional array .* got shape \(1, 2\)"),
        (3.0, r"A must be a one-dimensional array .* got shape \(\)"),
        ([1, np.inf], "A must be finite, got NaN or infinity at index 1"),
        ([np.nan, 1], "A must be finite, got NaN or infinity at index 0"),
        ("text", "A must be an array of integers or floats, got dtype"),
    ],
)
def test_preconditions_of_arrays(name, A, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        run(name, *([0.5] if name == "binary_search" else []), A)


def test_binary_search_wants_a_sorted_array():
    with pytest.raises(ValueError, match=r"^A must be sorted in ascending order, got A\[1\] = 3.0 > A\[2\] = 2.0$"):
        run("binary_search", 1, [1, 3, 2, 4])


@pytest.mark.parametrize("x", [np.nan, np.inf, None, "0", [0.5], [[1], [1, 2]], np.zeros(2), 1j, 10**400])
def test_binary_search_wants_a_number(x):
    with pytest.raises(ValueError, match=r"^x must be one finite number, got "):
        run("binary_search", x, [1, 2])


def test_numbers_of_any_kind_are_taken():
    for x in (2, 2.0, np.float32(2), np.int8(2), np.array(2)):
        assert run("binary_search", x, (1, 2, 3)).compact["return"] == 1
    for A in ((2, 0, 1), np.array([2, 0, 1], np.uint8), np.array([1, 0, 2], np.float32)[::-1]):
        assert run("heapsort", A).compact["pred"].tolist() == [2, 1, 1]


NUMBERS = st.one_of(
    st.integers(-2, 2),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1e-320, 1e16, 1.7e308, -1.7e308]),
)


@pytest.mark.parametrize("name", NAMES)
def test_any_numbers_give_a_valid_trace_or_a_value_error(name):
    algorithm, answered = nar.datasets.get(name), 0

    @hypothesis.settings(max_examples=80, deadline=None, derandomize=True, database=None)
    @hypothesis.given(NUMBERS, st.lists(NUMBERS, max_size=12), st.booleans())
    def check(x, A, ascending):
        nonlocal answered
        A = sorted(A) if ascending else A
        inputs = {"x": x, "A": A} if name == "binary_search" else {"A": A}
        try:
            trace = algorithm.run(**inputs)
        except ValueError as error:
            assert str(error).startswith(("A must be", "x must be"))
            return
        answered += 1
        assert trace.length <= algorithm.bound(trace.nodes)
        assert algorithm.is_valid(inputs, outputs(trace))

    check()
    assert answered > 20
