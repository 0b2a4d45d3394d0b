"""Sparse graphs, right answers on them, and reasoners that are trained, scored and asked in the sparse layout."""

import networkx as nx
import numpy as np
import pytest
import torch

import nar.datasets
from nar.config import Config
from nar.evaluation import sparse as evaluation
from nar.evaluation.evaluate import entry, evaluate
from nar.inference.solver import Solver
from nar.model.coders.sparse.batch import SparseBatch, collate
from nar.model.objectives.metrics import tally
from nar.model.reasoner import Reasoner
from nar.traces.inputs import weights
from nar.traces.sparse import families, sampling
from nar.traces.sparse.graph import SparseGraph
from nar.training.learner import SingleLearner
from nar.training.tasks import training_batch, validation_set

NAMES = [name for name in nar.datasets.names() if nar.datasets.get(name).on_edges is not None]


def rng(seed=0):
    return np.random.RandomState(seed)


def graph_of(n, pairs):
    found = nx.Graph(pairs.T.tolist())
    found.add_nodes_from(range(n))
    return found


# --- graphs


@pytest.mark.parametrize("family", families.TABLE)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 30, 200])
def test_every_pair_once_and_connected(family, n):
    pairs = families.draw(rng(n), n, family)
    G = graph_of(n, pairs)
    assert G.number_of_nodes() == n and G.size() == pairs.shape[1] and not list(nx.selfloop_edges(G))
    assert nx.is_connected(G)


def test_sizes_of_the_families():
    n = 2000
    assert families.draw(rng(), n, "sparse_erdos_renyi", {"c": 2.0}).shape[1] == pytest.approx(np.log(n) * n, rel=0.05)
    assert families.draw(rng(), n, "watts_strogatz", {"k": 6}).shape[1] == 3 * n
    assert families.draw(rng(), n, "delaunay").shape[1] == pytest.approx(3 * n, rel=0.02)
    G = graph_of(n, families.watts_strogatz(rng(), n, k=4, p=0.1))
    ring = sum(min((u - v) % n, (v - u) % n) <= 2 for u, v in G.edges)
    assert ring / G.size() == pytest.approx(0.9, abs=0.02)
    degrees = np.bincount(families._random_pairs(rng(), 1000, 0.01).reshape(-1), minlength=1000)
    assert degrees.mean() == pytest.approx(9.99, rel=0.05) and degrees.var() == pytest.approx(9.9, rel=0.15)


@pytest.mark.parametrize(
    ("family", "options", "message"),
    [
        ("tree_of_life", None, "tree_of_life"),
        ("path", {"k": 3}, "path has none"),
        ("watts_strogatz", {"q": 3}, "option of watts_strogatz"),
        ("sparse_erdos_renyi", {"c": 0.01}, "c must be larger"),
    ],
)
def test_families_that_cannot_be_drawn(family, options, message):
    with pytest.raises(ValueError, match=message):
        families.draw(rng(), 90, family, options)


def test_weights_along_edges_follow_the_laws_of_matrices():
    for law in ("uniform", *weights.LAWS):
        pairs = weights.draw(rng(), 200, symmetric=True, law=law, scale=2.0)[np.triu_indices(200, 1)]
        edges = weights.along(rng(1), len(pairs), law=law, scale=2.0)
        assert edges.mean() == pytest.approx(pairs.mean(), rel=0.03)
        assert np.log(edges).std() == pytest.approx(np.log(pairs).std(), rel=0.03)
    with pytest.raises(ValueError, match="law of weights"):
        weights.along(rng(), 3, law="unifrom")
    with pytest.raises(ValueError, match="low must be at least 0"):
        weights.along(rng(), 3, low=-1.0)


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_a_function_of_its_own_seed(name):
    algorithm = nar.datasets.get(name)
    three, one = (list(sampling.draw(algorithm, 12, count, 3)) for count in (3, 1))
    for probe in three[0].spec:
        np.testing.assert_array_equal(np.asarray(three[0].compact[probe]), np.asarray(one[0].compact[probe]))
    assert not np.array_equal(three[0].graph.matrix(), three[1].graph.matrix())
    A = three[0].graph.matrix()
    np.testing.assert_array_equal(A * A.T, 0 if algorithm.acyclic else A * A)


