"""Compiled references: exact on every hint and output, in float32, whatever the size, the ties and the feedback."""

import networkx as nx
import numpy as np
import pytest
import torch

import nar
from nar.analysis.references import compiled
from nar.analysis.references.audit import double, pointers_valid, precision, scales
from nar.analysis.references.steps import choose
from nar.datasets.canonical import draw
from nar.evaluation.evaluate import evaluate, evaluating
from nar.model.batch import collate

PATHS = ("bellman_ford", "bfs", "dijkstra", "floyd_warshall")


def assert_exact(reasoner, name, traces):
    """Every discrete entry is the trace's, every scalar within float32's rounding of it."""
    score = evaluate(reasoner, nar.datasets.get(name), traces)
    assert score.score == 1.0 and score.exact == score.samples == score.valid
    for steps in score.hints.values():
        for tally in steps:
            if tally.metric == "mse":
                assert tally.value() < 1e-12
            elif tally.metric == "accuracy":
                assert tally.counts[0] == tally.counts[1]
            else:
                assert tally.counts[1:] == (0, 0)


@pytest.mark.parametrize("name", sorted(compiled.PROGRAMS))
def test_the_canonical_test_set(name):
    # the first traces of the canonical set; benchmarks/faithfulness.py goes through all 32
    traces = list(draw(nar.datasets.get(name), 64, 1 if name == "floyd_warshall" else 8, 3))
    assert_exact(compiled.compiled(name), name, traces)


@pytest.mark.parametrize("name", ["bellman_ford", "bfs", "dijkstra", "reachability"])
def test_256_nodes(name):
    traces = list(draw(nar.datasets.get(name), 256, 1 if name == "dijkstra" else 4, 3))
    assert_exact(compiled.compiled(name), name, traces)


@pytest.mark.parametrize("feedback", ["hard", "soft"])
@pytest.mark.parametrize("name", sorted(compiled.PROGRAMS))
def test_small_graphs_of_every_kind(name, feedback):
    algorithm = nar.datasets.get(name)
    reasoner = compiled.compiled(name)
    reasoner.hint_feedback = feedback
    laws = (
        [{"law": law} for law in ("uniform", "integer", "equal", "exponential")] if "law" in algorithm.params else [{}]
    )
    thin = [{"p": (0.2,)}] if "p" in algorithm.params else []
    for n in (1, 2, 3, 5, 9):
        for params in laws + thin:
            assert_exact(reasoner, name, list(draw(algorithm, n, 3, n, params)))


@pytest.mark.parametrize("name", ["bellman_ford", "floyd_warshall"])
def test_directed_graphs_with_negative_weights(name):
    algorithm = nar.datasets.get(name)
    rng = np.random.RandomState(0)
    traces = []
    while len(traces) < 8:
        A = np.where(rng.rand(9, 9) < 0.5, rng.randint(-2, 9, (9, 9)), 0).astype(float)
        inputs = {"A": A, "s": 0} if "s" in algorithm.arguments else {"A": A}
        try:
            traces.append(algorithm.run(**inputs))
        except ValueError:  # a negative cycle
            continue
    assert any((trace.compact["A"] < 0).any() for trace in traces)
    for trace in traces:
        assert_exact(compiled.compiled(name), name, [trace])


@pytest.mark.parametrize("name", ["bellman_ford", "dijkstra", "floyd_warshall"])
def test_float64_repeats_every_scalar_bit_for_bit(name):
    algorithm = nar.datasets.get(name)
    traces = list(draw(algorithm, 12, 4, 0))
    batch = double(collate(traces, algorithm), traces)
    reasoner = compiled.compiled(name).double()
    with evaluating(reasoner):
        rollout = reasoner(batch, decide_hints=True)
    for step, values in enumerate(rollout.hints):
        for name, value in values.items():
            for b in range(len(value)):
                truth = traces[batch.order[b]].compact[name][step + 1]
                np.testing.assert_array_equal(value[b].numpy(), truth, err_msg=f"{name} at step {step}")


