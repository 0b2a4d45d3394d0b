"""Settings of the test distribution: what they turn into, whom they fit, and that they change the data as they say."""

from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from inputs import outputs

from nar import datasets
from nar.evaluation import axes
from nar.traces.inputs import families, weights
from nar.traces.spec import Type

ALL = {name: datasets.get(name) for name in datasets.names()}
WEIGHTED = ("bellman_ford", "dag_shortest_paths", "dijkstra", "floyd_warshall", "mst_kruskal", "mst_prim")
SCALED = [name for name in ALL if axes.misfit(ALL[name], {"scale": 2.0}) is None]


def drawn(name, setting, n=16, samples=8, seed=3):
    """Arguments of `run` for several inputs of a setting."""
    rng = np.random.RandomState(seed)
    return [ALL[name].sample(rng, n, **axes.parameters(ALL[name], setting)) for _ in range(samples)]


# --- names and numbers -----------------------------------------------------------------------------------------------


def test_a_setting_has_one_form():
    given = {"scale": 1000, "family": "ba"}
    found = axes.canonical(given)
    assert found == {"family": "barabasi_albert", "scale": 1000.0} and list(found) == ["family", "scale"]
    assert isinstance(found["scale"], float) and given == {"scale": 1000, "family": "ba"}
    assert axes.canonical(None) == axes.canonical({}) == {}
    assert axes.canonical(found) == found
    short = {axes.canonical({"family": name})["family"] for name in families.SHORT}
    assert short == {
        "erdos_renyi", "barabasi_albert", "watts_strogatz", "random_geometric", "community", "sparse_erdos_renyi"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"famly": "grid"}, "unknown axis 'famly'; did you mean 'family'"),
        ({"family": "gird"}, "unknown family 'gird'; did you mean 'grid'"),
        ({"family": 3}, "unknown family '3'"),
        ({"density": 1.5}, "density must be a number from 0 to 1, got 1.5"),
        ({"density": True}, "density must be a number"),
        ({"density": "0.5"}, "density must be a number"),
        ({"weights": "tie"}, "unknown weights 'tie'; did you mean 'ties'"),
        ({"scale": 0}, "scale must be a number from"),
        ({"scale": -1.0}, "scale must be a number from"),
        ({"scale": float("nan")}, "scale must be a number from"),
        ({"scale": float("inf")}, "scale must be a number from"),
        ({"family": "grid", "density": 0.5}, "density fits the family erdos_renyi alone.*'grid'"),
    ],
)
def test_settings_that_cannot_be(setting, message):
    with pytest.raises(ValueError, match=message):
        axes.canonical(setting)


def test_in_words():
    assert axes.described({}) == axes.described(None) == "own"
    assert axes.described({"family": "grid", "scale": 0.001}) == "family grid, scale 0.001"
    assert axes.described({"density": 0.5, "weights": "ties", "scale": 1000.0}) == (
        "density 0.5, weights ties, scale 1000"
    )


def test_each_axis_alone_or_every_combination():
    asked = {"family": ("er", "erdos_renyi", "grid"), "density": (), "weights": (), "scale": (0.5, 2)}
    assert axes.settings(asked) == [{"family": "erdos_renyi"}, {"family": "grid"}, {"scale": 0.5}, {"scale": 2.0}]
    assert axes.settings(asked, cross=True) == [
        {"family": "erdos_renyi", "scale": 0.5}, {"family": "erdos_renyi", "scale": 2.0},
        {"family": "grid", "scale": 0.5}, {"family": "grid", "scale": 2.0},
    ]  # fmt: skip
    with_density = axes.settings({"family": ("er", "grid"), "density": (0.1, 0.2)}, cross=True)
    er = {"family": "erdos_renyi"}
    assert with_density == [er | {"density": 0.1}, er | {"density": 0.2}, {"family": "grid"}]
    assert axes.settings({}) == axes.settings({}, cross=True) == []


def test_the_page_names_every_family_and_law():
    page = (Path(__file__).parents[1] / "docs" / "evaluation.md").read_text()
    for name in (*families.SHORT, axes.RANDOM, *families.TABLE, "ties", "uniform", *weights.LAWS):
        assert f"`{name}`" in page, name


# --- whom they fit ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fitting"),
    [
        ("bellman_ford", "family density weights scale"),
        ("mst_kruskal", "family density weights scale"),
        ("bfs", "family density"),
        ("eccentricity", "family density"),
        ("strongly_connected_components", "family density"),
        ("insertion_sort", "scale"),
        ("task_scheduling", "scale"),
        ("graham_scan", "scale"),
        ("segments_intersect", "scale"),
        ("kmp_matcher", ""),
        ("lcs_length", ""),
        ("optimal_bst", ""),
        ("reachability", ""),
        ("automaton", ""),
    ],
)
def test_axes_that_fit(name, fitting):
    values = {"family": "grid", "density": 0.5, "weights": "ties", "scale": 10.0}
    found = [axis for axis in axes.AXES if axes.misfit(ALL[name], {axis: values[axis]}) is None]
    assert found == fitting.split()
    assert axes.misfit(ALL[name], {}) is None and axes.parameters(ALL[name], {}) == {}
    for axis in set(axes.AXES) - set(found):
        with pytest.raises(ValueError, match=f"^{axis} does not fit {name}: .*{', '.join(found) or 'no axis'}"):
            axes.parameters(ALL[name], {axis: values[axis]})


@pytest.mark.parametrize(
    ("name", "setting", "params"),
    [
        ("bfs", {"family": "ws"}, {"family": "watts_strogatz"}),
        ("bfs", {"family": "er", "density": 0.25}, {"family": "erdos_renyi", "p": (0.5,)}),  # drawn both ways
        ("dfs", {"family": "er", "density": 0.25}, {"family": "erdos_renyi", "p": (0.25,)}),
        ("topological_sort", {"density": 0.25}, {"p": (0.25,)}),
        ("dijkstra", {"weights": "ties"}, {"law": "integer", "scale": 0.125}),
        ("dijkstra", {"weights": "ties", "scale": 4}, {"law": "integer", "scale": 0.5}),
        ("dijkstra", {"weights": "lognormal", "scale": 4}, {"law": "lognormal", "scale": 4.0}),
        ("insertion_sort", {"scale": 10}, {"low": 0.0, "high": 10.0}),
        ("find_maximum_subarray", {"scale": 10}, {"low": -10.0, "high": 10.0}),
        (
            "graham_scan", {"scale": 10},
            {"origin_x": 0.0, "origin_y": 0.0, "radius": 20.0, "collineararity_eps": pytest.approx(1e-10)},
        ),
        ("eccentricity", {"density": 0.25}, {"p": (0.5,), "family": "erdos_renyi"}),
        ("strongly_connected_components", {"density": 0.5}, {"p": (0.5,)}),
        ("strongly_connected_components", {"density": 0.5, "family": "er"}, {"p": (0.5,), "family": "erdos_renyi"}),
    ],
)  # fmt: skip
def test_sampler_parameters(name, setting, params):
    assert axes.parameters(ALL[name], setting) == params


def test_what_a_setting_departs_from():
    dijkstra = ALL["dijkstra"]
    base = {"p": (0.1, 0.9), "low": 0.5, "high": 2.0}
    assert axes.parameters(dijkstra, {}, base) == base
    assert axes.parameters(dijkstra, {"family": "er"}, base) == base | {"family": "erdos_renyi"}
    grid = axes.parameters(dijkstra, {"family": "grid"}, base)
    assert grid == {"family": "grid", "low": 0.5, "high": 2.0}  # p is another family's
    assert axes.parameters(dijkstra, {"density": 0.09}, base)["p"] == (pytest.approx(0.3),)
    assert axes.parameters(dijkstra, {"weights": "equal"}, base) == {"p": (0.1, 0.9), "law": "equal"}
    rows = {"family": "grid", "options": {"rows": 2}}
    assert axes.parameters(dijkstra, {"family": "tree"}, rows) == {"family": "tree"}
    assert axes.parameters(dijkstra, {"density": 0.3}, rows | {"options": None})["family"] == "erdos_renyi"
    assert base == {"p": (0.1, 0.9), "low": 0.5, "high": 2.0}
    for name, algorithm in ALL.items():  # the training distribution can be varied, too
        for setting in ({"family": "tree"}, {"density": 0.4}, {"weights": "ties"}, {"scale": 3.0}):
            if axes.misfit(algorithm, setting) is None:
                params = axes.parameters(algorithm, setting, algorithm.train_params)
                algorithm.sample(np.random.RandomState(1), 8, **params), name


# --- what they draw --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("want", (0.1, 0.3, 0.8))
@pytest.mark.parametrize("name", ("bfs", "dfs", "dijkstra", "topological_sort", "eccentricity"))
def test_density(name, want):
    """The share of pairs, of directed graphs that of ordered pairs, that are edges; an acyclic one has each once."""
    n, samples = 32, 40
    places = np.triu_indices(n, 1)
    share = []
    for inputs in drawn(name, {"density": want}, n, samples):
        A = inputs["A"] != 0
        share.append((A | A.T if name == "topological_sort" else A)[places].mean())
    assert abs(np.mean(share) - want) < 5 * np.sqrt(want * (1 - want) / (samples * n * (n - 1) / 2))


def test_density_inside_communities():
    """Four of 16 nodes each, in random order; within them and from one to a later one, 1 pair in 100 is toggled."""
    drawn_edges = [inputs["A"] for inputs in drawn("strongly_connected_components", {"density": 0.4}, 64, 20)]
    found = np.mean([A.sum() - A.trace() for A in drawn_edges])
    inside, between = 4 * 16 * 15, 6 * 16 * 16
    want = inside * (0.99 * 0.4 + 0.01 * 0.6) + between * 0.01
    assert abs(found - want) < 5 * np.sqrt((inside * 0.24 + between * 0.01) / 20)


def test_family():
    for inputs in drawn("bfs", {"family": "grid"}, 12):
        assert nx.is_isomorphic(nx.from_numpy_array(inputs["A"]), nx.grid_graph((3, 4)))
    degrees = {family: [] for family in ("er", "ba")}
    for family, found in degrees.items():
        for inputs in drawn("bfs", {"family": family}, 48):
            graph = nx.from_numpy_array(inputs["A"])
            found.append(max(d for _, d in graph.degree) / np.mean([d for _, d in graph.degree]))
            if family == "ba":  # a star of three nodes, then two edges for every further one
                assert graph.size() == 2 + 2 * 45 and min(d for _, d in graph.degree) >= 1
    assert np.mean(degrees["ba"]) > 2 * np.mean(degrees["er"])  # hubs


def tied(A, s):
    """Share of nodes to which several shortest paths lead, by networkx."""
    graph = nx.from_numpy_array(A, create_using=nx.DiGraph)
    predecessors, _ = nx.dijkstra_predecessor_and_distance(graph, s)
    return np.mean([len(found) > 1 for found in predecessors.values()])


def test_ties():
    for inputs in drawn("dijkstra", {"weights": "ties"}, 32):
        weights = inputs["A"][inputs["A"] != 0]
        assert set(weights * 8) <= set(range(1, 9))
        assert (weights.astype(np.float32) == weights).all()
    shares = [tied(**inputs) for inputs in drawn("dijkstra", {"weights": "ties"}, 64)]
    assert np.mean(shares) > 0.2
    assert not any(tied(**inputs) for inputs in drawn("dijkstra", {}, 64))
    thousand = [tied(**inputs) for inputs in drawn("dijkstra", {"weights": "ties", "scale": 1024}, 64)]
    assert thousand == shares


def test_answers_stay_defined_under_ties():
    """Bellman-Ford and Dijkstra break ties differently; each finds the other's answer right, and no wrong one."""
    differ = 0
    for inputs in drawn("dijkstra", {"weights": "ties"}, 24, samples=12):
        one, other = (outputs(ALL[name].run(**inputs)) for name in ("bellman_ford", "dijkstra"))
        differ += bool((one["pi"] != other["pi"]).any())
        for name in ("bellman_ford", "dijkstra"):
            assert ALL[name].is_valid(inputs, one) and ALL[name].is_valid(inputs, other)
        detour = other["pi"].copy()
        v = next(v for v in range(24) if detour[v] != v)
        detour[v] = v  # reached, but left out
        assert not ALL["dijkstra"].is_valid(inputs, {"pi": detour})
    assert differ > 0


@pytest.mark.parametrize(
    "name", [*SCALED, *(name for name in ALL if "family" in ALL[name].params and name not in SCALED)]
)
def test_every_algorithm_answers_on_every_setting_that_fits(name):
    algorithm = ALL[name]
    settings = [{"family": "ba"}, {"density": 0.05}, {"weights": "ties"}, {"scale": 1e-3}, {"scale": 1e3}]
    settings.append({"family": "tree", "weights": "ties", "scale": 1e3})
    for setting in settings:
        if axes.misfit(algorithm, setting) is None:
            for inputs in drawn(name, setting, max(9, algorithm.min_nodes), samples=2):
                assert algorithm.is_valid(inputs, outputs(algorithm.run(**inputs))), setting


@pytest.mark.parametrize("name", SCALED)
@pytest.mark.parametrize("factor", (2.0**10, 2.0**-10))
def test_scale_multiplies_the_numbers_and_changes_no_decision(name, factor):
    """A power of two scales floating-point numbers without rounding: same graphs, same discrete hints, same answers."""
    algorithm = ALL[name]
    pairs = zip(drawn(name, {}, samples=3), drawn(name, {"scale": factor}, samples=3), strict=True)
    for one, many in pairs:
        changed = [key for key in one if not np.array_equal(one[key], many[key])]
        assert changed
        for key in changed:
            np.testing.assert_array_equal(np.asarray(many[key]), np.asarray(one[key]) * factor)
        first, second = algorithm.run(**one), algorithm.run(**many)
        assert first.length == second.length
        for probe in algorithm.spec:
            if algorithm.spec[probe].type is not Type.SCALAR:
                a, b = (np.asarray(t.compact[probe]) for t in (first, second))
                np.testing.assert_array_equal(a, b, err_msg=probe)
