"""Laws of weights, the parameters of the graph algorithms' samplers, and networkx's graphs."""

import networkx as nx
import numpy as np
import pytest
from graph_samplers import OWN, SAMPLED, WEIGHTED, drawn, rng
from inputs import outputs

import nar.datasets
from nar.traces.inputs import families, graphs, shortest_paths, weights

# --- weights ---------------------------------------------------------------------------------------------------------


def test_laws_of_weights():
    n = 300
    drawn = {law: weights.draw(rng(1), (n, n), symmetric=False, law=law) for law in ("uniform", *weights.LAWS)}
    assert all((W > 0).all() for W in drawn.values())
    assert abs(drawn["uniform"].mean() - 1 / 2) < 0.01 and drawn["uniform"].max() < 1
    assert abs(drawn["exponential"].mean() - 1) < 0.02 and abs(drawn["exponential"].std() - 1) < 0.02
    assert abs(np.log(drawn["lognormal"]).mean()) < 0.02 and abs(np.log(drawn["lognormal"]).std() - 1) < 0.02
    values, counts = np.unique(drawn["integer"], return_counts=True)
    assert values.tolist() == list(range(1, 9)) and abs(counts / n**2 - 1 / 8).max() < 0.01
    assert (drawn["equal"] == 1).all()


@pytest.mark.parametrize("law", ("uniform", *weights.LAWS))
def test_symmetric_weights_and_scale(law):
    W = weights.draw(rng(2), (8, 8), symmetric=True, law=law)
    np.testing.assert_array_equal(W, W.T)
    assert (W > 0).all()
    for scale in (1e-3, 1, 1e3):
        np.testing.assert_array_equal(weights.draw(rng(2), (8, 8), symmetric=True, law=law, scale=scale), W * scale)
    if law not in ("uniform", "equal"):  # the two directions of an edge share one draw, each pair its own
        assert len(np.unique(weights.draw(rng(2), (8, 8), symmetric=False, law=law))) >= len(np.unique(W))
        assert len(np.unique(W)) > 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"law": "lognormall"}, "law: unknown law of weights 'lognormall'; did you mean 'lognormal'"),
        ({"law": None}, "law: unknown law of weights 'None'"),
        ({"law": "equal", "low": 0.5}, "low and high limit the uniform law alone"),
        ({"law": "exponential", "high": 2.0}, "low and high limit the uniform law alone"),
        ({"low": -1.0}, "low must be at least 0 for an undirected graph"),
        ({"low": 2.0}, "low and high must be finite numbers with low <= high"),
        ({"scale": 0}, "scale must be a number from"),
        ({"scale": -1.0}, "scale must be a number from"),
        ({"scale": np.nan}, "scale must be a number from"),
        ({"scale": 1e300}, "scale must be a number from"),
        ({"scale": True}, "scale must be a number from"),
        ({"scale": "1"}, "scale must be a number from"),
    ],
)
def test_settings_of_weights_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        nar.datasets.get("dijkstra").sample(rng(), 5, **settings)


def test_weights_of_undirected_graphs_cannot_be_negative():
    with pytest.raises(ValueError, match="low must be at least 0 for an undirected graph"):
        nar.datasets.get("bellman_ford").sample(np.random.RandomState(0), 4, low=-1.0)
    A = nar.datasets.get("dag_shortest_paths").sample(np.random.RandomState(0), 9, low=-1.0)["A"]
    assert (A < 0).any() and (A > 0).any()


# --- samplers --------------------------------------------------------------------------------------------------------


def test_graph_algorithms_take_the_parameters():
    assert set(OWN) <= set(SAMPLED)
    for name in OWN:
        params = SAMPLED[name].params
        salsa = name in ("eccentricity", "maximal_independent_set")
        assert params["family"] == ("sparse_erdos_renyi" if salsa else "erdos_renyi") and params["options"] is None
        if name in WEIGHTED:
            assert (params["law"], params["scale"], params["low"], params["high"]) == ("uniform", 1.0, 0.0, 1.0)
    assert {"bellman_ford", "dag_shortest_paths", "dijkstra", "floyd_warshall", "mst_prim"} <= set(WEIGHTED)