def test_ties_go_to_what_was_there_and_then_to_the_first():
    """Two equal ways to node 3: through 1 and through 2; a later equal offer does not move the pointer."""
    A = np.zeros((5, 5))
    A[0, 2] = A[0, 1] = A[1, 3] = A[2, 3] = 1.0
    A[0, 4] = 3.0
    A[3, 4] = 1.0  # 0-1-3-4 is as long as 0-4, which comes first
    trace = nar.datasets.get("bellman_ford").run(A=A, s=0)
    assert trace.compact["pi"].tolist() == [0, 0, 0, 1, 0]
    assert_exact(compiled.compiled("bellman_ford"), "bellman_ford", [trace])


def test_choose_is_a_lexicographic_argmin():
    rng = np.random.RandomState(0)
    key, tie = torch.tensor(rng.randint(3, size=(4, 5, 6))).float(), torch.tensor(rng.rand(4, 5, 6)).float()
    opened, has = torch.tensor(rng.rand(4, 5, 6) < 0.5), torch.tensor(rng.rand(4, 6) < 0.5)
    keep = torch.tensor(rng.randint(3, size=(4, 6))).float()
    alpha, kept = choose(key, opened, tie, keep, has, 0.0)
    ways = set()
    for b in range(4):
        for r in range(6):
            offers = [(key[b, s, r].item(), 1, tie[b, s, r].item(), s) for s in range(5) if opened[b, s, r]]
            offers += [(keep[b, r].item(), 0, 0.0, None)] * bool(has[b, r])
            best = min(offers)[3] if offers else None
            ways.add(best)
            expected = [float(s == best) for s in range(5)]
            assert alpha[b, :, r].tolist() == expected and kept[b, r] == float(best is None)
    assert len(ways) > 4  # of the five senders and keeping


def test_soft_choice_tends_to_the_hard_one():
    key = torch.tensor([[[0.3], [0.1], [0.2], [0.0]]])
    opened = torch.tensor([[[True], [True], [True], [False]]])
    nothing, has = torch.zeros(1, 1), torch.zeros(1, 1, dtype=torch.bool)
    warm, _ = choose(key, opened, key, nothing, has, 5.0)
    weights = torch.softmax(-5.0 * torch.tensor([0.3, 0.1, 0.2]), 0)
    torch.testing.assert_close(warm[0, :, 0], torch.cat([weights, torch.zeros(1)]))
    cold, _ = choose(key, opened, key, nothing, has, 1e4)
    hard, _ = choose(key, opened, key, nothing, has, 0.0)
    assert torch.equal(cold, hard) and hard[0, :, 0].tolist() == [0, 1, 0, 0]
    kept = choose(key, torch.zeros_like(opened), key, nothing, has, 5.0)[1]
    assert kept.item() == 1.0  # nothing is open: keep


@pytest.mark.parametrize("name", PATHS)
def test_soft_mode_points_rightly(name):
    algorithm = nar.datasets.get(name)
    traces = list(draw(algorithm, 32 if name == "floyd_warshall" else 64, 4, 3))
    assert pointers_valid(compiled.compiled(name, beta=1e4), algorithm, traces) >= 0.999
    if name != "bfs":  # whose keys are positions, 1/64 apart, but of which any reached neighbour will do
        assert pointers_valid(compiled.compiled(name, beta=10.0), algorithm, traces) < 0.99


def test_valid_pointers_are_counted_one_by_one():
    algorithm = nar.datasets.get("bfs")
    A = np.zeros((5, 5))
    A[0, 1] = A[0, 2] = A[1, 3] = A[2, 3] = 1
    trace = algorithm.run(A=A, s=0)

    class Answers(torch.nn.Module):
        """Says pi as given; decided outputs of logits are their argmax."""

        def __init__(self, pi):
            super().__init__()
            self.specs, self.processor = {"bfs": algorithm.spec}, nar.Processor(2)
            self.pi, self.unused = torch.tensor([pi]), torch.nn.Parameter(torch.zeros(1))

        def forward(self, batch, **_):
            from nar.model.rollout import Rollout

            return Rollout({"pi": torch.nn.functional.one_hot(self.pi, 5).float()}, [])

    for pi, right in (
        ([0, 0, 0, 1, 4], 5),
        ([0, 0, 0, 2, 4], 5),  # the other way is as good
        ([0, 0, 0, 0, 4], 4),  # no edge 0 -> 3
        ([0, 0, 0, 1, 3], 4),  # 4 cannot be reached
        ([1, 0, 0, 1, 4], 4),  # the source has no predecessor
    ):
        assert pointers_valid(Answers(pi), algorithm, [trace]) == right / 5


