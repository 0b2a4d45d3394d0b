"""Contract tests: what holds for every algorithm of the table, and so for every new one."""

import dataclasses
import pathlib
import pickle
import re
import subprocess
import sys
from collections import Counter

import hypothesis
import numpy as np
import pytest
from inputs import CLRS30, REFERENCE, any_inputs, outputs, sampled, size

import nar.datasets
from nar.analysis.algorithm_contract.check import CHECKS
from nar.analysis.algorithm_contract.examples import Examples
from nar.analysis.contract import check
from nar.traces.formats import clrs_text
from nar.traces.inputs import graphs
from nar.traces.spec import POINTERS, Type

NAMES = nar.datasets.names()

# of the canonical validation and test sets, in units of 32 samples (dm-clrs 2.0.3)
MULTIPLIERS = dict.fromkeys(
    ("quickselect", "minimum", "binary_search", "naive_string_matcher", "kmp_matcher", "segments_intersect"), 64
) | {"find_maximum_subarray_kadane": 32}
HALF_AS_DENSE = ("articulation_points", "bridges", "mst_kruskal")
PRED_AS_INPUT = set(
    "binary_search minimum find_maximum_subarray find_maximum_subarray_kadane matrix_chain_order lcs_length "
    "optimal_bst activity_selector task_scheduling naive_string_matcher kmp_matcher jarvis_march".split()
)


# --- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_contract(name):
    """What `nar check` runs on one of your own: forms, order, bound, oracle, validity and more."""
    examples = Examples(nar.datasets.get(name))
    outcomes = list(check.run(examples, CHECKS))
    assert [outcome.check for outcome in outcomes] == list(CHECKS)
    assert all(outcome.holds for outcome in outcomes), [str(outcome) for outcome in outcomes if not outcome.holds]


@pytest.mark.parametrize("name", NAMES)
def test_indexes_that_do_not_exist_are_not_valid(name):
    algorithm, inputs, trace = sampled(name, 6, 0)
    indexes = [n for n, p in trace.spec.outputs.items() if p.type in POINTERS or p.type is Type.MASK_ONE]
    for output in indexes:
        for bad in (-1, trace.nodes):
            answer = {key: np.array(value) for key, value in outputs(trace).items()}
            answer[output][(0,) * answer[output].ndim] = bad
            assert not algorithm.is_valid(inputs, answer)


@pytest.mark.parametrize("name", NAMES)
def test_outputs_of_the_wrong_form_are_refused(name):
    algorithm, inputs, trace = sampled(name, 5, 0)
    right = outputs(trace)
    output = next(iter(right))
    with pytest.raises(ValueError, match=rf"outputs of {name}: got \[.*\], required \["):
        algorithm.is_valid(inputs, {key: value for key, value in right.items() if key != output})
    with pytest.raises(ValueError, match=rf"output {output}: got shape \(7, 1, 1\), required \("):
        algorithm.is_valid(inputs, {**right, output: np.zeros((7, 1, 1))})


# --- any input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_any_input_gives_a_valid_trace_or_a_value_error(name):
    algorithm, answered = nar.datasets.get(name), 0

    @hypothesis.settings(max_examples=80, deadline=None, derandomize=True, database=None)
    @hypothesis.given(any_inputs(name))
    def check(inputs):
        nonlocal answered
        try:
            trace = algorithm.run(**inputs)
        except ValueError as error:
            assert any(argument in str(error).split()[:4] for argument in algorithm.arguments), error
            return
        answered += 1
        assert trace.length <= algorithm.bound(trace.nodes)
        assert all(np.isfinite(array).all() for array in trace.compact.values())
        assert algorithm.is_valid(inputs, outputs(trace))

    check()
    assert answered > 24


@pytest.mark.parametrize("name", NAMES)
def test_inputs_must_be_the_algorithms_own(name):
    algorithm, inputs, _ = sampled(name, 4, 0)
    with pytest.raises(ValueError, match=rf"{name} takes the inputs \[.*\], got \["):
        algorithm.run(**inputs, something_else=1)
    with pytest.raises(ValueError, match=rf"{name} takes the inputs \[.*\], got \[\]"):
        algorithm.run()