# --- answers


@pytest.mark.parametrize("name", NAMES)
def test_right_answers_are_told_from_wrong_ones_as_on_matrices(name):
    algorithm, numbers = nar.datasets.get(name), rng(5)
    (output,) = algorithm.spec.outputs
    told = {True: 0, False: 0}
    for seed in range(12):
        given = sampling.sample(algorithm, rng(seed), 5, family="sparse_erdos_renyi", options={"connected": False})
        trace = algorithm.run_on_edges(**given)
        dense = {**given, "A": given["A"].matrix()}
        assert algorithm.is_valid_on_edges(trace, {output: trace.compact[output]})
        for _ in range(12):
            answer = np.array(trace.compact[output])
            if answer.ndim == 0:
                answer = answer + numbers.randint(-1, 2)
            else:
                for _ in range(numbers.randint(1, 3)):
                    at = numbers.randint(5)
                    arrives = given["A"].senders[given["A"].starts[at] : given["A"].starts[at + 1]]
                    answer[at] = 1 - answer[at] if output == "inmis" else numbers.choice(arrives)
            expected = algorithm.is_valid(dense, {output: answer})
            assert algorithm.is_valid_on_edges(trace, {output: answer}) == expected
            told[expected] += 1
    assert min(told.values()) > 2


# --- training and evaluation


def test_training_data_is_salsas():
    config, algorithm = Config(algo="bfs", layout="sparse", batch_size=5, seed=7), nar.datasets.get("bfs")
    batches = [training_batch(algorithm, config, step) for step in range(5)]
    assert [batch.nodes for batch in batches] == [4, 7, 11, 13, 16] and all(type(b) is SparseBatch for b in batches)
    again = training_batch(algorithm, config, 3)
    assert again.edges.senders.equal(batches[3].edges.senders) and again.inputs["pos"].equal(batches[3].inputs["pos"])
    pos = batches[4].inputs["pos"]
    assert (pos.diff() > 0).all() and len(set(pos[:, 0].tolist())) == 5
    first, second = (validation_set(algorithm, Config(algo="bfs", layout="sparse", seed=s)) for s in (1, 2))
    assert [len(b) for b in first] == [64] and first[0].edges.senders.equal(second[0].edges.senders)


def test_a_reasoner_learns():
    config = Config(algo="bfs", processor="pgn", layout="sparse", hidden=16, batch_size=4, train_sizes=(6,))
    learner = SingleLearner(Reasoner.from_config(config).train(), config)
    batch = training_batch(nar.datasets.get("bfs"), config, 0)
    losses = [float(learner.step([batch], step)) for step in range(30)]
    assert losses[-1] < 0.6 * losses[0]


def scored(reasoner, algorithm, traces):
    """Scores computed in the plainest way, from whole rollouts on single graphs."""
    outputs, hints, exact, errors = {}, {}, 0, []
    for trace in traces:
        batch = collate([trace], algorithm)
        with torch.no_grad():
            rollout = reasoner(batch, decide_hints=True)
        error = None
        for s, step in enumerate(rollout.hints if trace.length > 1 else []):
            for name, value in step.items():
                probe, truth = batch.spec[name], batch.hints[name][s + 1]
                counts = hints.setdefault(name, {})
                found = tally(probe, value, truth)
                counts[s] = counts[s] + found if s in counts else found
                if probe.type != "scalar" and not value.equal(truth.to(value.dtype)):
                    error = error or s + 1
        errors.append(error)
        right = True
        for name in rollout.outputs:
            value, truth = rollout.outputs[name].decided(), batch.outputs[name]
            found = tally(batch.spec[name], value, truth)
            outputs[name] = outputs[name] + found if name in outputs else found
            right &= bool((value == truth).all())
        exact += right
    return outputs, hints, exact, errors