def test_runs_on_a_graph_of_your_own():
    graph = nx.Graph()
    graph.add_weighted_edges_from([("a", "b", 1.0), ("b", "c", 1.0), ("a", "c", 3.0), ("c", "d", 0.5)])
    for name in ("bellman_ford", "dijkstra"):
        answer = nar.Solver(compiled.compiled(name)).run(graph, source="a")
        assert answer.valid and answer.outputs["pi"] == {"a": "a", "b": "a", "c": "b", "d": "c"}
        assert answer.confidence["pi"]["d"] == 1.0
    assert nar.Solver(compiled.compiled("floyd_warshall")).run(graph).outputs["Pi"]["a", "d"] == "c"
    reached = nar.Solver(compiled.compiled("reachability")).run(nx.DiGraph([(0, 1), (2, 1)]), source=0).outputs["reach"]
    assert reached == {0: True, 1: True, 2: False}


def test_an_unknown_name_is_one_line():
    with pytest.raises(ValueError, match="bellman_ford"):
        compiled.compiled("belman_ford")
    with pytest.raises(ValueError, match="beta"):
        compiled.compiled("bfs", beta=-1.0)


def test_building_draws_no_random_numbers_and_freezes():
    state = torch.get_rng_state()
    reasoner = compiled.compiled("dijkstra")
    assert torch.equal(state, torch.get_rng_state())
    assert not any(p.requires_grad for p in reasoner.parameters()) and not reasoner.training


def test_a_shuffled_copy_has_the_same_numbers_and_no_algorithm():
    reasoner = compiled.compiled("bellman_ford")
    shuffled = compiled.permuted(reasoner, seed=1)
    for a, b in zip(reasoner.parameters(), shuffled.parameters(), strict=True):
        assert torch.equal(a.flatten().sort().values, b.flatten().sort().values)
    algorithm = nar.datasets.get("bellman_ford")
    assert evaluate(shuffled, algorithm, draw(algorithm, 16, 4, 0)).score < 0.7
    assert evaluate(reasoner, algorithm, draw(algorithm, 16, 4, 0)).score == 1.0  # untouched


def test_weights_of_any_scale():
    algorithm = nar.datasets.get("bellman_ford")
    found = scales(compiled.compiled("bellman_ford"), algorithm, size=32, samples=4)
    assert list(found) == [1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3]
    assert all(entry == {"score": 1.0, "exact": 1.0, "valid": 1.0} for entry in found.values())
    soft = scales(compiled.compiled("bellman_ford", beta=1e3), algorithm, size=32, samples=4)
    assert soft[1.0]["score"] > 0.98 > soft[1e-3]["score"]  # a softmax has a scale
    with pytest.raises(ValueError, match="no weights"):
        scales(compiled.compiled("bfs"), nar.datasets.get("bfs"))


def test_the_first_size_at_which_precision_tells():
    algorithm = nar.datasets.get("bellman_ford")
    found = precision(compiled.compiled("bellman_ford"), algorithm, sizes=(4, 32), samples=8)
    assert found["float32"] == {"first": None, "differ": {4: 0.0, 32: 0.0}}
    assert found["bfloat16"]["first"] == 32 and 0 < found["bfloat16"]["differ"][32] < 0.2
    fine = precision(compiled.compiled("bellman_ford"), algorithm, sizes=(32,), samples=8, law="equal")
    assert fine["bfloat16"]["first"] is None  # sums of ones are exact
