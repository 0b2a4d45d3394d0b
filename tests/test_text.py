"""Traces as text: CLRS-Text's own words, character for character; everything back; errors with line and column."""

import json
import pathlib
import re

import numpy as np
import pytest
from archived_traces import assert_same, foreign
from inputs import REFERENCE, sampled

import nar.datasets
from nar.traces.formats import clrs_text, clrs_text_grammar
from nar.traces.run_length import RunLengthArray
from nar.traces.spec import Spec, Type
from nar.traces.trace import Trace

NAMES = nar.datasets.names()
RECORDED = [name for name in REFERENCE if name in NAMES]
GOLDEN = json.loads(pathlib.Path(__file__).with_name("golden").joinpath("text.json").read_text())
SAMPLES = 36


def again(trace):
    compact = {
        k: RunLengthArray.of(np.asarray(v)) if isinstance(v, RunLengthArray) else v for k, v in trace.compact.items()
    }
    return Trace(trace.algorithm, trace.spec, trace.nodes, trace.length, compact)


def samples(name, sizes=(1, 2, 3, 4, 5, 8), count=SAMPLES):
    for seed in range(count):
        yield sampled(
            name, sizes[seed % len(sizes)], seed, train=seed % 3 == 2 and not nar.datasets.get(name).train_sizes
        )


@pytest.mark.parametrize("name", RECORDED)
def test_golden_texts(name):
    assert GOLDEN["generator"] == "dm-clrs 2.0.3" and sorted(GOLDEN["texts"]) == list(REFERENCE)
    algorithm = nar.datasets.get(name)
    for case in GOLDEN["texts"][name]:
        inputs = algorithm.sample(np.random.RandomState(case["seed"]), case["length"])
        if case["truncate_decimals"]:
            inputs = clrs_text.truncate(inputs, case["truncate_decimals"])
        trace = algorithm.run(**inputs)
        assert list(clrs_text.question_and_answer(trace)) == case["plain"]
        assert list(clrs_text.question_and_answer(trace, hints=True)) == case["hints"]
        assert clrs_text.write(trace, hints=True) == "".join(case["hints"])


@pytest.mark.parametrize("name", RECORDED)
def test_live_comparison_with_clrs_text(name):
    """Of the same samples, drawn by the reference. Needs dm-clrs."""
    clrs = pytest.importorskip("clrs")
    from clrs._src.clrs_text import clrs_utils

    def arrays(points, batch_axis=0):
        return {p.name: np.take(p.data, 0, batch_axis) for p in points}

    spec = nar.datasets.get(name).spec
    for case in range(12):
        settings = {"num_samples": -1, "length": 4 + case, "seed": case, "track_max_steps": False}
        sampler, _ = clrs.build_sampler(name, truncate_decimals=(3, None, 1)[case % 3], **settings)
        for _ in range(10):
            sample = sampler.next(1)
            stages = arrays(sample.features.inputs), arrays(sample.features.hints, 1), arrays(sample.outputs)
            trace = Trace.from_dense(name, spec, *stages)
            for hints in (False, True):
                theirs = clrs_utils.format_clrs_example(name, sample, use_hints=hints)
                assert clrs_text.question_and_answer(trace, hints) == theirs


@pytest.mark.parametrize("name", NAMES)
def test_the_whole_trace_comes_back(name):
    for algorithm, _, trace in samples(name):
        assert_same(clrs_text.parse(clrs_text.write(trace, hints="all"), algorithm), again(trace))
    written = clrs_text.write(trace, hints="all")
    assert_same(clrs_text.parse(written), again(trace))
    assert_same(clrs_text.parse(written, algorithm.spec), again(trace))


@pytest.mark.parametrize("name", NAMES)
def test_the_whole_trace_to_three_decimals(name):
    for _, _, trace in samples(name, count=12):
        written = clrs_text.write(trace, hints="all", decimals=3)
        assert not re.search(r"\.\d{4}", written)
        back = clrs_text.parse(written)
        assert (back.nodes, back.length, back.spec) == (trace.nodes, trace.length, trace.spec)
        for probe, kind in trace.spec.items():
            ours, theirs = np.asarray(trace.compact[probe]), np.asarray(back.compact[probe])
            if kind.type is Type.SCALAR:
                np.testing.assert_allclose(theirs, ours, rtol=0, atol=0.0005 + 1e-12)
            else:
                np.testing.assert_array_equal(theirs, ours)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("hints", [False, True])