def test_scores_are_those_of_single_graphs():
    torch.manual_seed(0)
    algorithm = nar.datasets.get("dijkstra")
    reasoner = Reasoner.build("dijkstra", "pgn", hidden=8, layout="sparse", hint_feedback="hard").eval()
    traces = [next(iter(sampling.draw(algorithm, n, 1, n))) for n in (5, 9, 1, 6, 8)]
    found = evaluate(reasoner, algorithm, traces, loss=True)
    watched = evaluate(reasoner, algorithm, traces)
    outputs, hints, exact, errors = scored(reasoner, algorithm, traces)
    for one in (found, watched):
        assert one.outputs == outputs and one.exact == exact and one.samples == 5
        assert one.first_errors == errors and one.valid is not None
        for name, by_step in hints.items():
            assert [t.metric for t in one.hints[name]] == [t.metric for t in by_step.values()]
            for mine, theirs in zip(one.hints[name], by_step.values(), strict=True):
                assert mine.counts == pytest.approx(theirs.counts, rel=1e-4, abs=1e-5)
        assert one.num_running == [sum(t.length > s + 1 for t in traces) for s in range(9)]
    assert found.loss > 0 and np.isnan(watched.loss)


def test_rollouts_that_end_by_themselves_are_compared_until_their_own_end():
    torch.manual_seed(0)
    algorithm = nar.datasets.get("bfs")
    reasoner = Reasoner.build("bfs", "pgn", hidden=8, layout="sparse", hint_feedback="hard").eval()
    traces = list(sampling.draw(algorithm, 12, 4, 0))
    found = evaluate(reasoner, algorithm, traces, termination="fixed_point", limit=20)
    alone = [evaluate(reasoner, algorithm, [t], termination="fixed_point", limit=20) for t in traces]
    assert found.taken == [n for one in alone for n in one.taken] and max(found.taken) <= 20
    assert found.first_errors == [e for one in alone for e in one.first_errors]
    assert found.outputs["pi"].counts[0] == sum(one.outputs["pi"].counts[0] for one in alone)


def test_an_entry_of_results():
    reasoner = Reasoner.build("bfs", "gin", hidden=8, layout="sparse")
    algorithm = nar.datasets.get("bfs")
    made = entry(reasoner, algorithm, 20, samples=3, setting={"family": "ws"})
    assert made["samples"] == 3 and made["setting"] == {"family": "watts_strogatz"}
    assert made["data"]["params"] == {"family": "watts_strogatz"} and len(made["data"]["sha256"]) == 64
    again = entry(reasoner, algorithm, 20, samples=3, setting={"family": "ws"})
    assert again["data"] == made["data"] and again["outputs"] == made["outputs"]
    with pytest.raises(ValueError, match="family barabasi_albert is not drawn"):
        entry(reasoner, algorithm, 20, samples=3, setting={"family": "ba"})
    with pytest.raises(ValueError, match="density is one of random graphs"):
        entry(reasoner, algorithm, 20, samples=3, setting={"density": 0.5})


def test_graphs_of_one_batch_are_of_similar_sizes():
    algorithm = nar.datasets.get("bfs")
    traces = [next(iter(sampling.draw(algorithm, n, 1, 0))) for n in (4, 7, 16, 30, 31)]
    assert [[t.nodes for t in part] for part in evaluation.portions(traces, 8)] == [[4, 7], [16, 30, 31]]
    assert len(list(evaluation.portions(traces, 10**6))) == 5


def test_settings_that_do_not_go_together():
    with pytest.raises(ValueError, match="--layout must be dense with --own-moments"):
        Config(layout="sparse", supervision="moments", hint_feedback="hard", own_moments=0.5)
    with pytest.raises(ValueError, match=r"MPNN needs all pairs|MPNN keeps or compares"):
        Reasoner.build("bfs", "triplet_mpnn", hidden=8, layout="sparse")
    for options in ({"halting": "ponder"}, {"reconstruction": "plain"}):
        with pytest.raises(ValueError, match="is for the dense layout alone"):
            Reasoner.build("bfs", "pgn", hidden=8, layout="sparse", **options)
    with pytest.raises(ValueError, match="cannot run in the sparse layout"):
        Reasoner.build("floyd_warshall", "pgn", hidden=8, layout="sparse")


# --- graphs of one's own


