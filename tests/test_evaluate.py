"""Evaluations of reasoners that execute the algorithm exactly, and of such that are wrong where we say."""

import copy

import numpy as np
import pytest
import torch

from nar import datasets, processors
from nar.analysis.references import compiled
from nar.evaluation import axes
from nar.evaluation.evaluate import entries, entry, evaluate, evaluating, test_set
from nar.evaluation.peak_memory import STATM, PeakMemory
from nar.model.batch import collate, training_spec
from nar.model.objectives.metrics import merge_permutations
from nar.model.postprocess import hard
from nar.model.reasoner import Reasoner
from nar.traces.spec import Type

test_set.__test__ = False  # not a test


def traces_of(name, size=9, samples=6, setting=None):
    return list(test_set(datasets.get(name), size, samples, setting)[0])


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


# --- the first error -------------------------------------------------------------------------------------------------


def spoilt(reasoner, change):
    """A reasoner whose predicted hints `change(batch, hints by step)` tampers with, after the rollout."""
    tampered = copy.copy(reasoner)

    def forward(batch, **options):
        rollout = reasoner(batch, **options)
        change(batch, rollout.hints)
        return rollout

    tampered.forward = forward
    return tampered


def test_the_first_wrong_entry_is_found_in_the_graph_and_at_the_step_where_it_is():
    """Graphs are rolled out longest first; errors are reported in the order of the traces."""
    traces = traces_of("bfs", 12, 8, {"family": "tree"})
    lengths = [trace.length for trace in traces]
    assert len(set(lengths)) > 2 and lengths != sorted(lengths, reverse=True)
    wrong = {1: 2, 4: 1, 6: lengths[6] - 1}  # place -> step, from 1

    def change(batch, hints):
        for place, step in wrong.items():
            if place in batch.order:
                for later in hints[step - 1 : step + 1]:  # and once more, where there is a next one
                    for row in [b for b in range(len(later["pi_h"])) if batch.order[b] == place]:
                        later["pi_h"][row, 5] = (later["pi_h"][row, 5] + 1) % 12

    found = evaluate(spoilt(compiled.compiled("bfs"), change), datasets.get("bfs"), traces)
    assert found.first_errors == [wrong.get(place) for place in range(8)]
    assert found.exact == 8  # outputs were left alone


@pytest.mark.parametrize("portion", (1, 3, 100))
def test_first_errors_do_not_depend_on_how_the_set_is_cut(portion, monkeypatch):
    def portions(traces, features, device):
        traces = list(traces)
        return [traces[i : i + portion] for i in range(0, len(traces), portion)]

    monkeypatch.setattr("nar.evaluation.evaluate.portions", portions)
    reasoner = leaning("bellman_ford", 0.3)
    traces = traces_of("bellman_ford", 12, 8)
    found = evaluate(reasoner, datasets.get("bellman_ford"), traces)
    assert found.first_errors == by_hand(reasoner, "bellman_ford", traces) and any(found.first_errors)


def leaning(name, toll):
    """A reference with one bias changed: every edge looks longer than it is, and paths of few edges look better."""
    reasoner = copy.deepcopy(compiled.compiled(name))
    reasoner.encoders[name].maps["A"][0].bias.data[compiled.PROGRAMS[name].edges.index("A")] = toll
    return reasoner


def by_hand(reasoner, name, traces):
    """First errors by numpy, trace by trace, each a batch of its own, from the recorded arrays."""
    algorithm, found = datasets.get(name), []
    spec = reasoner.specs[name]
    for trace in traces:
        batch = collate([trace], algorithm)
        with evaluating(reasoner):
            rollout = reasoner(batch)
        step_of_error = None
        for moment in range(1, trace.length):
            values = {hint: hard(spec[hint], logits) for hint, logits in rollout.hints[moment - 1].items()}
            for hint, value in merge_permutations(spec, values).items():
                truth = np.asarray(trace.compact[hint])[moment]
                differs = (value[0].numpy() != truth) & (truth != -1)
                if algorithm.spec[hint].type is not Type.SCALAR and differs.any() and step_of_error is None:
                    step_of_error = moment
        found.append(step_of_error)
    return found


