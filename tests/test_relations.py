"""Order relations of numbers: what must not change them (names of nodes, scales, the batch), and in the encoder."""

import itertools
import pickle

import numpy as np
import pytest
import torch
from naive import F64

from nar import datasets
from nar.model.batch import draw, training_spec
from nar.model.coders.encoder import Encoder, dense
from nar.model.options import relation_kinds as kinds
from nar.model.options.relations import UNCHANGED, Relations, relations
from nar.model.reasoner import Reasoner
from nar.traces.spec import POINTERS, Location, Spec, Stage, Type

INPUT_HINT = (Stage.INPUT, Stage.HINT)


# What must hold of all of them, on the thirty algorithms

EVERYTHING = Spec({
    "x": ("input", "node", "scalar"), "y": ("input", "node", "scalar"), "p": ("input", "node", "pointer"),
    "c": ("input", "node", "categorical", 3), "w": ("input", "edge", "scalar"), "t": ("input", "graph", "scalar"),
    "x_h": ("hint", "node", "scalar"), "w_h": ("hint", "edge", "scalar"), "e_h": ("hint", "edge", "mask"),
    "p_h": ("hint", "node", "pointer"), "m": ("hint", "node", "mask_one"), "n": ("hint", "graph", "pointer"),
    "t_h": ("hint", "graph", "scalar"), "out": ("output", "node", "pointer"),
})  # fmt: skip


def moment_of(algorithm, moment=1, nodes=None, samples=3):
    """Values of inputs and hints of one moment of a few traces, in compact form but for numbers, which are float64."""
    size = nodes or (4 if algorithm.name == "segments_intersect" else 20 if "matcher" in algorithm.name else 6)
    batch = draw(algorithm, size, samples, seed=(7,), random_pos=False, **algorithm.train_params)
    values = dict(batch.inputs) | {name: value[min(moment, batch.steps)] for name, value in batch.hints.items()}
    values = {n: v.double() if v.is_floating_point() else v for n, v in values.items()}
    return batch.spec, batch.nodes, values


def channels(spec, nodes, values):
    """Raw channels of the relations alone, by stage and location."""
    made = Relations(spec, INPUT_HINT)
    graphs = len(next(iter(values.values())))
    values = values | {UNCHANGED: torch.zeros(graphs, dtype=F64)}

    def value(name):
        return values[name] if name == UNCHANGED else dense(spec[name], values[name], nodes, F64)

    return {stage: list(made.channels(stage, value)) for stage in INPUT_HINT}, made


ALGORITHMS = datasets.names()


def same(ours, theirs, change=lambda where, channel: channel):
    for stage in INPUT_HINT:
        assert len(ours[stage]) == len(theirs[stage])
        for (where, one), (_, other) in zip(ours[stage], theirs[stage], strict=True):
            assert torch.equal(change(where, one), other), (stage, where)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_channels_computed_together_are_those_of_every_relation_alone(name):
    spec, nodes, values = moment_of(datasets.get(name))
    ours, made = channels(spec, nodes, values)

    def operand(name):
        *derived, probe = name.split()
        value = dense(spec[probe], values[probe], nodes, F64)
        return kinds.depth(value) if derived else value

    for stage in INPUT_HINT:
        for relation, (_, channel) in zip(made.of[stage], ours[stage], strict=True):
            if relation.operands != (UNCHANGED,):
                alone = torch.stack(relation.channels(*map(operand, relation.operands)), -1)
                assert torch.equal(channel, alone), relation.says


@pytest.mark.parametrize("name", ALGORITHMS)
def test_channels_are_those_that_are_announced(name):
    """As many as `says` has texts, all different; 0 or 1; where they are said to be; each at its stage."""
    spec, nodes, values = moment_of(datasets.get(name))
    ours, made = channels(spec, nodes, values)
    shape = {Location.NODE: (nodes,), Location.EDGE: (nodes, nodes), Location.GRAPH: ()}
    count = dict.fromkeys(itertools.product(INPUT_HINT, Location), 0)
    for stage in INPUT_HINT:
        for relation, (where, channel) in zip(made.of[stage], ours[stage], strict=True):
            assert where is relation.location
            assert channel.shape == (3, *shape[where], len(relation.says)), relation.says
            assert ((channel == 0) | (channel == 1)).all(), relation.says
            count[stage, where] += len(relation.says)
            stages = {spec[n.split()[-1]].stage if n != UNCHANGED else Stage.HINT for n in relation.operands}
            assert (Stage.HINT in stages) == (stage is Stage.HINT) and Stage.OUTPUT not in stages, relation.operands
    assert {key: number for key, number in count.items() if number} == made.counts
    texts = [(r.location, text) for stage in INPUT_HINT for r in made.of[stage] for text in r.says]
    assert len(texts) == len(set(texts))


