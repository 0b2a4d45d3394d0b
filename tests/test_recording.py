"""How steps are recorded: compiled where that can be kept and where not, no step twice; no memory is shared or kept."""

import resource
import types

import numba
import numpy as np
import pytest
from inputs import sampled, size

import nar.datasets
from nar.traces.record import compiled, record


def add(trace, x, y):
    record(trace, x)
    return x + y


def recording(rows):
    return np.array([0, rows]), (np.zeros((rows, 2), np.int16),)


def test_compiled_code_runs_where_no_cache_can_be_written(monkeypatch):
    """numba finds no directory, or finds that it cannot write once it has compiled."""
    njit, calls = numba.njit, []

    def no_directory(function=None, cache=False):
        calls.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available for file")
        return njit(function)

    def no_space(function=None, cache=False):
        calls.append(cache)

        def full(*arguments):
            raise OSError("No space left on device")

        full.stats = types.SimpleNamespace(cache_path="")

        return (lambda function: full) if cache else njit(function)

    for replacement in (no_directory, no_space):
        calls.clear()
        monkeypatch.setattr(numba, "njit", replacement)
        trace = recording(2)
        assert compiled(add)(trace, np.array([1, 2]), 3).tolist() == [4, 5]
        assert trace[1][0].tolist() == [[1, 2], [0, 0]]
        assert calls[:2] == [True, False] and not any(calls[2:])  # numba compiles helpers of its own, too


def test_what_a_first_call_recorded_before_it_failed_is_not_recorded_twice(monkeypatch):
    njit = numba.njit

    def broken(function=None, cache=False):
        def made(function):
            def half(*arguments):
                function(*arguments)
                raise OSError("No space left on device")

            half.stats = types.SimpleNamespace(cache_path="")
            return half

        return made if cache else njit(function)

    monkeypatch.setattr(numba, "njit", broken)
    once = recording(2)
    assert compiled(add)(once, np.array([1, 2]), 3).tolist() == [4, 5]
    plain = recording(2)
    add(plain, np.array([1, 2]), 3)
    assert str(once) == str(plain)


def test_recording_more_steps_than_promised_is_caught():
    trace = recording(1)
    again = compiled(add)
    again(trace, np.array([1, 2]), 3)
    with pytest.raises(IndexError, match="more steps than the bound of the algorithm allows"):
        again(trace, np.array([1, 2]), 3)


def test_recording_needs_every_hint():
    with pytest.raises(numba.core.errors.TypingError, match="record got 1 hints, the spec has 2"):
        compiled(add)((np.array([0, 2]), (np.zeros((2, 2)), np.zeros(2))), np.array([1, 2]), 3)


def test_recording_means_the_same_uncompiled():
    trace = recording(2)
    assert add(trace, np.array([1, 2]), 3).tolist() == [4, 5]
    assert (trace[0][0], trace[1][0].tolist()) == (1, [[1, 2], [0, 0]])


@pytest.mark.parametrize("name", nar.datasets.names())
def test_the_caller_and_the_trace_share_no_memory(name):
    algorithm, inputs, _ = sampled(name, 6, 5)
    inputs = {k: v.astype(np.float64) if isinstance(v, np.ndarray) else v for k, v in inputs.items()}
    before = {k: np.copy(v) for k, v in inputs.items()}
    trace = algorithm.run(**inputs)
    for argument, value in inputs.items():
        np.testing.assert_array_equal(value, before[argument])
    recorded = {probe: np.array(array) for probe, array in trace.compact.items()}
    for value in inputs.values():
        if isinstance(value, np.ndarray):
            value[...] = 7
    algorithm.run(**algorithm.sample(np.random.RandomState(6), size(algorithm, 6)))  # must not write into this trace
    for probe, array in trace.compact.items():
        np.testing.assert_array_equal(array, recorded[probe])


def test_runs_leave_nothing_behind():
    """An input of 128 kB that every run kept would show as 250 MB."""
    algorithm = nar.datasets.get("bellman_ford")
    inputs = algorithm.sample(np.random.RandomState(0), 128)
    for _ in range(100):
        algorithm.run(**inputs)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(2000):
        algorithm.run(**inputs)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB
