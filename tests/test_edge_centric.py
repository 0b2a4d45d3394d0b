"""Edge-centric processors against formulas written out triple by triple, and against triplet_mpnn."""

import itertools
import math

import pytest
import torch
from naive import F64, built
from test_semiring import BY_HAND

from nar import datasets, processors
from nar.model.batch import draw
from nar.model.objectives.losses import total_loss
from nar.model.reasoner import Reasoner
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Step
from nar.processors.edge_centric import PPGN, V2, V3

B, N, F, T = 2, 4, 3, 2


def made(cls, **options):
    torch.manual_seed(1)
    processor = cls(F, triplet_features=T, **options).double()
    with torch.no_grad():
        for parameter in processor.parameters():
            if parameter.dim() == 1:
                parameter += 0.3 * torch.randn_like(parameter)
    return processor


def data(seed=0):
    """x, e, g, a one-way adjacency with self-loops, hidden state, edge states."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((B, N, F), (B, N, N, F), (B, F), (B, N, F), (B, N, N, F))
    x, e, g, hidden, states = (torch.randn(s, generator=generator, dtype=F64) for s in shapes)
    links = (torch.rand(B, N, N, generator=generator) < 0.4) | torch.eye(N, dtype=torch.bool)
    return x, e, g, links, hidden, states


def apply(processor, x, e, g, adjacency, hidden, states):
    return processor(Step(x, g, Dense(built(e), N, adjacency)), (hidden, states if processor.recurrent else None))


def pair(function, index, p, z, e, g, s, b, u, v):
    """One function of one pair."""
    value = function.edge(e[b, u, v])
    if function.first is not None:
        value = value + function.first(z[b, u])
    if function.second is not None:
        value = value + function.second(z[b, v])
    if function.graph is not None:
        value = value + function.graph(g[b])
    return value + p.states[index](s[b, u, v]) if p.recurrent else value


def literal(p, x, e, g, adjacency, hidden, s):
    """Edge states, from the docstring of processors/edge_centric.py."""
    z = torch.cat([x, hidden], -1)
    new = torch.empty(B, N, N, F, dtype=F64)
    for b, u, v in itertools.product(range(B), range(N), range(N)):
        t = pair(p.functions[-1], len(p.functions) - 1, p, z, e, g, s, b, u, v)
        through = isinstance(p, PPGN) or (isinstance(p, V3) and p.through)
        near = [w for w in range(N) if not p.masked or (adjacency[b, u, w] if through else adjacency[b, w, u])]
        if not isinstance(p, V2):
            terms = []
            for w in near:
                factors = [pair(p.functions[0], 0, p, z, e, g, s, b, *((u, w) if through else (w, u)))]
                factors.append(pair(p.functions[1], 1, p, z, e, g, s, b, w, v))
                if isinstance(p, PPGN):
                    factors = [p.factors[i](torch.relu(factors[i])) for i in range(2)]
                terms.append([f.tolist() for f in factors])
            name = "sum_product" if isinstance(p, PPGN) else p.ring.name
            summed = [BY_HAND[name]([(left[c], right[c]) for left, right in terms]) for c in range(T)]
            if p.normalise and name == "sum_product":
                summed = [value / len(near) for value in summed]
            if p.normalise and name == "logsumexp":
                summed = [value - math.log(len(near)) for value in summed]
            t = t + torch.tensor(summed, dtype=F64)
        new[b, u, v] = p.norm(torch.relu(p.out(t)))
    return new


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("recurrent", [True, False])
@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (V2, {}),
        (V2, {"layer_norm": False}),
        (V3, {}),
        (V3, {"through": True}),
        (V3, {"semiring": "min_plus"}),
        (V3, {"semiring": "logsumexp"}),
        (V3, {"semiring": "sum_product", "normalise": False, "through": True}),
        (PPGN, {}),
        (PPGN, {"normalise": False}),
    ],
)
def test_edge_states_are_those_of_the_formulas(cls, options, recurrent, masked):
    processor = made(cls, recurrent=recurrent, masked=masked, **options)
    inputs = data()
    with torch.no_grad():
        found = apply(processor, *inputs)[1]
        torch.testing.assert_close(found, literal(processor, *inputs), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("gated", [False, True])
def test_v3_without_recurrence_is_the_triplet_network_of_clrs(gated):
    ours = made(V3, recurrent=False, gated=gated)
    theirs = processors.build("triplet_gmpnn" if gated else "triplet_mpnn", F, triplet_features=T).double()
    left, right, rest = ours.functions
    triplets = {"nodes.0": left.first, "nodes.1": rest.first, "nodes.2": rest.second, "graph": rest.graph}
    triplets |= {"edges.0": left.edge, "edges.1": right.edge, "edges.2": rest.edge, "out": ours.out}
    state = dict(ours.nodes.state_dict())
    for name, layer in triplets.items():
        state |= {f"triplets.{name}.{key}": value for key, value in layer.state_dict().items()}
    theirs.load_state_dict(state)
    x, e, g, adjacency, hidden, _ = data()
    step = Step(x, g, Dense(built(e), N, adjacency))
    one, other = ours(step, (hidden, None)), theirs(step, (hidden, None))
    torch.testing.assert_close(one[0], other[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(one[1], theirs.edge_states(other[1]).dense(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("masked", [False, True])
def test_nodes_are_those_of_the_message_passing_network_and_can_be_fed_edge_states(masked):
    plain, fed = made(V3, masked=masked), made(V3, masked=masked, feed_nodes=True)
    alone = processors.build("pgn" if masked else "mpnn", F).double()
    alone.load_state_dict(plain.nodes.state_dict())
    x, e, g, adjacency, hidden, states = data()
    found = apply(plain, x, e, g, adjacency, hidden, states)[0]
    step = Step(x, g, Dense(built(e), N, adjacency))
    torch.testing.assert_close(found, alone(step, (hidden, None))[0], rtol=1e-12, atol=1e-12)
    # feeding the states to the messages is adding them to the encoded edges that messages see
    p = fed.nodes
    after = apply(fed, x, e, g, adjacency, hidden, states)[0]
    z, near = torch.cat([x, hidden], -1), adjacency if masked else torch.ones_like(adjacency)
    parts = p.edge(e) + fed.feed(states) + p.sender(z).unsqueeze(2) + p.receiver(z).unsqueeze(1)
    messages = p.message(parts + p.graph(g)[:, None, None])
    pooled = messages.masked_fill(~near.unsqueeze(-1), -1e6).amax(1)
    torch.testing.assert_close(after, p.norm(torch.relu(p.skip(z) + p.out(pooled))), rtol=1e-12, atol=1e-12)
    assert (after - apply(fed, x, e, g, adjacency, hidden, 0 * states)[0]).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["v2", "v3", "ppgn"])
def test_edge_states_carry_news_further_with_every_step_or_do_not(name):
    """What changes on edge 0 -> 1 is known to pair states that only recurrence can tell."""
    for recurrent in (True, False):
        torch.manual_seed(0)
        processor = processors.build(name, 8, recurrent=recurrent).double()
        x, e, g = torch.randn(1, 5, 8, dtype=F64), torch.randn(1, 5, 5, 8, dtype=F64), torch.randn(1, 8, dtype=F64)
        results = []
        for bump in (0.0, 2.0):
            first = e.clone()
            first[0, 0, 1] += bump
            state = processor.initial_state(1, 5, x)
            hidden, pairs = processor(Step(x, g, Dense(built(first), 5)), state)
            state = (0 * hidden, pairs)  # the news may come along pair states only
            results.append(processor(Step(x, g, Dense(built(e), 5)), state)[1])
        moved = (results[0] - results[1]).abs().amax(-1)[0] > 1e-9
        assert bool(moved.any()) == recurrent
        if recurrent and name == "v2":
            assert moved.nonzero().tolist() == [[0, 1]]
        elif recurrent:
            assert moved.sum() > 5


def test_masking_keeps_third_nodes_to_neighbours():
    processor = made(V3, masked=True)
    x, e, g, adjacency, hidden, states = data()
    found = apply(processor, x, e, g, adjacency, hidden, states)[1]
    b, w, u = (~adjacency).nonzero()[0].tolist()
    e[b, w, u] += 5.0
    states[b, w, u] += 5.0
    moved = (apply(processor, x, e, g, adjacency, hidden, states)[1] - found).abs().amax(-1) > 1e-9
    # left[w, u] is off; as right factor the pair serves those that w neighbours, as itself it is pair (w, u)
    for i, j in moved[b].nonzero().tolist():
        assert j == u and (adjacency[b, w, i] or i == w)
    free = made(V3)
    assert not torch.allclose(apply(free, *data())[1], apply(processor, *data())[1])


def test_directions_of_the_two_edges_of_a_triple():
    """A change of edge 2 -> 0 alone: by default it is the left one, into the first node; with `through`, 0 -> 2 is."""
    for through, edge in ((False, (2, 0)), (True, (0, 2))):
        processor = made(V3, through=through, recurrent=False)
        with torch.no_grad():
            for function in processor.functions[1:]:
                function.edge.weight.zero_()
        x, e, g, adjacency, hidden, _ = data()
        found = apply(processor, x, e, g, adjacency, hidden, None)[1]
        e[0, edge[0], edge[1]] += 20.0
        first = apply(processor, x, e, g, adjacency, hidden, None)[1]
        assert {u for u, _ in (first - found).abs().amax(-1)[0].gt(1e-9).nonzero().tolist()} == {0}


@pytest.mark.parametrize("options", [{}, {"feed_nodes": True}, {"masked": True, "gated": True}, {"recurrent": False}])
@pytest.mark.parametrize("name", ["v2", "v3", "ppgn"])
def test_every_option_learns(name, options):
    """All parameters get gradients that are numbers, over a rollout in which samples leave."""
    batch = draw(datasets.get("floyd_warshall"), 5, 4, seed=(1, 2), random_pos=True)
    largest: dict[str, float] = {}
    for seed in range(2):
        torch.manual_seed(seed)
        model = Reasoner.build("floyd_warshall", name, hidden=8, **options).train()
        total_loss(batch, model(batch)).backward()
        for key, parameter in model.processor.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), key
            largest[key] = max(largest.get(key, 0.0), parameter.grad.abs().max().item())
    # floyd_warshall has nothing on the graph as a whole
    assert {key for key, size in largest.items() if size == 0} == {k for k in largest if k.endswith("graph.weight")}


@pytest.mark.parametrize("name", ["v3", "ppgn"])
def test_states_stay_bounded_over_long_traces(name):
    processor = processors.build(name, 8)
    x, e, g = torch.randn(1, 6, 8), torch.randn(1, 6, 6, 8), torch.randn(1, 8)
    step = Step(x, g, Dense(built(e), 6))
    state = processor.initial_state(1, 6, x)
    with torch.no_grad():
        for _ in range(300):
            state = processor(step, state)
    assert all(part.isfinite().all() and part.abs().max() < 100 for part in state)


def test_settings_without_effect_are_errors():
    with pytest.raises(ValueError, match="feed_nodes=True has no effect without recurrent"):
        V3(4, recurrent=False, feed_nodes=True)
    with pytest.raises(ValueError, match="normalise=False has no effect on max_plus"):
        V3(4, normalise=False)
    with pytest.raises(ValueError, match="unknown semiring 'median'"):
        V3(4, semiring="median")
    with pytest.raises(ValueError, match="'ppgn' has no option 'semiring'"):
        processors.build("ppgn", 4, semiring="max_plus")
    assert V3(4, masked=True).uses_adjacency and not V3(4).uses_adjacency