def test_those_of_inputs_read_inputs_alone():
    made = Relations(EVERYTHING, INPUT_HINT)
    asked = []

    def value(name):
        asked.append(name)
        generator = torch.Generator().manual_seed(len(asked))
        probe = EVERYTHING[name]
        value = torch.randint(3, (2, *probe.shape(4)), generator=generator)
        return dense(probe, value.double() if probe.type is Type.SCALAR else value, 4, F64)

    list(made.channels(Stage.INPUT, value))
    assert set(asked) == {"x", "y", "p", "c", "w", "t"}
    assert {name for r in made.of[Stage.HINT] for name in r.operands} > {"x", "x_h", "w_h", "m", UNCHANGED, "depth p_h"}
    only = Relations(EVERYTHING, (Stage.INPUT,))
    assert not only.of[Stage.HINT] and [r.says for r in only.of[Stage.INPUT]] == [r.says for r in made.of[Stage.INPUT]]
    assert Relations(EVERYTHING, ()).counts == {}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_renaming_nodes_renames_the_channels(name):
    spec, nodes, values = moment_of(datasets.get(name))
    order = torch.from_numpy(np.random.RandomState(3).permutation(nodes))
    renamed = {}
    for key, value in values.items():
        probe = spec[key]
        for axis in range(1, 1 + len(probe.shape(nodes))):
            value = value.index_select(axis, order)
        if probe.type in POINTERS or probe.type is Type.MASK_ONE:
            value = order.argsort()[value.long()]
        renamed[key] = value

    def change(where, channel):
        for axis in range(1, channel.dim() - 1):
            channel = channel.index_select(axis, order)
        return channel

    same(channels(spec, nodes, values)[0], channels(spec, nodes, renamed)[0], change)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_scale_batch_and_form_do_not_matter(name):
    spec, nodes, values = moment_of(datasets.get(name))
    ours, _ = channels(spec, nodes, values)
    for factor in (1 / 4, 1024.0):
        scaled = {n: v * factor if spec[n].type is Type.SCALAR else v for n, v in values.items()}
        same(ours, channels(spec, nodes, scaled)[0])
    for b in range(3):
        alone, _ = channels(spec, nodes, {n: v[b : b + 1] for n, v in values.items()})
        same(ours, alone, lambda _, channel, b=b: channel[b : b + 1])
    soft = {n: dense(spec[n], v, nodes, F64) for n, v in values.items()}
    same(ours, channels(spec, nodes, soft)[0])


# In the encoder


@pytest.mark.parametrize("how", ["none", "beside", "instead"])
def test_numbers_are_encoded_beside_relations_or_give_way_to_them(how):
    spec = training_spec(datasets.get("dijkstra"))
    torch.manual_seed(0)
    made = Encoder(spec, 4, relations=how).double()
    scalars = {n for n, p in spec.items() if p.stage is not Stage.OUTPUT and p.type is Type.SCALAR}
    others = {n for n, p in spec.items() if p.stage is not Stage.OUTPUT and p.type is not Type.SCALAR}
    assert scalars == {"pos", "A", "d"}
    assert set(made.maps) == others | (set() if how == "instead" else scalars)
    assert len(made.relation_maps) == (0 if how == "none" else len(Relations(spec, INPUT_HINT).counts))
    _, nodes, values = moment_of(datasets.get("dijkstra"))
    values[UNCHANGED] = torch.zeros(3, dtype=F64)
    scaled = {n: v * 2 if n in scalars else v for n, v in values.items()}
    changed = False
    for stage in INPUT_HINT:
        ours, theirs = (made.encode(stage, v, nodes, adjacency=False)[0] for v in (values, scaled))
        for where in Location:
            rows = made.weights(where, stage)[0].shape[0]
            assert rows == (0 if ours[where] is None else ours[where].shape[-1])
            changed |= ours[where] is not None and not torch.equal(ours[where], theirs[where])
    assert changed == (how != "instead")


def test_a_step_without_change_is_said():
    spec = training_spec(datasets.get("bfs"))
    (relation,) = [r for r in relations(spec) if r.operands == (UNCHANGED,)]
    assert relation.location is Location.GRAPH and len(relation.says) == 1
    made = Encoder(spec, 4, relations="instead").double()
    _, nodes, values = moment_of(datasets.get("bfs"))
    values[UNCHANGED] = torch.tensor([0.0, 1.0, 0.0], dtype=F64)
    assert made.encode(Stage.HINT, values, nodes, adjacency=False)[0][Location.GRAPH][:, -1].tolist() == [0, 1, 0]


