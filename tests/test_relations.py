"""Order relations of numbers: every kind by hand, and what must not change them: names of nodes, scales, the batch."""

import itertools

import numpy as np
import pytest
import torch

from nar import datasets
from nar.model.batch import draw, training_spec
from nar.model.coders.encoder import Encoder, dense
from nar.model.options import relation_kinds as kinds
from nar.model.options.relations import UNCHANGED, Relations, relations
from nar.traces.spec import POINTERS, Location, Spec, Stage, Type

F64 = torch.float64
INPUT_HINT = (Stage.INPUT, Stage.HINT)


def t(*rows):
    """One graph."""
    return torch.tensor([rows if len(rows) > 1 else rows[0]], dtype=F64)


def one_hot(*index, nodes=None):
    """Marks or pointers of one graph."""
    return torch.nn.functional.one_hot(torch.tensor([index]), nodes or len(index)).to(F64)


def mark(node, nodes):
    return one_hot(node, nodes=nodes)[:, 0]


def found(channels):
    return [channel[0].int().tolist() for channel in channels]


# Every kind


def test_comparisons_allow_for_the_roundings_of_sums():
    a = torch.tensor([1.0, 1.0, 1.0, -1.0, 0.0, 1e6])
    b = torch.tensor([1 + 1e-6, 1 + 4e-6, 1 - 4e-6, 1.0, 1e-30, 1e6 + 1])
    assert [part.tolist() for part in kinds.compared(a, b)] == [[0, 1, 0, 1, 1, 0], [0, 0, 1, 0, 0, 0]]
    assert kinds.compared(a, b, exactly=True)[0].tolist() == [1, 1, 0, 1, 1, 1]
    assert found(kinds.sign(t(-2.0, -1e-7, 0.0, 1e-7, 2.0))) == [[1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    tenth = sum([0.1] * 10)
    assert tenth != 1.0 and found(kinds.compared(t(tenth), t(1.0))) == [0, 0]


def test_order_with_ties():
    """2, 1, 2, 5: next above 1 are both 2, next above each 2 is 5, above 5 nobody."""
    less, more, follows, back = found(kinds.ordered(t(2.0, 1.0, 2.0, 5.0)))
    assert less == [[0, 0, 0, 1], [1, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert more == np.transpose(less).tolist()
    assert follows == [[0, 0, 0, 1], [1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert back == np.transpose(follows).tolist()
    assert found(kinds.less_or_more(t(2.0, 1.0, 2.0, 5.0))) == [less, more]
    assert found([kinds.next_above(t(3.0, 3.0))]) == [[[0, 0], [0, 0]]]
    # numbers of one node are compared exactly, however close they are
    near = torch.tensor([[1.0, 1.0]]).nextafter(torch.tensor([[1.0, 2.0]]))
    assert found(kinds.ordered(near))[0] == [[0, 1], [0, 0]]


def test_order_across_two_numbers():
    less, more, reverse_less, reverse_more = found(kinds.ordered_across(t(1.0, 4.0), t(2.0, 1.0)))
    assert (less, more) == ([[1, 0], [0, 0]], [[0, 0], [1, 1]])
    assert reverse_less == [[0, 1], [0, 1]]  # y_i < x_j: 2 < 4, 1 < 4
    assert reverse_more == [[1, 0], [0, 0]]  # y_i > x_j: 2 > 1


def test_relaxation_along_an_edge():
    """x = 0, 3, 7 with edges 0 -> 1 of 3, 0 -> 2 of 6, 1 -> 2 of 5: the way by 0 to 2 is better, to 1 as good."""
    w = t([0.0, 3, 6], [0, 0, 5], [0, 0, 0])
    x = t(0.0, 3.0, 7.0)
    less, more, less_back, more_back, *alone = found(kinds.along(x, w))
    assert less == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert more == [[0, 0, 0], [1, 0, 1], [1, 1, 0]]
    assert less_back == np.transpose(less).tolist() and more_back == np.transpose(more).tolist()
    for i, j in itertools.product(range(3), repeat=2):
        assert alone[0][i][j] == alone[2][j][i] == (w[0, i, j] < x[0, j])
        assert alone[1][i][j] == alone[3][j][i] == (w[0, i, j] > x[0, j])
    # what was x_j computed from is no longer below it, although sums in another order differ
    x_j = torch.tensor([0.1, 0.1 + 0.2 + 0.3], dtype=torch.float32).view(1, 2)
    way = torch.tensor([[0.0, 0.5], [0, 0]]).view(1, 2, 2)
    assert [channel[0, 0, 1].item() for channel in kinds.along(x_j, way)[:2]] == [0, 0]


def test_both_ways():
    assert found(kinds.both_ways(t([0.0, 3], [1, 0]))) == [[[0, 0], [1, 0]], [[0, 1], [0, 0]]]


def test_by_way_of_a_mark():
    w = t([0.0, 9, 2], [1, 0, 4], [3, 5, 0])
    sums = kinds.by_way(w, mark(2, 3))
    for i, j in itertools.product(range(3), repeat=2):
        assert sums[0, i, j] == w[0, i, 2] + w[0, 2, j]
    assert found(kinds.by_way_against_edge(w, mark(2, 3))) == [
        [[0, 1, 0], [0, 0, 0], [0, 0, 0]],
        [[1, 0, 0], [1, 1, 0], [0, 0, 0]],
    ]


def test_edges_against_the_marked_edge():
    """Self-loops and absent edges are compared, but are never the next above."""
    w = t([2.5, 1, 2], [4, 0, 3], [2, 0, 9])
    less, more, following = found(kinds.edge_against_marked(w, mark(0, 3), mark(2, 3)))  # against 2
    assert less == [[0, 1, 0], [0, 1, 0], [0, 1, 0]]
    assert more == [[1, 0, 0], [1, 0, 1], [0, 0, 1]]
    assert following == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]  # 3, not the self-loop of 2.5
    less, more, following = found(kinds.edge_against_marked(w, mark(1, 3), mark(1, 3)))  # of no edge: before all
    assert less == [[0] * 3] * 3 and more == [[1] * 3] * 3
    assert following == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert found(kinds.edge_against_marked(w, mark(1, 3), mark(0, 3)))[2] == [[0] * 3] * 3  # 4 is the largest
    equal = t([0.0, 2], [2, 0])
    assert found(kinds.edge_against_marked(equal, mark(1, 2), mark(1, 2)))[2] == [[0, 1], [1, 0]]  # both of two ends


def test_of_equal_edges_the_first_comes_first():
    """All three weigh the same: in the order (0, 1), (0, 2), (1, 2), or of positions, in which 2 is the first node."""
    w = t([0, 5, 5], [5, 0, 5], [5, 5, 0.0])
    of_two, pos = (mark(0, 3), mark(2, 3)), torch.tensor([[0.3, 0.7, 0.1]], dtype=w.dtype)
    less, more, following = found(kinds.edge_against_marked(w, *of_two))
    assert less == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]  # absent edges and self-loops of weight 0 are less
    assert more == following == [[0, 0, 0], [0, 0, 1], [0, 1, 0]]
    less, more, following = found(kinds.edge_against_marked(w, *of_two, pos))
    assert more == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]  # (2, 1) and then (0, 1)
    assert following == [[0, 0, 0], [0, 0, 1], [0, 1, 0]]
    last = kinds.edge_against_marked(w, mark(0, 3), mark(1, 3), pos)
    assert found(last)[1:] == [[[0] * 3] * 3] * 2


def test_same_class_and_same_target():
    assert found(kinds.same(one_hot(2, 0, 2, nodes=3))) == [[[1, 0, 1], [0, 1, 0], [1, 0, 1]]]
    assert [found(kinds.same_mark(mark(1, 3), mark(other, 3))) for other in range(3)] == [[0], [1], [0]]


def test_shifts_along_a_list():
    """P = 0, 0, 1: every node points to the one before it."""
    w, p = t([1.0, 2, 3], [4, 5, 6], [7, 8, 9]), one_hot(0, 0, 1)
    assert found(kinds.shift(w, p)) == [[[1, 2, 3], [1, 2, 3], [4, 5, 6]], [[1, 1, 2], [4, 4, 5], [7, 7, 8]]]
    assert found(kinds.shifted(w, p)) == found(kinds.shift(w, p))
    above, left = kinds.shift(w, p)
    assert found(kinds.shifted_compared(w, p)) == [(above < left)[0].int().tolist(), (above > left)[0].int().tolist()]


@pytest.mark.parametrize(
    ("pointers", "depths"),
    [
        ([0, 0, 1, 2, 3], [0, 1, 2, 3, 4]),
        ([1, 2, 3, 4, 4], [4, 3, 2, 1, 0]),
        ([2, 2, 2, 0, 3], [1, 1, 0, 2, 3]),  # a tree
        ([0, 1, 1, 0, 3], [0, 0, 1, 1, 2]),  # a forest
        ([0], [0]),
    ],
)
def test_depths_in_lists_and_trees(pointers, depths):
    assert found([kinds.depth(one_hot(*pointers))]) == [depths]


def test_depths_on_cycles_are_beyond_all_others():
    depths = kinds.depth(one_hot(1, 2, 0, 0, 4))[0]
    assert (depths[:4] >= 4).all() and depths[4] == 0


def test_numbers_against_those_of_the_graph():
    x, g, h = t(1.0, 2.0, 3.0), torch.tensor([2.0], dtype=F64), torch.tensor([4.0], dtype=F64)
    assert found(kinds.node_against_graph(x, g)) == [[1, 0, 0], [0, 0, 1]]
    assert found(kinds.node_and_graph_against(x, g, h)) == [[1, 0, 0], [0, 0, 1]]
    assert found(kinds.marked_compared(x, mark(0, 3), mark(2, 3))) == [1, 0]
    assert found(kinds.marked_compared(x, mark(2, 3), mark(2, 3))) == [0, 0]


def test_neighbours_of_a_mark():
    p = one_hot(0, 0, 1, 1)
    assert found(kinds.neighbours_of_mark(p, mark(1, 4))) == [[1, 0, 0, 0], [0, 0, 1, 1]]
    assert found(kinds.neighbours_of_mark(p, mark(0, 4))) == [[1, 0, 0, 0], [0, 1, 0, 0]]  # not itself
    assert found(kinds.neighbours_of_mark(p, mark(3, 4)))[1] == [0, 0, 0, 0]


def test_midway_along_a_list():
    """Six nodes in a list, node i at place i; the one after the last mark is the mark itself."""
    p = one_hot(0, 0, 1, 2, 3, 4)
    depth = kinds.depth(p)

    def places(m, n):
        return [row.index(1) if sum(row) == 1 else row for row in found(kinds.midway(depth, p, mark(m, 6), mark(n, 6)))]

    assert places(0, 4) == [2, 2, 2, 3]  # of 0 and 4, 0 and 5, 1 and 4, 1 and 5, rounded down
    assert places(1, 2) == [1, 2, 2, 2]
    assert places(2, 5) == [3, 3, 4, 4]  # nothing comes after 5
    assert places(5, 5) == [5, 5, 5, 5]


def test_sides_of_a_line():
    """From (0, 0) to (0, 2), upwards: (1, 5) is on the right, (-1, 1) on the left, (0, 9) on it."""
    x, y = t(0.0, 0.0, 1.0, -1.0, 0.0), t(0.0, 2.0, 5.0, 1.0, 9.0)
    right, left = found(kinds.side(x, y, mark(0, 5), mark(1, 5)))
    assert (right, left) == ([0, 0, 1, 0, 0], [0, 0, 0, 1, 0])
    assert found(kinds.side(x, y, mark(1, 5), mark(0, 5))) == [left, right]
    p = one_hot(3, 0, 2, 3, 4)  # 1 points to 0: the line from 0 to 1
    assert found(kinds.side_of_pointer(x, y, p, mark(1, 5))) == [right, left]


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


def test_only_order_matters_where_numbers_are_compared_as_they_are():
    """Any strictly rising map of all numbers leaves these as they are; a common shift, the ways along edges, too."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randint(-9, 9, (4, 5), generator=generator).double() for _ in range(2))
    w = torch.randint(-9, 9, (4, 5, 5), generator=generator).double()
    g = x[:, 2]
    m, n = one_hot(3, 1, 0, 4, nodes=5)[0], one_hot(2, 2, 0, 1, nodes=5)[0]
    for rising in (lambda z: z**3, lambda z: torch.exp(z / 4), lambda z: z + 100):
        for kind, operands in (
            (kinds.ordered, (x,)), (kinds.ordered_across, (x, y)), (kinds.node_against_graph, (x, g)),
            (kinds.both_ways, (w,)), (kinds.compared, (w, w.flip(1))),
        ):  # fmt: skip
            for before, after in zip(kind(*operands), kind(*map(rising, operands)), strict=True):
                assert torch.equal(before, after), kind
        for before, after in zip(kinds.marked_compared(x, m, n), kinds.marked_compared(rising(x), m, n), strict=True):
            assert torch.equal(before, after)
    for before, after in zip(kinds.along(x, w)[:4], kinds.along(x + 8, w)[:4], strict=True):
        assert torch.equal(before, after)
    for before, after in zip(kinds.side(x, y, m, n), kinds.side(2 * x + 8, 2 * y - 16, m, n), strict=True):
        assert torch.equal(before, after)


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
