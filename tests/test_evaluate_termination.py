"""Evaluations without the oracle: rollouts that end by themselves, too early, too late, each at its own step."""

import pytest
import torch
from leaning_references import traces_of

from nar import datasets
from nar.analysis.references import compiled
from nar.evaluation.evaluate import entries, entry, evaluate, evaluating
from nar.model.batch import collate
from nar.model.reasoner import Reasoner


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