@pytest.mark.parametrize("name", ["dijkstra", "dfs", "quickselect", "graham_scan"])
def test_like_is_compared_with_like(name):
    """What is left are the others in their order: a position stands beside positions and numbers of the graph alone."""
    spec = {n: p for n, p in training_spec(datasets.get(name)).items() if p.stage is not Stage.OUTPUT}
    numbers = {n for n, p in spec.items() if p.type is Type.SCALAR and p.location is not Location.GRAPH}

    def unlike(relation):
        compared = {operand for operand in relation.operands if operand in numbers}
        return "pos" in compared and len(compared) > 1 and relation.channels is not kinds.edge_against_marked

    every, alike = list(relations(spec)), list(relations(spec, like_with_like=True))
    assert alike == [relation for relation in every if not unlike(relation)] and len(alike) < len(every)
    assert any(relation.operands[0] == "pos" for relation in alike)


def test_what_is_no_quantity_is_encoded_but_not_compared():
    """Edges without weights, times anything, change nothing but the edges' own channel."""
    algorithm = datasets.get("dfs")
    spec, nodes, values = moment_of(algorithm)
    values[UNCHANGED] = torch.zeros(3, dtype=F64)
    scaled = values | {"A": values["A"] * 1e-14}  # not even beyond every number any more
    for like_with_like, others_differ in ((False, True), (True, False)):
        torch.manual_seed(0)
        made = Encoder(spec, 4, relations="instead", like_with_like=like_with_like).double()
        ours, theirs = (
            {stage: made.encode(stage, v, nodes, adjacency=False)[0] for stage in INPUT_HINT} for v in (values, scaled)
        )
        assert ("A" in made.maps) == like_with_like
        differing = {
            (stage, where, channel)
            for stage in INPUT_HINT
            for where, one in ours[stage].items()
            for channel in range(0 if one is None else one.shape[-1])
            if not torch.equal(one[..., channel], theirs[stage][where][..., channel])
        }
        assert bool(differing - {(Stage.INPUT, Location.EDGE, 0)}) == others_differ
        assert (differing == {(Stage.INPUT, Location.EDGE, 0)}) == like_with_like
    made = Reasoner.build("dfs", "relational", hidden=8, candidates=True, selection=True, like_with_like=True)
    assert "A" not in made.coders("dfs")[1].reads()
    plain = Reasoner.build("dfs", "relational", hidden=8, candidates=True, selection=True)
    assert "A" in plain.coders("dfs")[1].reads()


def test_numbers_of_edges_without_weights_are_indicators():
    """A of a graph without weights says where edges are; dm-clrs lists it as a number like every other."""
    found = {name for name in ALGORITHMS if training_spec(datasets.get(name)).indicators}
    assert found == set(
        "bfs dfs topological_sort articulation_points bridges strongly_connected_components".split()
    ) | {"eccentricity"}
    assert training_spec(datasets.get("dfs")).indicators == {"A"}
    assert pickle.loads(pickle.dumps(training_spec(datasets.get("dfs")))).indicators == {"A"}
    assert training_spec(datasets.get("dfs"), "sparse").indicators == {"A"}


@pytest.mark.parametrize("name", ["dfs", "bridges"])
def test_numbers_that_grow_with_the_graph_do_not_overtake_indicators(name):
    """Times are below 1, which an edge has in A, in graphs of up to 49 nodes, and above it in larger ones."""
    spec, nodes, values = moment_of(datasets.get(name), moment=9)
    values[UNCHANGED] = torch.zeros(3, dtype=F64)
    hints = [n for n, probe in spec.items() if probe.stage is Stage.HINT and probe.type is Type.SCALAR]
    later = values | {n: values[n] * 1000 for n in hints}
    assert max(values[n].max() for n in hints) < 1 < max(later[n].max() for n in hints)

    def compared_with_edges(spec, values):
        made = Encoder(spec, 4, relations="instead").double()
        of_hints = zip(
            made.relations.of[Stage.HINT],
            made.relations.channels(Stage.HINT, lambda n: made.operand(n, values, nodes)),
            strict=True,
        )
        return [channel for relation, (_, channel) in of_hints if "A" in relation.operands]

    ours, larger = (compared_with_edges(training_spec(datasets.get(name)), v) for v in (values, later))
    as_numbers, larger_ones = (compared_with_edges(Spec(dict(spec)), v) for v in (values, later))
    for one, other, number in zip(ours, larger, as_numbers, strict=True):
        assert torch.equal(one, other) and torch.equal(one, number)  # in small graphs it makes no difference
    assert any(not torch.equal(one, other) for one, other in zip(as_numbers, larger_ones, strict=True))