def test_what_clrs_text_tells_comes_back(name, hints):
    """All inputs and outputs, of the hints what is shown; and with the inputs the whole trace."""
    for algorithm, inputs, trace in samples(name, count=36):
        back = clrs_text.parse(clrs_text.write(trace, hints))
        assert set(algorithm.spec.inputs) <= set(back.spec)
        if not (hints and name in clrs_text_grammar.SEARCHES):
            assert set(algorithm.spec.outputs) <= set(back.spec)
        if not hints:
            assert back.length == 0 and not back.spec.hints
        for probe, kind in back.spec.items():
            ours, theirs = np.asarray(trace.compact[probe]), np.asarray(back.compact[probe])
            if kind.stage == "hint":
                shown = max(1, trace.length - (name not in clrs_text_grammar.SEARCHES))
                assert back.length == shown + (name in clrs_text_grammar.SEARCHES and trace.length == 1)
                ours, theirs = ours[:shown], theirs[:shown]
            assert kind == trace.spec[probe] and ours.dtype == theirs.dtype
            np.testing.assert_array_equal(theirs, ours, err_msg=probe)
        assert_same(algorithm.run(**algorithm.arguments_of(back)), algorithm.run(**inputs))


def test_bellman_ford_worked_out_by_hand():
    trace = nar.datasets.get("bellman_ford").run(A=[[0, 0.5], [0, 0]], s=0)
    assert clrs_text.question_and_answer(trace) == (
        "bellman_ford:\ns: 0, A: [[0.0 0.5], [0.0 0.0]]\npi:\n",
        "[0 0]\n\n",
    )
    assert clrs_text.question_and_answer(trace, hints=True) == (
        "bellman_ford:\ns: 0, A: [[0.0 0.5], [0.0 0.0]], initial_trace: [0 1]\ntrace | pi:\n",
        " | [0 0]\n\n",
    )
    assert clrs_text.question_and_answer(trace, hints="all") == (
        "bellman_ford:\npos: [0.0 0.5], s: 0, A: [[0.0 0.5], [0.0 0.0]], adj: [[1 1], [0 1]], "
        "initial_trace: ([0 1], [0.0 0.0], [1 0])\ntrace (pi_h, d, msk) | pi:\n",
        "([0 0], [0.0 0.5], [1 1]) | [0 0]\n\n",
    )


def test_searches_show_their_last_hints():
    trace = nar.datasets.get("binary_search").run(x=2, A=[1.0, 2.0, 3.0])
    assert clrs_text.question_and_answer(trace, hints=True) == (
        "binary_search:\nkey: [1.0 2.0 3.0], target: 2.0, initial_trace: (0, 2)\ntrace | (low, high):\n",
        "(0, 1) | (1, 1)\n\n",
    )
    back = clrs_text.parse(clrs_text.write(trace, hints=True))
    assert back.compact["low"].tolist() == [0, 0, 1] and back.compact["high"].tolist() == [2, 1, 1]
    assert "return" not in back.spec


def test_sorted_keys_and_ties():
    trace = nar.datasets.get("insertion_sort").run(A=[2.0, 1.0, 1.0])
    assert clrs_text.write(trace) == "insertion_sort:\nkey: [2.0 1.0 1.0]\npred:\n[1.0 1.0 2.0]\n\n"
    assert clrs_text.parse(clrs_text.write(trace)).compact["pred"].tolist() == [2, 1, 1]
    # the other order of equal keys is lost, but not with all hints
    other = {**trace.compact, "pred": np.array([1, 2, 2], np.int16)}
    other = Trace("insertion_sort", trace.spec, 3, trace.length, other)
    assert clrs_text.write(other) == clrs_text.write(trace)
    assert_same(clrs_text.parse(clrs_text.write(other, hints="all")), other)