@pytest.mark.parametrize(("name", "toll"), [("bellman_ford", 0.3), ("dijkstra", 0.02), ("dijkstra", 0.1)])
def test_a_wrong_weight_shows_at_the_step_where_it_changes_a_decision(name, toll):
    reasoner, traces = leaning(name, toll), traces_of(name, 16, 12)
    found = evaluate(reasoner, datasets.get(name), traces)
    assert found.first_errors == by_hand(reasoner, name, traces)
    steps = {step for step in found.first_errors or () if step is not None}
    assert len(steps) > 1  # not at the first step, nor everywhere at the same one
    assert found.to_dict()["first_error"] == found.first_errors


def test_a_wrong_decoder_shows_at_the_first_step():
    """A mask that is always off is wrong as soon as a node is reached, and the source always is."""
    reasoner = copy.deepcopy(compiled.compiled("bfs"))
    reasoner.decoders["bfs"].maps["reach_h"][0].bias.data -= 1e4
    lengths = [trace.length for trace in traces_of("bfs", 9, 6)]
    found = evaluate(reasoner, datasets.get("bfs"), traces_of("bfs", 9, 6))
    assert found.first_errors == [1 if length > 1 else None for length in lengths] and 1 in found.first_errors


def test_numbers_are_not_compared():
    def change(batch, hints):
        for step in hints:
            step["d"] += 1e6

    found = evaluate(spoilt(compiled.compiled("dijkstra"), change), datasets.get("dijkstra"), traces_of("dijkstra"))
    assert found.first_errors == [None] * 6
    assert found.hints["d"][0].value() > 1e11


@pytest.mark.parametrize("name", ("insertion_sort", "topological_sort", "segments_intersect", "liveness"))
def test_every_kind_of_hint_is_compared(name):
    """Permutations, classes, masks that are partly open: an untrained network, against numpy."""
    reasoner = Reasoner.build(name, "mpnn", hidden=8).eval()
    traces = traces_of(name, 6, 4)
    assert evaluate(reasoner, datasets.get(name), traces).first_errors == by_hand(reasoner, name, traces)


def test_without_hints_there_is_nothing_to_leave():
    specs = {"bfs": training_spec(datasets.get("bfs"))}
    reasoner = Reasoner(specs, processors.build("mpnn", 8), hint_mode="none").eval()
    found = evaluate(reasoner, datasets.get("bfs"), traces_of("bfs"))
    assert found.first_errors is None and "first_error" not in found.to_dict()


# --- without the oracle ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ("bfs", "bellman_ford"))
def test_exact_execution_that_stops_by_itself(name):
    """At the fixed point: after the last step, or one later where the last one still changed something."""
    algorithm, reasoner = datasets.get(name), compiled.compiled(name)
    found = entry(reasoner, algorithm, 12, samples=6, termination="fixed_point")
    told = entry(reasoner, algorithm, 12, samples=6)
    assert (found["termination"], told["termination"]) == ("fixed_point", "oracle")
    assert (found["score"], found["exact"], found["valid"], found["first_error"]) == (1.0, 1.0, 1.0, [None] * 6)
    assert (found["steps_mean"], found["steps_max"]) == (told["steps_mean"], told["steps_max"])
    assert told["steps_taken"]["mean"] <= found["steps_taken"]["mean"] <= told["steps_taken"]["mean"] + 1
    assert found["hints"] == told["hints"]  # compared as long as the trace goes on


def halting(bias, hint_feedback="soft"):
    """An untrained network, and a head that always stops, or never."""
    torch.manual_seed(1)
    reasoner = Reasoner.build("bfs", "mpnn", hidden=8, halting="supervised", hint_feedback=hint_feedback).eval()
    head = reasoner.halting_head("bfs")
    assert head is not None
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        head.graph.bias.fill_(bias)
    return reasoner


def test_what_is_compared_of_rollouts_that_stop_too_early():
    traces = traces_of("bfs", 12, 8, {"family": "tree"})
    found = evaluate(halting(1.0), datasets.get("bfs"), traces, termination="learned").to_dict()
    told = evaluate(halting(1.0), datasets.get("bfs"), traces).to_dict()
    assert found["steps_taken"] == {"mean": 1, "max": 1} and told["steps_taken"]["max"] > 3
    for hint, values in found["hints"].items():
        assert values["live"] == [8] and values["per_step"] == told["hints"][hint]["per_step"][:1]
    assert found["first_error"] == [1 if step == 1 else None for step in told["first_error"]]


