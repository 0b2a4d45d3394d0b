"""Families of graphs, the directions of their edges, and those of the reference."""

import networkx as nx
import numpy as np
import pytest
from graph_samplers import CONNECTED, SIZES, drawn, graph, rng

from nar.traces.inputs import families, graphs


def matrix(pairs, n):
    return nx.to_numpy_array(nx.Graph(pairs.T.tolist()), nodelist=range(n), dtype=int)


# --- families --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", families.TABLE)
@pytest.mark.parametrize("n", SIZES)
def test_every_family_draws_simple_graphs_of_any_size(family, n):
    for seed in range(5):
        A = drawn(family, n, seed)
        assert A.dtype == np.int64 and set(np.unique(A)) <= {0, 1}
        np.testing.assert_array_equal(A, A.T)
        assert not A.diagonal().any()
        np.testing.assert_array_equal(A, drawn(family, n, seed))
        if family in CONNECTED:
            assert nx.is_connected(nx.from_numpy_array(A))


@pytest.mark.parametrize("family", families.TABLE)
def test_every_draw_is_from_the_given_generator(family):
    np.random.seed(1)
    state = np.random.get_state()[1].copy()
    first, second = (drawn(family, 16, seed) for seed in (3, 4))
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    assert family == "complete" or (first != second).any()


@pytest.mark.parametrize("family", sorted(set(families.TABLE) - {"complete"}))
def test_places_in_the_order_of_nodes_say_nothing(family):
    """Over many draws, every pair of nodes is joined as often as every other."""
    n, draws = 5, 3000
    options = {"community": {"k": 2}, "grid": {"rows": 1}, "watts_strogatz": {"k": 2}}.get(family, {})
    source = rng(5)
    A = sum(families.draw(source, n, family, options) for _ in range(draws))[np.triu_indices(n, 1)] / draws
    p = A.mean()
    assert 0.05 < p < 0.95
    assert np.abs(A - p).max() < 5 * np.sqrt(p * (1 - p) / draws)


@pytest.mark.parametrize("n", (2, 3, 6))
def test_families_of_one_shape_each(n):
    shapes = {"path": nx.path_graph(n), "complete": nx.complete_graph(n)}
    shapes["cycle"] = nx.cycle_graph(n) if n > 2 else nx.path_graph(n)
    for family, shape in shapes.items():
        assert nx.is_isomorphic(graph(family, n), shape), family


def test_grids():
    assert nx.is_isomorphic(graph("grid", 12), nx.grid_graph((3, 4)))
    assert nx.is_isomorphic(graph("grid", 12, rows=2), nx.grid_graph((2, 6)))
    assert nx.is_isomorphic(graph("grid", 12, rows=40), nx.path_graph(12))
    cut = nx.grid_2d_graph(3, 5)  # 14 nodes: rows of 5, 5 and 4
    cut.remove_node((2, 4))
    assert nx.is_isomorphic(graph("grid", 14), cut)


def test_trees_are_uniform():
    """Of the 16 trees on four nodes, twelve are paths and four are stars; each comes up as often as the others."""
    count = {}
    source, draws = rng(1), 4000
    for _ in range(draws):
        A = matrix(families.tree(source, 4), 4)  # as numbered by the code itself
        assert nx.is_tree(nx.from_numpy_array(A))
        count[A.tobytes()] = count.get(A.tobytes(), 0) + 1
    assert len(count) == 16
    assert abs(np.array(list(count.values())) - draws / 16).max() < 5 * np.sqrt(draws / 16)


def test_barabasi_albert():
    for m in (1, 2, 3):
        G = graph("barabasi_albert", 20, m=m)
        assert G.size() == m + m * (20 - m - 1)  # a star of m + 1 nodes, then m edges for every further node
        assert min(d for _, d in G.degree) >= 1
    hubs = [max(d for _, d in graph("barabasi_albert", 60, seed).degree) for seed in range(20)]
    degree = round(2 * graph("barabasi_albert", 60).size() / 60)
    random = [max(d for _, d in nx.gnm_random_graph(60, 30 * degree, seed=seed).degree) for seed in range(20)]
    assert np.mean(hubs) > 1.5 * np.mean(random)


def test_preference_is_in_proportion_to_degree():
    """The fourth node of m = 1 joins the middle of a path of three in one half of the cases. That of m = 2 joins the
    middle first in one half, and of the others then in two thirds: 5/6."""
    source, draws = rng(2), 4000
    for m, p in ((1, 1 / 2), (2, 5 / 6)):
        middle = sum(matrix(families.barabasi_albert(source, 4, m=m), 4).sum(0).max() == 3 for _ in range(draws))
        assert abs(middle / draws - p) < 5 * np.sqrt(p * (1 - p) / draws)