def test_inputs_that_do_not_follow_are_written():
    trace = nar.datasets.get("bellman_ford").run(A=[[0, 0.5], [0, 0]], s=0)
    compact = {**trace.compact, "pos": np.array([0.25, 0.5]), "adj": np.ones((2, 2), np.int8)}
    written = clrs_text.write(Trace("bellman_ford", trace.spec, 2, trace.length, compact))
    assert written.startswith("bellman_ford:\npos: [0.25 0.5], s: 0, A: [[0.0 0.5], [0.0 0.0]], adj: [[1 1], [1 1]]\n")
    back = clrs_text.parse(written)
    assert back.compact["pos"].tolist() == [0.25, 0.5] and back.compact["adj"].tolist() == [[1, 1], [1, 1]]
    light = nar.datasets.get("bellman_ford").run(A=[[0, 0.0001], [0, 0]], s=0)
    back = clrs_text.parse(clrs_text.write(light, decimals=3))  # A alone would say that there is no edge
    assert back.compact["A"].tolist() == [[0, 0], [0, 0]] and back.compact["adj"].tolist() == [[1, 1], [0, 1]]


def test_numbers_are_exact():
    rng = np.random.RandomState(0)
    numbers = np.concatenate(
        [rng.uniform(-1, 1, 200) * 10.0 ** rng.randint(-300, 300, 200), [-0.0, 5e-324, 1e16, 1e-5]]
    )
    trace = nar.datasets.get("minimum").run(A=numbers)
    for hints in (False, True, "all"):
        written = clrs_text.write(trace, hints)
        assert " ".join(map(str, numbers)) in written  # as numpy prints them, and so CLRS-Text
        assert clrs_text.parse(written).compact["key"].tobytes() == numbers.tobytes()


def test_algorithms_that_the_table_does_not_know():
    trace = foreign()
    assert_same(clrs_text.parse(clrs_text.write(trace, hints="all"), trace.spec), again(trace))
    with pytest.raises(ValueError, match="not_in_the_table"):
        clrs_text.parse(clrs_text.write(trace, hints="all"))
    spec = Spec({"x": ("input", "node", "scalar"), "y": ("output", "node", "pointer")})
    trace = Trace("f", spec, 2, 0, {"x": np.array([0.5, np.inf]), "y": np.array([1, 1], np.int16)})
    for hints in (False, True, "all"):
        assert_same(clrs_text.parse(clrs_text.write(trace, hints), spec), trace)
    assert clrs_text.write(trace, hints="all") == "f:\nx: [0.5 inf]\ntrace () | y:\n | [1 1]\n\n"


def test_ignored_classes():
    """CLRS-Text prints an ignored class of a node as 0; with all hints it stays what it is."""
    trace = foreign()
    assert clrs_text.write(trace).startswith("not_in_the_table:\nx: [-0.0 1e+300], colour: 0, ")
    assert clrs_text.parse(clrs_text.write(trace, hints="all"), SPEC := trace.spec).compact["colour"] == -1
    assert clrs_text.parse(clrs_text.write(trace), SPEC).compact["colour"] == 0


def test_truncate_cuts_as_the_reference_does():
    cut = clrs_text.truncate(
        {"A": np.array([0.1239, -0.1239]), "s": 3, "x": 0.9999, "n": np.array([7]), "y": np.float64(2)}
    )
    assert cut["A"].tolist() == [0.123, -0.123] and cut["x"] == 0.999 and cut["s"] == 3 and cut["n"].tolist() == [7]
    assert clrs_text.truncate({"x": 0.19}, 1) == {"x": 0.1}