@pytest.mark.parametrize("name", NAMES)
def test_sampler_preconditions(name):
    algorithm, rng = nar.datasets.get(name), np.random.RandomState(0)
    least = algorithm.min_nodes
    for n in (0, -3, least - 1, 2.0, True, "4"):
        with pytest.raises(ValueError, match=f"n must be an integer of at least {least} for {name}"):
            algorithm.sample(rng, n)
    with pytest.raises(ValueError, match=rf"{name} has no sampler parameter \['q'\]; it has"):
        algorithm.sample(rng, 4, q=1)
    with pytest.raises(ValueError, match=r"rng must be a numpy.random.RandomState"):
        algorithm.sample(np.random.default_rng(0), 4)
    if "low" in algorithm.params:
        for low, high in ((1, 0), (np.nan, 1), (0, np.inf), ("0", 1), (None, 1)):
            with pytest.raises(ValueError, match="low and high must be finite numbers with low <= high"):
                algorithm.sample(rng, size(algorithm, 4), low=low, high=high)
    if "p" in algorithm.params:
        for p in ((), (1.5,), (-0.1, 0.5), (np.nan,), None, "0.5"):
            with pytest.raises(ValueError, match=r"p must hold edge probabilities in \[0, 1\]"):
                algorithm.sample(rng, size(algorithm, 4), p=p)


# --- the table -------------------------------------------------------------------------------------------------------


def test_unknown_names_get_a_suggestion():
    with pytest.raises(
        ValueError, match=r"unknown algorithm 'belman_ford'; did you mean 'bellman_ford'\? \(nar list, or my_module:"
    ):
        nar.datasets.get("belman_ford")
    with pytest.raises(ValueError, match=r"unknown algorithm 'xyz' \(nar list, or"):
        nar.datasets.get("xyz")


@pytest.mark.parametrize("name", NAMES)
def test_declarations(name):
    algorithm = nar.datasets.get(name)
    assert algorithm.name == name
    assert len(algorithm.citation) > 10
    assert pickle.loads(pickle.dumps(algorithm)) is algorithm


def test_the_benchmark_is_complete():
    assert len(CLRS30) == 30 and set(REFERENCE) <= set(NAMES)
    for name in REFERENCE:
        algorithm = nar.datasets.get(name)
        assert algorithm.num_samples_multiplier == MULTIPLIERS.get(name, 1), name
        assert algorithm.pred_as_input == (name in PRED_AS_INPUT), name
        if "p" in algorithm.params:
            halved = name in HALF_AS_DENSE
            np.testing.assert_allclose(algorithm.train_params["p"], np.array(graphs.TRAIN_P) / (2 if halved else 1))
            assert algorithm.params["p"] == ((0.2,) if halved else (0.5,)), name
    counts = Counter(nar.datasets.get(name).category for name in CLRS30)  # Velickovic et al. 2022, table 1
    assert counts == {
        "sorting": 4, "searching": 3, "divide and conquer": 1, "greedy": 2, "dynamic programming": 3, "graphs": 12,
        "strings": 2, "geometry": 3,
    }  # fmt: skip


def python(code, **kwargs):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, **kwargs)


def test_import_and_traces_need_no_framework():
    code = (
        "import sys, numpy, nar.datasets, nar.datasets.canonical\n"
        "for name in nar.datasets.names():\n"
        "    algorithm = nar.datasets.get(name)\n"
        "    algorithm.run(**algorithm.sample(numpy.random.RandomState(0), max(4, algorithm.min_nodes)))\n"
        "print([m for m in ('torch', 'jax', 'tensorflow', 'networkx', 'matplotlib') if m in sys.modules])\n"
    )
    result = python(code)
    assert (result.returncode, result.stdout.strip()) == (0, "[]"), result.stderr


def test_the_folder_cannot_be_imported_under_its_bare_name():
    folder = nar.datasets.__path__[0]
    result = python("import datasets", cwd=f"{folder}/..")
    assert result.returncode == 1
    assert "this folder is imported as nar.datasets" in result.stderr


def test_the_documented_algorithm_on_a_graph(tmp_path, monkeypatch):
    """0 - 1 is 5 wide, 1 - 2 is 3, 0 - 2 is 1: the way to 2 goes by 1. It keeps the contract, and has a family."""
    page = (pathlib.Path(__file__).parents[1] / "docs" / "algorithms.md").read_text()
    (tmp_path / "widest_paths.py").write_text(re.findall(r"^```python\n(.*?)^```$", page, flags=re.M | re.S)[1])
    monkeypatch.syspath_prepend(tmp_path)
    algorithm = nar.datasets.get("widest_paths:algorithm")
    trace = algorithm.run(A=[[0, 5, 1], [5, 0, 3], [1, 3, 0]], s=0)
    assert trace.compact["pi"].tolist() == [0, 0, 1] and trace.compact["width"][-1].tolist() == [5, 5, 3]
    outcomes = list(check.run(Examples(algorithm), CHECKS))
    assert all(outcome.holds for outcome in outcomes), [str(outcome) for outcome in outcomes if not outcome.holds]
    drawn, same = (algorithm.sample(np.random.RandomState(0), 9, family=f) for f in ("ba", "barabasi_albert"))
    np.testing.assert_array_equal(drawn["A"], same["A"])