def test_what_is_compared_of_rollouts_that_stop_too_late(monkeypatch):
    """The limit is that of the set, four times its longest trace, whatever the batches: here one for every graph."""
    monkeypatch.setattr("nar.evaluation.evaluate.TENSOR_BYTES", 1)
    traces = traces_of("bfs", 12, 8, {"family": "tree"})
    longest = max(trace.length - 1 for trace in traces)
    found = entry(halting(-1.0), datasets.get("bfs"), 12, samples=8, setting={"family": "tree"}, termination="learned")
    assert found["steps_taken"] == {"mean": 4 * longest, "max": 4 * longest}
    told = evaluate(halting(-1.0), datasets.get("bfs"), traces).to_dict()
    assert found["first_error"] == told["first_error"] and found["steps_max"] == longest
    for hint, values in found["hints"].items():
        assert values["live"] == told["hints"][hint]["live"]
        assert values["per_step"] == pytest.approx(told["hints"][hint]["per_step"])


@pytest.mark.parametrize("late", [0, 1])
@pytest.mark.parametrize("output_step", [False, True])
def test_a_head_that_says_what_the_oracle_says_needs_no_rollouts_of_its_own(output_step, late, monkeypatch):
    """The entries are those of separate evaluations, made once or, where the head ends one graph late, twice."""
    torch.manual_seed(1)
    options = {"hint_feedback": "hard", "history": False, "output_step": output_step, "halting": "supervised"}
    reasoner, algorithm = Reasoner.build("bfs", "relational", hidden=8, **options).eval(), datasets.get("bfs")
    ends = sorted((trace.length - 2 + output_step for trace in traces_of("bfs", 9, 6)), reverse=True)
    assert len(set(ends)) > 1
    ends[0] += late
    asked, rolled = [], []

    def head(largest, graph):
        asked.append(None)
        return torch.where(torch.tensor(ends[: len(graph)]) == len(asked) - 1, 1.0, -1.0)

    def evaluated(*arguments, **options):
        asked.clear()
        rolled.append(options["termination"])
        return evaluate(*arguments, **options)

    monkeypatch.setattr(reasoner, "halting_head", lambda name: head)
    monkeypatch.setattr("nar.evaluation.evaluate.evaluate", evaluated)
    both = ["oracle", "learned"]
    found = list(entries(reasoner, algorithm, 9, samples=6, terminations=both))
    assert rolled == both[: 1 + late]
    alone = [entry(reasoner, algorithm, 9, samples=6, termination=end) for end in both]
    differs = dict.fromkeys(("seconds", "peak_memory_mb"))
    assert [one | differs for one in found] == [other | differs for other in alone]
    headless = Reasoner.build("bfs", "mpnn", hidden=8).eval()
    assert evaluate(headless, algorithm, traces_of("bfs", 9, 6)).ends_as_told is None


def test_rollouts_that_stop_at_different_steps_are_those_of_each_graph_alone():
    reasoner, algorithm = halting(0.0, "hard"), datasets.get("bfs")
    traces = traces_of("bfs", 12, 8, {"family": "tree"})
    head = reasoner.halting_head("bfs")
    assert head is not None
    with torch.no_grad(), evaluating(reasoner):
        head.nodes.weight.normal_(std=30.0, generator=torch.Generator().manual_seed(1))
        head.graph.bias -= torch.cat(reasoner(collate(traces, algorithm)).halts).quantile(0.7)
    whole = evaluate(reasoner, algorithm, traces, termination="learned", limit=20)
    alone = [evaluate(reasoner, algorithm, [trace], termination="learned", limit=20) for trace in traces]
    assert len(set(whole.taken)) > 1
    assert whole.first_errors == [(one.first_errors or [None])[0] for one in alone]
    assert sorted(whole.taken) == sorted(one.taken[0] for one in alone)
    assert whole.num_running == [
        sum(len(one.num_running) > step for one in alone) for step in range(len(whole.num_running))
    ]
    for hint, tallies in whole.hints.items():
        for step, found in enumerate(tallies):
            parts = [one.hints[hint][step] for one in alone if len(one.num_running) > step]
            assert found == sum(parts[1:], parts[0])
    assert whole.measures.keys() == alone[0].measures.keys()


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