GOOD = clrs_text.write(nar.datasets.get("bellman_ford").run(A=[[0, 0.5], [0, 0]], s=0), hints=True)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("bellman_ford:", "", "text must have the name of an algorithm at line 1, column 1, got '\\ns: 0"),
        ("bellman_ford:", "belman_ford:", "belman_ford"),
        ("bellman_ford:\n", "bellman_ford: ", "text must have ':\\n' at line 1, column 13, got ': s: 0"),
        ("s: 0", "s: 2", "text must have an integer from 0 to 1 at line 2, column 4, got '2, A: "),
        ("s: 0", "s: 0.0", "text must have ', ' or a line break at line 2, column 5, got '.0, A"),
        ("s: 0", "t: 0", "text must have an input of bellman_ford, each once at line 2, column 1, got 't: 0"),
        ("s: 0, ", "s: 0, s: 0, ", "each once at line 2, column 7"),
        ("s: 0, ", "", "text must have the input s at line 2, column 48"),
        ("A: [[0.0 0.5]", "A: [[0.0 x]", "text must have a number at line 2, column 16, got 'x], "),
        ("A: [[0.0 0.5]", "A: [[0.0,0.5]", "text must have ' ' or ']' at line 2, column 15, got ',0.5"),
        ("A: [[0.0 0.5]", "A: [[0.0 nan]", "text must have a number at line 2, column 16"),
        ("[0.0 0.0]]", "[0.0]]", "text must have a row of 2 numbers at line 2, column 22, got '[0.0]]"),
        ("[0.0 0.0]]", "[0.0 0.0], [0.0 0.0]]", "text must have 3 x 3 numbers at line 2, column 10"),
        (", initial_trace: [0 1]", "", "text must have ', initial_trace: ' at line 2, column 32, got '\\ntrace"),
        ("initial_trace: [0 1]", "initial_trace: [0 1 1]", "text must have 2 numbers at line 2, column 49"),
        (
            "trace | pi:",
            "trace | p:",
            "text must have 'pi:' or 'trace | pi:' or 'trace (pi_h, d, msk) | pi:' at line 3",
        ),
        (" | [0 0]", "[0 0]", "text must have ', ' or ' | ' at line 4, column 6"),
        (" | [0 0]", "[0 0] [0 0] | [0 0]", "text must have ', ' or ' | ' at line 4, column 6, got ' [0 0]"),
        (" | [0 0]", " | [0 -1]", "text must have an integer from 0 to 1 at line 4, column 7, got '-1]"),
        (" | [0 0]", " | [0 0] | [0 0]", "text must have nothing more at line 4, column 9, got ' | [0 0]"),
        ("[0 0]\n\n", "", "at line 4, column 4, got its end"),
    ],
)
def test_malformed_text(old, new, message):
    assert GOOD.count(old) == 1 or old == "[0 0]\n\n"
    with pytest.raises(ValueError) as error:
        clrs_text.parse(GOOD.replace(old, new))
    assert message in str(error.value).replace("\n", "<newline>")
    assert "\n" not in str(error.value)


def test_keys_that_were_never_given():
    with pytest.raises(ValueError, match=r"text must have a key that is left over at line 4, column 6, got '1.0]"):
        clrs_text.parse("insertion_sort:\nkey: [2.0 1.0]\npred:\n[1.0 1.0]\n\n")


@pytest.mark.parametrize("hints", [False, True, "all"])
@pytest.mark.parametrize("name", ["binary_search", "heapsort", "topological_sort"])
def test_any_damage_is_a_value_error_or_another_trace(name, hints):
    rng = np.random.RandomState(0)
    _, _, trace = sampled(name, 3, 1)
    good, refused = clrs_text.write(trace, hints), 0
    for _ in range(300):
        at, kind = rng.randint(len(good)), rng.randint(3)
        bad = good[:at] + ("", "", good[at : at + 1] * 2)[kind] + good[at + 1 if kind != 1 else len(good) :]
        try:
            back = clrs_text.parse(bad)
        except ValueError as error:
            refused += 1
            assert "\n" not in str(error)
        else:
            for probe, kind in back.spec.items():
                assert np.asarray(back.compact[probe]).shape[kind.stage == "hint" :] == kind.shape(back.nodes)
    assert refused > 150


def test_arguments_of_the_wrong_kind():
    trace = foreign()
    for hints in ("some", None, 2):
        with pytest.raises(ValueError, match='hints must be False, True or "all"'):
            clrs_text.write(trace, hints)
    with pytest.raises(ValueError, match="decimals must be None or a number of digits, got -1"):
        clrs_text.write(trace, decimals=-1)
    with pytest.raises(ValueError, match="text must be a string, got bytes"):
        clrs_text.parse(b"")
    _, _, trace = sampled("insertion_sort", 3, 0)
    compact = {**trace.compact, "pred": np.array([0, 0, 0], np.int16)}
    with pytest.raises(ValueError, match=r"pred must link all nodes to one list, got \[0, 0, 0\]"):
        clrs_text.write(Trace(trace.algorithm, trace.spec, 3, trace.length, compact))
    compact = {
        name: trace.compact[name][:0] if name in trace.spec.hints else trace.compact[name] for name in trace.spec
    }
    with pytest.raises(ValueError, match="hints must be False or 'all' for a trace of length 0"):
        clrs_text.write(Trace(trace.algorithm, trace.spec, 3, 0, compact), hints=True)
