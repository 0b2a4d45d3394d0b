"""Traces equal dm-clrs's, step for step: golden files always, a live comparison where dm-clrs is installed."""

import json
import pathlib
import resource
import types

import numba
import numpy as np
import pytest
from inputs import REFERENCE, disturbed, sampled, size

import nar.datasets
from nar.traces.record import compiled, record
from nar.traces.spec import Spec
from nar.traces.trace import Trace

GOLDEN = pathlib.Path(__file__).with_name("golden")
NAMES = nar.datasets.names()
# numbers out of sin, cos and arctan2, whose last bit depends on the machine
LIBM = ("graham_scan x", "graham_scan y", "graham_scan atans", "jarvis_march x", "jarvis_march y")
RECORDED = [name for name in REFERENCE if name in NAMES]


def golden(name):
    with np.load(GOLDEN / f"traces_{name}.npz") as file:
        return json.loads(str(file["about"])), {key: file[key] for key in file.files}


def settings(case):
    """A recorded sampler call as ours: n, samples, seed and the parameters."""
    params = {k: tuple(v) if isinstance(v, list) else v for k, v in case.items()}
    return params.pop("length"), params.pop("num_samples"), params.pop("seed"), params


def dense(trace):
    stages = {"input": trace.inputs, "hint": trace.hints, "output": trace.outputs}
    return {f"{stage}/{name}": array for stage, arrays in stages.items() for name, array in arrays.items()}


@pytest.mark.parametrize("name", RECORDED)
def test_spec_equals_the_recorded_one(name):
    about, _ = golden(name)
    spec = nar.datasets.get(name).spec
    assert about["generator"] == "dm-clrs 2.0.3"
    assert list(about["spec"].items()) == [(n, [p.stage, p.location, p.type]) for n, p in spec.items()]


@pytest.mark.parametrize("name", RECORDED)
def test_golden_traces_from_the_same_seed(name):
    """Sampler, steps and outputs: every number of every probe equal, bit for bit."""
    about, arrays = golden(name)
    algorithm = nar.datasets.get(name)
    for case, recorded in about["cases"].items():
        n, samples, seed, params = settings(recorded)
        rng = np.random.RandomState(seed)
        for b in range(samples):
            trace = algorithm.run(**algorithm.sample(rng, n, **params))
            assert trace.length == arrays[f"{case}/lengths"][b], (case, b)
            assert trace.length <= algorithm.bound(trace.nodes)
            for probe, ours in dense(trace).items():
                theirs = arrays[f"{case}/{probe}"]
                theirs = theirs[: trace.length, b] if probe.startswith("hint") else theirs[b]
                if f"{name} {probe.split('/')[1]}" in LIBM:
                    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12, err_msg=f"{name} {case} {probe}")
                    continue
                np.testing.assert_array_equal(ours, theirs, err_msg=f"{name} {case} sample {b} {probe}")


def test_golden_cases_cover_what_they_claim():
    """Three sizes and several seeds each, within the size that a repository should carry."""
    files = sorted(GOLDEN.glob("traces_*.npz"))
    assert [f.stem.removeprefix("traces_") for f in files] == list(REFERENCE)
    assert sum(f.stat().st_size for f in files) < 6_000_000
    for name in REFERENCE:
        about, _ = golden(name)
        assert {4, 9, 16} <= {case["length"] for case in about["cases"].values()}
        assert len({case["seed"] for case in about["cases"].values()}) >= 3


@pytest.mark.parametrize("name", NAMES)
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


@pytest.mark.parametrize("name", NAMES)
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


@pytest.mark.parametrize("name", RECORDED)
def test_live_comparison_with_dm_clrs(name, monkeypatch):
    """As the golden test, on 160 new inputs, some of them such as the samplers never draw. Needs dm-clrs."""
    clrs = pytest.importorskip("clrs")
    from clrs._src import algorithms, probing

    # among equals, dm-clrs takes whatever numpy's sorting code comes up with; ours takes the first
    argsort = np.argsort
    monkeypatch.setattr(np, "argsort", lambda a, **options: argsort(a, **{**options, "kind": "stable"}))
    algorithm, seen = nar.datasets.get(name), 0
    for seed in range(160):
        rng = np.random.RandomState(1000 + seed)
        n = max(algorithm.train_sizes or (rng.randint(2, 25),))
        inputs = algorithm.sample(rng, size(algorithm, n), **(algorithm.train_params if seed % 2 else {}))
        try:
            if seed >= 120:
                inputs = {k: unusual(v, rng) for k, v in inputs.items()}
            trace = algorithm.run(**inputs)
        except ValueError:  # an input that ours refuses
            assert seed >= 120
            continue
        if algorithm.category in ("strings", "dynamic programming") and "string" in algorithm.spec:
            inputs = {k: np.asarray(v).astype(int) for k, v in inputs.items()}  # dm-clrs uses characters as indexes
        if name == "matrix_chain_order" and (inputs["p"] == 0).any():
            continue  # dm-clrs stops as soon as a round changes no number, zeros of new entries included
        if name == "naive_string_matcher" and trace.compact["match"] == len(inputs["T"]):
            continue  # dm-clrs does not finish a trace without a match
        if name == "graham_scan":
            others = np.delete(trace.compact["atans"][-1], trace.compact["best"][-1])
            if len(np.unique(others)) < len(others):
                continue  # equal angles: dm-clrs is wrong or never ends
        seen += 1
        _, probes = getattr(algorithms, name)(*(np.copy(value) for value in inputs.values()))
        ours = dense(trace)
        for stage, points in zip(
            ("input", "output", "hint"), probing.split_stages(probes, clrs.SPECS[name]), strict=True
        ):
            for point in points:
                theirs = np.squeeze(point.data, axis=1 if stage == "hint" else 0)
                np.testing.assert_array_equal(ours[f"{stage}/{point.name}"], theirs, err_msg=f"{seed} {point.name}")
    assert seen >= 120


def unusual(value, rng):
    """Sparse, integer, with ties: what a user may well give, and what dm-clrs is right about."""
    for operation in ("zero", "round", "copy", "scale"):
        if rng.uniform() < 0.4:
            value = disturbed(value, operation, rng)
    return value


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