@pytest.mark.parametrize("name", SAMPLED)
def test_defaults_said_aloud_change_nothing(name):
    """A manifest lists all parameters; drawing again from it gives the same graph."""
    algorithm = SAMPLED[name]
    n = max(9, algorithm.min_nodes)
    plain, said = algorithm.sample(rng(5), n), algorithm.sample(rng(5), n, **algorithm.params)
    for argument, value in plain.items():
        np.testing.assert_array_equal(said[argument], value)


def test_the_reference_draws_its_own_graphs():
    """dm-clrs's draws written out: p, edges, weights, source."""
    source = rng(3)
    p = source.choice(np.array((0.2, 0.8)))
    A = source.binomial(1, p, size=(7, 7))
    A = A * A.T
    W = source.uniform(low=0.5, high=2.0, size=(7, 7))
    A = A * np.sqrt(W * W.T + 1e-3)
    found = nar.datasets.get("dijkstra").sample(rng(3), 7, p=(0.2, 0.8), low=0.5, high=2.0)
    np.testing.assert_array_equal(found["A"], A)
    assert found["s"] == source.choice(7)


@pytest.mark.parametrize("name", SAMPLED)
@pytest.mark.parametrize("family", families.TABLE)
def test_every_algorithm_answers_on_every_family(name, family):
    algorithm = SAMPLED[name]
    for seed, n in enumerate((1, 2, 9)):
        settings = {}
        if name in WEIGHTED:
            settings = {"law": ["uniform", *weights.LAWS][(seed + len(family)) % 5], "scale": 10.0 ** (seed - 1)}
        inputs = algorithm.sample(rng(seed), max(n, algorithm.min_nodes), family=family, **settings)
        trace = algorithm.run(**inputs)
        assert algorithm.is_valid(inputs, outputs(trace)), inputs


@pytest.mark.parametrize("name", OWN)
def test_the_graph_is_the_familys(name):
    algorithm = SAMPLED[name]
    A = algorithm.sample(rng(7), 8, family="tree")["A"]
    np.testing.assert_array_equal((A != 0) | (A != 0).T, drawn("tree", 8, 7))
    directed = name in ("dfs", "dag_shortest_paths")
    assert np.array_equal(A, A.T) is not directed
    if name in WEIGHTED:
        for law in weights.LAWS:
            B = algorithm.sample(rng(7), 8, family="tree", law=law, scale=100.0)["A"]
            np.testing.assert_array_equal(B != 0, A != 0)
            if law == "equal":
                assert set(np.unique(B)) == {0, 100}


@pytest.mark.parametrize("name", SAMPLED)
def test_settings_that_would_be_ignored_are_refused(name):
    algorithm = SAMPLED[name]
    with pytest.raises(ValueError, match=r"^p .*family 'erdos_renyi'.*family='grid'"):
        algorithm.sample(rng(), 6, family="grid", p=(0.3,))
    with pytest.raises(ValueError, match=r"^options must be None for the family 'erdos_renyi'"):
        algorithm.sample(rng(), 6, family="erdos_renyi", options={"rows": 2})
    with pytest.raises(ValueError, match=r"^family: unknown family 'grit'; did you mean 'grid'"):
        algorithm.sample(rng(), 6, family="grit")
    with pytest.raises(ValueError, match=r"^options: unknown option of grid 'row'; did you mean 'rows'"):
        algorithm.sample(rng(), 6, family="grid", options={"row": 2})
    with pytest.raises(ValueError, match=r"^p must hold edge probabilities"):
        algorithm.sample(rng(), 6, family="grid", p=2.0)


@pytest.mark.parametrize("values", [(0.5,), (0.1, 0.9), graphs.TRAIN_P])
def test_choose_draws_what_choice_draws(values):
    ours, theirs = np.random.RandomState(7), np.random.RandomState(7)
    assert [graphs.choose(ours, values) for _ in range(50)] == [theirs.choice(values) for _ in range(50)]
    assert ours.randint(2**31) == theirs.randint(2**31)


# --- networkx --------------------------------------------------------------------------------------------------------


