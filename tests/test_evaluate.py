"""Evaluations of reasoners that execute the algorithm exactly, of sets in parts, and what an entry of results holds."""

import numpy as np
import pytest
import torch
from leaning_references import leaning, traces_of

from nar import datasets
from nar.analysis.references import compiled
from nar.evaluation import axes
from nar.evaluation.evaluate import entry, evaluate, evaluating, test_set
from nar.evaluation.peak_memory import STATM, PeakMemory
from nar.model.batch import collate
from nar.model.postprocess import hard
from nar.traces.spec import Type

test_set.__test__ = False  # not a test


# --- exact execution -------------------------------------------------------------------------------------------------

SETTINGS = [
    {},
    {"family": "grid"},
    {"family": "ba"},
    {"density": 0.9},
    {"weights": "ties"},
    {"scale": 1e-3},
    {"scale": 1e3},
]


@pytest.mark.parametrize("name", sorted(compiled.PROGRAMS))
def test_exact_execution_never_leaves_the_trace(name):
    algorithm, reasoner = datasets.get(name), compiled.compiled(name)
    for setting in SETTINGS:
        if axes.misfit(algorithm, setting) is None:
            found = entry(reasoner, algorithm, 12, samples=4, setting=setting)
            assert (found["score"], found["exact"], found["valid"]) == (1.0, 1.0, 1.0), setting
            assert found["first_error"] == [None] * 4, setting


@pytest.mark.parametrize("name", ("bellman_ford", "dijkstra", "floyd_warshall"))
@pytest.mark.parametrize("factor", (2.0**10, 2.0**-10))
def test_exact_execution_does_not_see_the_scale(name, factor):
    """Powers of two scale weights without rounding: the same decisions at every step."""
    algorithm, reasoner = datasets.get(name), compiled.compiled(name)
    rollouts = []
    for setting in ({}, {"scale": factor}):
        batch = collate(traces_of(name, setting=setting), algorithm)
        with evaluating(reasoner):
            rollouts.append(reasoner(batch, decide_hints=True))
    one, scaled = rollouts
    for before, after in zip(one.hints, scaled.hints, strict=True):
        for hint, value in before.items():
            exact = value * factor if algorithm.spec[hint].type is Type.SCALAR and hint in ("d", "D") else value
            assert torch.equal(after[hint], exact), hint
    for output, value in one.outputs.items():
        assert torch.equal(hard(algorithm.spec[output], value), hard(algorithm.spec[output], scaled.outputs[output]))


# --- sets in parts ---------------------------------------------------------------------------------------------------


def test_a_set_is_the_sum_of_its_parts():
    algorithm, reasoner = datasets.get("bellman_ford"), leaning("bellman_ford", 0.3)
    traces = traces_of("bellman_ford", 12, 8)
    whole, *parts = (evaluate(reasoner, algorithm, some, loss=True) for some in (traces, traces[:3], traces[3:]))
    found, expected = ((parts[0] + parts[1]).to_dict(), whole.to_dict())
    for name in ("samples", "exact", "valid", "first_error", "steps_mean", "steps_max", "steps_taken", "outputs"):
        assert found[name] == expected[name], name
    for hint, values in expected["hints"].items():
        assert found["hints"][hint]["live"] == values["live"]
        assert found["hints"][hint]["per_step"] == pytest.approx(values["per_step"], rel=1e-4)
    assert (parts[0] + parts[1]).loss == pytest.approx((3 * parts[0].loss + 5 * parts[1].loss) / 8) and whole.score < 1
    with pytest.raises(ValueError, match="no traces of bellman_ford"):
        evaluate(reasoner, algorithm, [])


# --- entries ---------------------------------------------------------------------------------------------------------


def test_an_entry():
    found = entry(compiled.compiled("bfs"), datasets.get("bfs"), 9, samples=3, setting={"family": "er"})
    assert {
        "algorithm", "size", "setting", "termination", "samples", "score", "exact", "valid", "outputs", "hints",
        "steps_mean", "steps_max", "steps_taken", "first_error", "measures", "seconds", "peak_memory_mb", "data",
    } == found.keys()  # fmt: skip
    assert found["setting"] == {"family": "erdos_renyi"} and found["termination"] == "oracle"
    assert (found["algorithm"], found["size"], found["samples"]) == ("bfs", 9, 3)
    steps = [max(1, trace.length - 1) for trace in traces_of("bfs", 9, 3)]
    assert found["steps_taken"] == {"mean": sum(steps) / 3, "max": max(steps)}
    assert (found["steps_mean"], found["steps_max"]) == (sum(steps) / 3, max(steps))
    assert 50 < found["peak_memory_mb"] < 1e5
    assert found["data"]["params"]["family"] == "erdos_renyi" and found["data"]["samples"] == 3


def test_memory_is_watched_where_asked_for():
    found = evaluate(compiled.compiled("bfs"), datasets.get("bfs"), traces_of("bfs"))
    assert found.peak_memory is None and "peak_memory_mb" not in found.to_dict()


@pytest.mark.skipif(not STATM.is_file(), reason="elsewhere only the peak of the whole process is known")
def test_the_peak_of_memory():
    peak = PeakMemory(torch.device("cpu"))
    assert peak.megabytes is None
    with peak.watched():
        pass
    before = peak.megabytes
    assert before is not None and before > 50  # Python and PyTorch
    with peak.watched():
        block = np.ones(25_000_000)  # 200 MB
        del block
    assert peak.megabytes is not None and 150 < peak.megabytes - before < 400
    highest = peak.megabytes
    with peak.watched():
        pass
    assert peak.megabytes == highest


def test_sets_of_a_setting_are_drawn_from_it():
    bfs = datasets.get("bfs")
    own, manifest = test_set(bfs, 9, 4)
    path, of_path = test_set(bfs, 9, 4, {"family": "path"})
    assert manifest["set"] == of_path["set"] == "nar/test" and manifest["sha256"] != of_path["sha256"]
    assert (manifest["params"]["family"], of_path["params"]["family"]) == ("erdos_renyi", "path")
    for trace in path:
        assert np.asarray(trace.compact["A"]).sum() == 2 * 8
    assert [t.length for t in own] == [t.length for t in own]  # may be gone through again
    of_said = test_set(bfs, 9, 4, {"family": "er", "density": 0.25})[1]
    assert of_said == manifest | {"params": manifest["params"] | {"p": [0.5]}}


def test_the_canonical_set_belongs_to_the_algorithms_own_distribution():
    segments = datasets.get("articulation_points")
    assert test_set(segments, 64)[1]["set"] == test_set(segments, 64, 0, {})[1]["set"] == "clrs30-v1/test"
    assert test_set(segments, 64, 0, {"density": 0.2})[1]["set"] == "nar/test"
