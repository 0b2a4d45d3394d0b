"""Sparse graphs: every family, their weights, samples of a seed; right answers on them are those on matrices."""

import networkx as nx
import numpy as np
import pytest

import nar.datasets
from nar.traces.inputs import weights
from nar.traces.sparse import families, sampling

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
        pairs = weights.draw(rng(), (200, 200), symmetric=True, law=law, scale=2.0)[np.triu_indices(200, 1)]
        edges = weights.draw(rng(1), pairs.shape, symmetric=True, law=law, scale=2.0)
        assert edges.mean() == pytest.approx(pairs.mean(), rel=0.03)
        assert np.log(edges).std() == pytest.approx(np.log(pairs).std(), rel=0.03)
    with pytest.raises(ValueError, match="law of weights"):
        weights.draw(rng(), (3,), symmetric=True, law="unifrom")
    with pytest.raises(ValueError, match="low must be at least 0"):
        weights.draw(rng(), (3,), symmetric=True, low=-1.0)


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