def test_from_networkx_keeps_names_directions_and_weights():
    G = nx.Graph([("b", "a", {"weight": 2.5}), ("a", "c")])
    A, nodes = graphs.from_networkx(G)
    assert nodes == ["b", "a", "c"]
    assert A.tolist() == [[0, 2.5, 0], [2.5, 0, 1], [0, 1, 0]]
    D = nx.DiGraph([(3, 1, {"km": -2, "weight": 7}), (1, 3, {"km": 4}), (1, 1, {"km": np.int8(5)})])
    A, nodes = graphs.from_networkx(D, "km")
    assert nodes == [3, 1] and A.tolist() == [[0, -2], [4, 5]] and A.dtype == np.float64
    assert graphs.from_networkx(D, None)[0].tolist() == [[0, 1], [1, 1]]
    loop = nx.Graph([(0, 0, {"weight": 3}), (0, 1)])
    assert graphs.from_networkx(loop)[0].tolist() == [[3, 1], [1, 0]]


def test_any_networkx_graph_is_an_input():
    for G in (
        nx.petersen_graph(),
        nx.karate_club_graph(),
        nx.subgraph_view(nx.path_graph(5), filter_node=lambda v: v != 2),
    ):
        A, nodes = graphs.from_networkx(G)
        trace = nar.datasets.get("dijkstra").run(A=A, s=nodes.index(0))
        want = nx.single_source_dijkstra_path_length(G, 0)
        got = dict(zip(nodes, shortest_paths.path_weights(A, trace.compact["pi"], np.array(0)), strict=True))
        assert {v: d for v, d in got.items() if np.isfinite(d)} == pytest.approx(want)


@pytest.mark.parametrize(
    ("G", "message"),
    [
        (nx.MultiGraph([(0, 1), (0, 1)]), r"graph must not be a multigraph: .*networkx\.Graph\(graph\)"),
        (nx.MultiDiGraph([(0, 1)]), r"networkx\.DiGraph\(graph\)"),
        (nx.Graph(), "graph must have at least one node"),
        (np.eye(2), "graph must be a networkx graph, got ndarray"),
        (nx.Graph([(0, 1, {"weight": 0})]), r"weight of edge \(0, 1\) must be a finite number other than 0"),
        (nx.Graph([(0, 1, {"weight": "3"})]), "weight of edge"),
        (nx.Graph([(0, 1, {"weight": 10**400})]), "weight of edge"),
        (nx.Graph([(0, 1, {"weight": 1j})]), "weight of edge"),
        (nx.Graph([(0, 1, {"weight": np.nan})]), "weight of edge"),
    ],
)
def test_graphs_that_fit_no_matrix_are_refused(G, message):
    with pytest.raises(ValueError, match=message):
        graphs.from_networkx(G)


def test_a_networkx_graph_given_as_a_matrix_is_told_the_way():
    with pytest.raises(ValueError, match=r"A must be a matrix, got a networkx graph: .*graphs\.from_networkx\(graph\)"):
        nar.datasets.get("bfs").run(A=nx.path_graph(3), s=0)


def test_networkx_graphs_become_matrices():
    graph = nx.DiGraph()
    graph.add_edge("b", "a", weight=2.5)
    graph.add_edge("a", "c")
    A, nodes = graphs.from_networkx(graph)
    assert nodes == ["b", "a", "c"]
    assert A.tolist() == [[0, 2.5, 0], [0, 0, 1], [0, 0, 0]]
    assert graphs.from_networkx(graph, weight=None)[0].tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    undirected, _ = graphs.from_networkx(nx.path_graph(3))
    assert undirected.tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize("weight", [0, np.nan, np.inf, "3", None])
def test_networkx_weights_that_no_matrix_can_hold(weight):
    graph = nx.Graph()
    graph.add_edge(0, 1, weight=weight)
    with pytest.raises(ValueError, match=r"weight of edge \(0, 1\) must be a finite number other than 0"):
        graphs.from_networkx(graph)


def test_networkx_graphs_that_no_matrix_can_hold():
    with pytest.raises(ValueError, match="graph must have at least one node"):
        graphs.from_networkx(nx.Graph())
    with pytest.raises(ValueError, match="graph must not be a multigraph"):
        graphs.from_networkx(nx.MultiGraph([(0, 1), (0, 1)]))