@pytest.fixture(scope="module")
def solver():
    torch.manual_seed(0)
    return Solver(Reasoner.build("dijkstra", "pgn", hidden=8, layout="sparse", hint_feedback="hard"))


def test_any_form_of_a_graph_is_the_same_graph(solver):
    sparse = pytest.importorskip("scipy.sparse")
    from torch_geometric.data import Data
    from torch_geometric.loader import DataLoader

    G = nx.les_miserables_graph()
    A = nx.to_numpy_array(G)
    pairs = np.stack(np.nonzero(A))
    data = Data(edge_index=torch.from_numpy(pairs), edge_weight=torch.from_numpy(A[A != 0]), num_nodes=len(G))
    forms = [A, sparse.csr_matrix(A), data, SparseGraph.of(len(G), pairs, A[A != 0])]
    expected = solver.run(G, source="Valjean")
    s = list(G).index("Valjean")
    assert expected.true_trace.compact["A"].tolist() == A.tolist()
    assert expected.outputs["pi"]["Valjean"] in G and 0 <= expected.score["pi"] <= 1
    for form in forms:
        found = solver.run(form, source=s)
        assert found.compact["pi"].tolist() == expected.compact["pi"].tolist()
        assert found.steps == expected.steps and found.score == expected.score
    loader = DataLoader([data, data, data], batch_size=2)
    assert [p.score for p in solver.run_many(loader, source=[s] * 3)] == [expected.score] * 3
    index = solver.run(torch.from_numpy(pairs), source=s, weight=None)
    assert index.compact["pi"].tolist() == solver.run(G, source="Valjean", weight=None).compact["pi"].tolist()


def test_a_prediction_is_that_of_the_dense_layout_in_form(solver):
    found = solver.run(nx.path_graph(4), source=0)
    assert found.hints["pi_h"].shape == (found.steps, 4) and found.hints.keys() == found.true_hints.keys()
    assert found.trace.length == found.steps + 1 and found.confidence["pi"].keys() == {0, 1, 2, 3}
    assert "right" in str(found)
    mis = Solver(Reasoner.build("maximal_independent_set", "gin", hidden=8, layout="sparse"))
    made = mis.run(nx.path_graph(5), randomness=[0.5, 0.1, 0.3, 0.2, 0.4])
    assert made.hints["Ain_h"].shape == (made.steps, 5, 5)


def test_large_graphs_are_answered_without_hints(solver):
    G = nx.random_regular_graph(3, 400, seed=1)
    found = solver.run(G, source=7, steps=4)
    assert found.steps == 4 and found.hints == {} and len(found.outputs["pi"]) == 400
    assert found.first_error is None or 1 <= found.first_error <= 4
    assert "of 400 right" in found.in_words() and found.summary()
    with pytest.raises(ValueError, match="up to 256 nodes"):
        found.draw()


def test_bad_graphs_of_ones_own(solver):
    from torch_geometric.data import Data

    with pytest.raises(ValueError, match="edge_index must hold indices of the 3 nodes, got 0 to 3"):
        solver.run(Data(edge_index=torch.tensor([[0], [3]]), num_nodes=3), source=0)
    with pytest.raises(ValueError, match=r"every edge once, got \(0, 1\) several times"):
        solver.run(Data(edge_index=torch.tensor([[0, 0], [1, 1]]), num_nodes=3), source=0)
    with pytest.raises(ValueError, match="multigraph"):
        solver.run(nx.MultiGraph([(0, 1), (0, 1)]), source=0)
    with pytest.raises(ValueError, match="nodes 0 to 2, got indices -1 to 2"):
        solver.run(torch.tensor([[0, -1, 1], [1, 2, 0]]), source=0, weight=None)
    with pytest.raises(ValueError, match="at least one node"):
        solver.run(nx.Graph(), source=0)
    with pytest.raises(ValueError, match="must not be negative"):
        solver.run(nx.Graph([(0, 1, {"weight": -1.0})]), source=0)
    alone = solver.run(nx.empty_graph(3), source=1)
    assert alone.truth["pi"] == {0: 0, 1: 1, 2: 2} and alone.outputs["pi"] == alone.truth["pi"] and alone.valid