def test_categories_are_those_of_the_textbook_or_own_ones():
    algorithm = nar.datasets.get("minimum")
    for category in ("graphs", "my field", "x"):
        assert dataclasses.replace(algorithm, category=category).category == category
    with pytest.raises(ValueError, match="category of minimum: got 'graph'; did you mean 'graphs'"):
        dataclasses.replace(algorithm, category="graph")


def test_an_algorithm_of_your_own(tmp_path, monkeypatch):
    """The example of docs/algorithms.md, word for word, by its address."""
    page = (pathlib.Path(__file__).parents[1] / "docs" / "algorithms.md").read_text()
    (tmp_path / "selection_sort.py").write_text(re.search(r"^```python\n(.*?)^```$", page, flags=re.M | re.S)[1])
    monkeypatch.syspath_prepend(tmp_path)
    algorithm = nar.datasets.get("selection_sort:algorithm")
    assert algorithm.name == "selection_sort:algorithm"
    assert pickle.loads(pickle.dumps(algorithm)) is algorithm
    for n in (1, 2, 9, 30):
        inputs = algorithm.sample(np.random.RandomState(n), n)
        trace = algorithm.run(**inputs)
        assert trace.length == n and algorithm.is_valid(inputs, outputs(trace))
        np.testing.assert_array_equal(
            trace.compact["pred"], nar.datasets.get("insertion_sort").run(**inputs).compact["pred"]
        )
    trace = algorithm.run(A=[3, 1, 2])
    assert trace.compact["pred_h"].tolist() == [[0, 0, 1], [1, 1, 0], [2, 1, 1]]
    assert trace.compact["least"].tolist() == [0, 1, 2]
    again = clrs_text.parse(clrs_text.write(trace, hints="all"))
    assert again.algorithm == trace.algorithm and again.compact["pred_h"].tolist() == trace.compact["pred_h"].tolist()
    for address, message in (
        ("selection_sort:nothing", "nothing in selection_sort is not found"),
        ("selection_sort:algoritm", "did you mean 'selection_sort:algorithm'"),
        ("selection_sort.algorithm", "did you mean 'selection_sort:algorithm'"),
        ("selection_sort:SPEC", "SPEC in selection_sort is a Spec, not a nar.Algorithm"),
        ("no_module:algorithm", "no module named 'no_module'"),
        ("selection_sort:", "not of the form module:Name"),
    ):
        with pytest.raises(ValueError, match=message):
            nar.datasets.get(address)


@pytest.mark.parametrize(
    "wrong, said",
    [
        (("np.arange(5) % 4", "2", "A[:5] > 0"), None),
        (("np.arange(5)", "2", "A[:5] > 0"), "own_ranges:algorithm: kind is 4 at moment 0; a categorical of 4 classes"),
        (("np.arange(5) % 4", "5", "A[:5] > 0"), "at is 5 at moment 0; a mask_one of 5 nodes holds 0 to 4"),
        (("np.arange(5) % 4", "2", "-2 * (np.arange(5) > 3)"), "found is -2; a mask of 5 nodes holds -1 to 1"),
    ],
)
def test_values_that_the_spec_does_not_have_are_named(wrong, said, tmp_path, monkeypatch):
    kind, at, found = wrong
    (tmp_path / "own_ranges.py").write_text(
        f"""
import numpy as np
from nar import Algorithm, Spec
from nar.traces.record import record

def steps(trace, A):
    record(trace, {kind}, {at})
    return {found}

algorithm = Algorithm(
    name="ranges", citation="none", category="arrays", steps=steps, bound=lambda n: 2,
    spec=Spec({{
        "pos": ("input", "node", "scalar"), "A": ("input", "node", "scalar"),
        "kind": ("hint", "node", "categorical", 4), "at": ("hint", "node", "mask_one"),
        "found": ("output", "node", "mask"),
    }}),
    prepare=lambda A: ((A,), {{"pos": np.arange(len(A)) / len(A), "A": A}}),
    sampler=lambda rng, n: {{"A": rng.uniform(size=n)}},
    oracle=lambda A: {{"found": A > 0}}, validity=lambda A, found: True,
)
"""
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_ranges", raising=False)
    nar.datasets.get.cache_clear()
    algorithm = nar.datasets.get("own_ranges:algorithm")
    if said is None:
        assert algorithm.run(A=np.ones(5)).length == 1
    else:
        with pytest.raises(ValueError, match=said):
            algorithm.run(A=np.ones(5))