def test_watts_strogatz():
    ring = nx.circulant_graph(12, (1, 2))
    assert nx.is_isomorphic(graph("watts_strogatz", 12, k=4, p=0), ring)
    assert nx.is_isomorphic(graph("watts_strogatz", 12, k=5, p=0), ring)
    rewired = [graph("watts_strogatz", 12, seed, k=4, p=0.5, connected=False) for seed in range(60)]
    assert all(G.size() == 24 for G in rewired)
    assert nx.is_isomorphic(graph("watts_strogatz", 4, k=8), nx.complete_graph(4))
    u = np.arange(2000)
    A = matrix(families.watts_strogatz(rng(1), 2000, k=2, p=0.3, connected=False), 2000)
    kept = A[u, (u + 1) % 2000].mean()
    assert abs(kept - 0.7) < 5 * np.sqrt(0.21 / 2000)
    sizes = {graph("watts_strogatz", 16, seed).size() for seed in range(40)}
    assert sizes == {32, 48, 64}  # k of 4, 6 and 8


def test_random_geometric():
    assert graph("random_geometric", 8, radius=0).size() == 0
    assert graph("random_geometric", 8, radius=1e200).size() == 28
    source, draws = rng(3), 3000
    share = sum(families.random_geometric(source, 2, radius=0.5).shape[1] for _ in range(draws)) / draws
    r = 0.5  # two random points of the unit square are at most r apart with this probability
    want = np.pi * r**2 - 8 / 3 * r**3 + r**4 / 2
    assert abs(share - want) < 5 * np.sqrt(want * (1 - want) / draws)


def test_delaunay_equals_scipy():
    spatial = pytest.importorskip("scipy.spatial")
    for n in (3, 4, 20):
        points = rng(n).uniform(size=(n, 2))
        want = np.zeros((n, n), dtype=int)
        for triangle in spatial.Delaunay(points).simplices:
            want[np.ix_(triangle, triangle)] = 1
        np.fill_diagonal(want, 0)
        np.testing.assert_array_equal(matrix(families.delaunay(rng(n), n), n), want)
        assert nx.check_planarity(graph("delaunay", n))[0]


def test_communities():
    G = graph("community", 10, k=3, p_in=1, p_out=0)
    assert sorted(len(c) for c in nx.connected_components(G)) == [3, 3, 4] and G.size() == 3 + 3 + 6
    assert graph("community", 3, k=7, p_in=1, p_out=0).size() == 0
    assert nx.is_isomorphic(graph("community", 6, k=2, p_in=0, p_out=1), nx.complete_bipartite_graph(3, 3))
    A = matrix(families.community(rng(1), 400, k=4), 400)
    same = np.arange(400)[:, None] // 100 == np.arange(400) // 100
    assert abs(A[same].mean() - 0.7 * 99 / 100) < 0.01 and abs(A[~same].mean() - 0.05) < 0.005


def test_sparse_random_graphs():
    """p = c ln(n) / n of all pairs: c times ln(n) (n - 1) / n neighbours on average."""
    for c in (1.5, 3):
        degree = np.mean([drawn("sparse_erdos_renyi", 64, seed, c=c, connected=False).sum() / 64 for seed in range(60)])
        assert abs(degree - c * np.log(64) * 63 / 64) < 0.15
    degrees = [drawn("sparse_erdos_renyi", 200, seed).sum() / 200 / np.log(200) for seed in range(60)]
    assert 0.9 < min(degrees) < 1.4 and 2.6 < max(degrees) < 3.2
    apart = [nx.is_connected(graph("sparse_erdos_renyi", 30, seed, c=1, connected=False)) for seed in range(60)]
    assert 0.1 < np.mean(apart) < 0.9


@pytest.mark.parametrize(
    ("family", "options", "message"),
    [
        ("gird", None, "family: unknown family 'gird'; did you mean 'grid'"),
        (None, None, "family: unknown family 'None'"),
        ("erdos_renyi", None, "family: unknown family 'erdos_renyi'"),
        ("grid", {"row": 2}, "options: unknown option of grid 'row'; did you mean 'rows'"),
        ("tree", {"r": 2}, "options: tree has none, got 'r'"),
        ("grid", [2], "options must be a dict"),
        ("grid", {2: 2}, "options must be a dict"),
        ("grid", {"rows": 0}, "rows must be an integer of at least 1, got 0"),
        ("grid", {"rows": 2.0}, "rows must be an integer"),
        ("barabasi_albert", {"m": 0}, "m must be an integer of at least 1"),
        ("barabasi_albert", {"m": True}, "m must be an integer"),
        ("barabasi_albert", {"m": ()}, "m must be an integer or several"),
        ("watts_strogatz", {"k": 1}, "k must be an integer of at least 2"),
        ("watts_strogatz", {"p": 1.5}, r"p must be a number from 0 to 1"),
        ("watts_strogatz", {"p": (0.5, 0.1)}, "p must be a number or a range"),
        ("watts_strogatz", {"p": (0.1, 0.2, 0.3)}, "p must be a number or a range"),
        ("watts_strogatz", {"connected": 1}, "connected must be True or False"),
        ("random_geometric", {"radius": -1}, "radius must be a number of at least 0"),
        ("random_geometric", {"radius": np.nan}, "radius must be a number"),
        ("random_geometric", {"radius": np.inf}, "radius must be finite"),
        ("community", {"k": 0}, "k must be an integer of at least 1"),
        ("community", {"p_in": 2}, r"p_in must be a number from 0 to 1"),
        ("community", {"p_out": "0"}, r"p_out must be a number from 0 to 1"),
        ("sparse_erdos_renyi", {"c": -1}, "c must be a number of at least 0"),
        ("sparse_erdos_renyi", {"c": 0.01}, "c must be larger: none of 1000 graphs was connected"),
    ],
)
def test_unknown_names_and_wrong_options_are_refused(family, options, message):
    with pytest.raises(ValueError, match=message):
        families.draw(rng(), 12, family, options)


def test_options_may_come_from_json():
    for family, options in (("watts_strogatz", {"k": [4, 6], "p": [0.1, 0.3]}), ("sparse_erdos_renyi", {"c": [2, 3]})):
        tuples = {name: tuple(value) for name, value in options.items()}
        np.testing.assert_array_equal(drawn(family, 12, **options), drawn(family, 12, **tuples))


def test_connected():
    none = np.zeros((2, 0), int)
    assert families.is_connected(1, none) and not families.is_connected(2, none)
    for seed in range(40):
        pairs = rng(seed).randint(9, size=(2, 8 + seed % 8))
        graph = nx.Graph(pairs.T.tolist())
        graph.add_nodes_from(range(9))
        assert families.is_connected(9, pairs) == nx.is_connected(graph)
    chain = np.stack([np.arange(999), np.arange(1, 1000)])
    assert families.is_connected(1000, rng().permutation(1000)[chain]) and not families.is_connected(1001, chain)


# --- directions ------------------------------------------------------------------------------------------------------


def test_edges_lead_one_way_the_other_or_both():
    source, n, draws = rng(4), 6, 1500
    way, back = [], []
    for _ in range(draws):
        A = graphs.from_family(source, n, "cycle", directed=True)
        i, j = np.nonzero(np.triu(A | A.T))
        assert len(i) == n and nx.is_connected(nx.from_numpy_array(A | A.T))
        way += A[i, j].tolist()
        back += A[j, i].tolist()
    way, back = np.array(way), np.array(back)
    for share in ((way & back).mean(), (way & ~back).mean(), (back & ~way).mean()):
        assert abs(share - 1 / 3) < 5 * np.sqrt(2 / 9 / len(way))


@pytest.mark.parametrize("family", families.TABLE)
def test_acyclic_graphs_have_each_edge_once(family):
    for n in (1, 2, 9):
        A = graphs.from_family(rng(n), n, family, acyclic=True)
        np.testing.assert_array_equal(A + A.T, drawn(family, n, n))
        assert nx.is_directed_acyclic_graph(nx.from_numpy_array(A, create_using=nx.DiGraph))
    orders = [graphs.from_family(rng(seed), 5, "complete", acyclic=True) for seed in range(50)]
    assert any((A != orders[0]).any() for A in orders)


# --- edges of the reference's graphs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.0, 1e-9, 0.1, 0.25, 0.5, 0.6, 0.9, 0.999, 1.0])
def test_edges_are_those_that_numpys_binomial_draws(p):
    for seed in range(5):
        ours, theirs = np.random.RandomState(seed), np.random.RandomState(seed)
        np.testing.assert_array_equal(graphs.bernoulli(ours, p, (9, 9)), theirs.binomial(1, p, size=(9, 9)))
        assert ours.randint(2**31) == theirs.randint(2**31)


def test_a_number_beyond_the_distribution_is_drawn_again():
    """Rounding makes that possible, about once in 10^16 numbers; the ones after it move up."""

    class Numbers:
        def __init__(self):
            self.drawn = [[0.1, 2.0, 0.9], [0.8]]

        def random_sample(self, count):
            found = np.array(self.drawn.pop(0))
            assert len(found) == count
            return found

    assert graphs.bernoulli(Numbers(), 0.3, (3,)).tolist() == [0, 1, 1]
