"""The contract of processors, over the whole table: a new processor is tested by its line there.

Formulas are checked against literal ones for the classes that nar ships; everything else asks the processor only.
"""

import copy
import itertools
import sys

import numpy as np
import pytest
import torch
from naive import F64, built
from torch.nn.functional import leaky_relu

from nar import datasets, processors
from nar.analysis.contract import check
from nar.analysis.contract.fixture import Fixture
from nar.evaluation.evaluate import evaluate
from nar.model.batch import draw
from nar.model.objectives.losses import total_loss
from nar.model.reasoner import Reasoner
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Processor, Step
from nar.nn.reductions import max_plus
from nar.processors.deepsets import DeepSets
from nar.processors.gat import GAT
from nar.processors.gatv2 import GATv2
from nar.processors.mpnn import MPNN
from nar.processors.pgn import PGN

EVERY = processors.names()
CLRS = (PGN, MPNN, DeepSets, GAT, GATv2)  # dm-clrs's own, whose equations are written out here once more
LITERAL = [name for name in EVERY if processors.find(name)[0] in CLRS]
GATED = [name for name in LITERAL if getattr(processors.build(name, 4), "gate", None) is not None]
B, N, F = 3, 5, 4
SIGMOID_3 = 0.0474  # sigmoid(-3)


def made(kind, features=F, **options):
    torch.manual_seed(3)
    processor = processors.build(kind, features, **options).double()
    with torch.no_grad():
        for name, parameter in processor.named_parameters():
            if parameter.dim() == 1 and not name.startswith("gate.2"):
                parameter += 0.3 * torch.randn_like(parameter)
    return processor


def data(features=F, seed=0):
    """x, e, g, a symmetric adjacency with self-loops, and a hidden state."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((B, N, features), (B, N, N, features), (B, features), (B, N, features))
    x, e, g, hidden = (torch.randn(s, generator=generator, dtype=F64) for s in shapes)
    links = torch.rand(B, N, N, generator=generator) < 0.3
    return x, e, g, links | links.transpose(1, 2) | torch.eye(N, dtype=torch.bool), hidden


def state_with(processor, hidden):
    """A state whose first part is the given hidden one."""
    state = processor.initial_state(len(hidden), hidden.shape[1], hidden)
    return (hidden, *state[1:]) if isinstance(state, tuple) else hidden


def hidden_of(state):
    return state[0] if isinstance(state, tuple) else state


def apply(processor, x, e, g, adjacency, hidden, layout=Dense):
    return processor(Step(x, g, layout(built(e), x.shape[1], adjacency)), state_with(processor, hidden))


# Formulas


def literal_pgn(p, x, e, g, adjacency, hidden):
    """Node state and edge state, message by message; the docstring of processors/pgn.py is the source."""
    name, nodes = type(p).__name__, x.shape[1]
    adjacency = {
        "MPNN": torch.ones_like(adjacency),
        "DeepSets": torch.eye(nodes, dtype=torch.bool).expand_as(adjacency),
    }.get(name, adjacency)
    z = torch.cat([x, hidden], -1)
    new = torch.empty_like(hidden)
    for b, j in itertools.product(range(len(x)), range(nodes)):
        messages = []
        for i in range(nodes):
            u = p.receiver(z[b, j]) + p.sender(z[b, i]) + p.edge(e[b, i, j]) + p.graph(g[b])
            m = p.message.second(torch.relu(p.message.first(torch.relu(u))))
            if adjacency[b, i, j]:
                messages.append(m)
        stacked = torch.stack(messages)
        pooled = {"max": stacked.max(0).values, "sum": stacked.sum(0), "mean": stacked.sum(0) / len(messages)}[
            p.reduction
        ]
        r = p.norm(torch.relu(p.skip(z[b, j]) + p.out(pooled)))
        if p.gate is not None:
            gate = torch.sigmoid(p.gate[2](torch.relu(p.gate[0](z[b, j]) + p.gate[1](pooled))))
            r = gate * r + (1 - gate) * hidden[b, j]
        new[b, j] = r
    if p.triplets is None:
        return new, None
    t = p.triplets
    first, second, third = (layer(z) for layer in t.nodes)
    ij, ik, jk = (layer(e) for layer in t.edges)
    tau = first[:, :, None, None] + second[:, None, :, None] + third[:, None, None, :]
    tau = tau + ij[:, :, :, None] + ik[:, :, None, :] + jk[:, None, :, :] + t.graph(g)[:, None, None, None]
    return new, torch.relu(t.out(tau.amax(1)))


def literal_gat(p, x, e, g, adjacency, hidden):
    if not p.uses_adjacency:
        adjacency = torch.ones_like(adjacency)
    z, nodes = torch.cat([x, hidden], -1), x.shape[1]
    new = torch.empty_like(hidden)
    for b, i in itertools.product(range(len(x)), range(nodes)):
        logits = []
        for j in range(nodes):
            if isinstance(p, GAT):
                logit = leaky_relu(p.receiver(z[b, i]) + p.sender(z[b, j]) + p.edge(e[b, i, j]) + p.graph(g[b]), 0.01)
            else:
                q = p.sender(z[b, j]) + p.receiver(z[b, i]) + p.edge(e[b, i, j]) + p.graph(g[b])
                parts = leaky_relu(q, 0.01).chunk(len(p.heads))
                logit = torch.cat([head(part) for head, part in zip(p.heads, parts, strict=True)])
            logits.append(logit + (0.0 if adjacency[b, i, j] else -1e9))
        weights = torch.softmax(torch.stack(logits), 0)  # over senders, [N, heads]
        values = p.value(z[b]).unflatten(-1, (weights.shape[1], -1))
        pooled = (weights.unsqueeze(-1) * values).sum(0).flatten()
        new[b, i] = p.norm(torch.relu(pooled + p.skip(z[b, i])))
    return new, None


OPTIONS = {
    PGN: [{}, {"reduction": "mean"}, {"reduction": "sum"}, {"layer_norm": False}, {"triplet_features": 3}],
    GAT: [{}, {"heads": 2}, {"layer_norm": False}],
    GATv2: [{}, {"heads": 2}],
}


@pytest.mark.parametrize("kind", LITERAL)
def test_formulas(kind):
    family = next(c for c in OPTIONS if issubclass(processors.find(kind)[0], c))
    literal = literal_pgn if family is PGN else literal_gat
    for options in OPTIONS[family]:
        if "triplet_features" in options and "triplet" not in kind:
            continue
        processor = made(kind, **options)
        x, e, g, adjacency, hidden = data()
        found = apply(processor, x, e, g, adjacency, hidden)
        node, edge = literal(processor, x, e, g, adjacency, hidden)
        torch.testing.assert_close(hidden_of(found), node, rtol=1e-10, atol=1e-10, msg=lambda m, o=options: f"{o}: {m}")
        assert (edge is None) == (processor.edge_readout == 0)
        if edge is not None:
            torch.testing.assert_close(processor.edge_states(found[1]).dense(), edge, rtol=1e-10, atol=1e-10)


# The contract, the same for a user's class


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("name", [name for name in check.CHECKS if name != "compile"])
def test_contract(name, kind):
    outcome = check.run_one(Fixture(lambda features: processors.build(kind, features), kind), name)
    assert outcome.holds or (name == "padding" and not processors.build(kind, 8).uses_adjacency), outcome.text


@pytest.mark.parametrize("kind", ["triplet_gpgn_mask", "gatv2_full"])
def test_torch_compile_takes_them(kind):
    outcome = check.run_one(Fixture(lambda features: processors.build(kind, features), kind), "compile")
    assert outcome.holds, outcome.text


@pytest.mark.parametrize("kind", EVERY)
def test_every_processor_says_what_it_is(kind):
    found, _ = processors.find(kind)
    assert found.__doc__ and sys.modules[found.__module__].__doc__


@pytest.mark.parametrize("kind", LITERAL)
def test_declarations(kind):
    processor = made(kind)
    assert processor.cost == ("N^3" if "triplet" in kind else "N" if kind == "deepsets" else "N^2")
    assert processor.masks_decoders == kind.endswith("_mask")
    assert processor.permutation_equivariant and processor.uses_history
    assert processor.uses_adjacency == ("pgn" in kind or kind in ("gat", "gatv2"))


@pytest.mark.parametrize("kind", LITERAL)
def test_direction_of_an_edge(kind):
    """Features on the edge 0 -> 1 alone reach node 1 in the PGN family and node 0 in the GAT family, as in dm-clrs."""
    processor = made(kind, 8)
    x, e, g, _, hidden = data(8)
    e = torch.zeros_like(e)
    plain = hidden_of(apply(processor, x, e, g, None, hidden))
    e[:, 0, 1] = 3.0
    moved = (hidden_of(apply(processor, x, e, g, None, hidden)) - plain).abs().amax((0, 2)) > 1e-9
    reached = [] if kind == "deepsets" else [0] if kind.startswith("gat") else [1]
    assert moved.nonzero().flatten().tolist() == reached
    e = torch.zeros_like(e)
    e[:, 2, 2] = 3.0
    moved = (hidden_of(apply(processor, x, e, g, None, hidden)) - plain).abs().amax((0, 2)) > 1e-9
    assert moved.nonzero().flatten().tolist() == [2]


@pytest.mark.parametrize("kind", GATED)
def test_the_gate_starts_almost_closed_and_can_close(kind):
    processor = made(kind, 64)
    ungated = copy.deepcopy(processor)
    ungated.gate = None
    x, e, g, adjacency, hidden = data(64)
    after = apply(processor, x, e, g, adjacency, hidden)[0]
    update = apply(ungated, x, e, g, adjacency, hidden)[0]
    gate = (after - hidden) / (update - hidden)
    assert ((gate > 0) & (gate < 1)).all()
    assert SIGMOID_3 / 2 < gate.median() < 2 * SIGMOID_3
    with torch.no_grad():
        processor.gate[2].weight.zero_()
    gate = (apply(processor, x, e, g, adjacency, hidden)[0] - hidden) / (update - hidden)
    torch.testing.assert_close(gate, torch.full_like(gate, -3.0).sigmoid())
    with torch.no_grad():
        processor.gate[2].bias.fill_(-1e9)
    assert apply(processor, x, e, g, adjacency, hidden)[0].equal(hidden)


def test_gated_kinds_are_those_named_so():
    assert {kind for kind in LITERAL if kind.removeprefix("triplet_") in ("gmpnn", "gpgn", "gpgn_mask")} == set(GATED)


# Relations between processors


def twin(kind, other, **options):
    """Two processors with the same parameters."""
    one, two = made(kind, **options), made(other, **options)
    two.load_state_dict(one.state_dict())
    return one, two


@pytest.mark.parametrize("options", [{}, {"reduction": "mean"}, {"layer_norm": False}])
def test_deep_sets_is_pgn_without_edges(options):
    sets, pgn = twin("deepsets", "pgn", **options)
    x, e, g, _, hidden = data()
    eye = torch.eye(N, dtype=torch.bool).expand(B, N, N)
    torch.testing.assert_close(
        apply(sets, x, e, g, None, hidden)[0], apply(pgn, x, e, g, eye, hidden)[0], rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize(
    ("everyone", "neighbours"),
    [
        ("mpnn", "pgn"),
        ("gmpnn", "gpgn"),
        ("triplet_gmpnn", "triplet_gpgn"),
        ("gat_full", "gat"),
        ("gatv2_full", "gatv2"),
    ],
)
def test_on_the_complete_graph_everyone_is_a_neighbour(everyone, neighbours):
    one, two = twin(everyone, neighbours)
    x, e, g, adjacency, hidden = data()
    complete = torch.ones(B, N, N, dtype=torch.bool)
    found = apply(one, x, e, g, adjacency, hidden), apply(two, x, e, g, complete, hidden)
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-12)


def test_masked_kinds_differ_in_their_decoders_only():
    one, two = twin("triplet_gpgn", "triplet_gpgn_mask")
    x, e, g, adjacency, hidden = data()
    torch.testing.assert_close(apply(one, x, e, g, adjacency, hidden), apply(two, x, e, g, adjacency, hidden))


# Learning


@pytest.fixture(scope="module")
def dag_batch():
    """An algorithm with graph features, pointers, masks, a mask_one and categories."""
    return draw(datasets.get("dag_shortest_paths"), 6, 4, seed=(1, 2), random_pos=True, p=(0.5,))


@pytest.mark.by_form
@pytest.mark.parametrize("kind", LITERAL)
def test_every_parameter_of_a_model_learns(kind, dag_batch):
    largest: dict[str, float] = {}
    for seed in range(3):  # GAT's receiver map has no effect where all logits of a receiver have one sign, as by chance
        torch.manual_seed(seed)
        model = Reasoner.build("dag_shortest_paths", kind, hidden=8).double().train()
        total_loss(dag_batch, model(dag_batch)).backward()
        for name, parameter in model.named_parameters():
            size = 0.0 if parameter.grad is None else parameter.grad.abs().max().item()
            largest[name] = max(size, largest.get(name, 0.0))
    # Softmax does not see what is added to all its logits: a bias just before one has no effect, hence no gradient.
    before_softmax = {"pointer": "3.bias", "mask_one": "0.bias"}
    idle = {
        f"decoders.dag_shortest_paths.maps.{name}.{before_softmax[probe.type]}"
        for name, probe in dag_batch.spec.items()
        if probe.stage != "input" and probe.type in before_softmax
    }
    idle |= {name for name in largest if name.startswith("processor.heads") and name.endswith("bias")}  # GATv2's
    if model.processor.masks_decoders:  # unless other logits are put in the place of some of them
        idle = {name for name in idle if not name.endswith("3.bias")}
        largest = {name: size for name, size in largest.items() if not name.endswith("3.bias")}
    assert {name for name, size in largest.items() if size < 1e-12} == idle


@pytest.mark.parametrize("algorithm", ["bellman_ford", "bfs", "dijkstra", "mst_prim", "dag_shortest_paths"])
def test_an_untrained_model_knows_nothing(algorithm):
    """A score far above 1/n without training means that the answer leaks into the input."""
    textbook = datasets.get(algorithm)
    draws = np.random.RandomState(5)
    traces = [textbook.run(**textbook.sample(draws, 32)) for _ in range(3)]
    scores = []
    for seed, kind in enumerate(("mpnn", "triplet_gmpnn", "pgn", "gat")):
        torch.manual_seed(seed)
        model = Reasoner.build(algorithm, kind, hidden=8)
        scores.append(evaluate(model, textbook, traces).score)
    assert sum(scores) / len(scores) < 0.2, scores


# The table


def test_options_are_checked_by_name():
    for name, option in (
        ("mpnn", "heads"),
        ("gat", "triplet_features"),
        ("triplet_gmpnn", "gated"),
        ("gat_full", "complete"),
    ):
        with pytest.raises(ValueError, match=f"{name}.*no option '{option}'"):
            processors.build(name, 8, **{option: 2})
    with pytest.raises(ValueError, match="triplet_features 4 has no effect without triplets"):
        processors.build("mpnn", 8, triplet_features=4)
    with pytest.raises(ValueError, match="8 cannot be split over 3 heads"):
        processors.build("gat", 8, heads=3)
    with pytest.raises(ValueError, match="did you mean 'mpnn'"):
        processors.build("mpn", 8)
    with pytest.raises(ValueError, match="unknown reduction 'median'"):
        x, e, g, adjacency, hidden = data()
        apply(made("pgn", reduction="median"), x, e, g, adjacency, hidden)


def test_processors_of_your_own(tmp_path, monkeypatch, dag_batch):
    """The example in nar/nn/processor.py, found by module and class, trained and scored like any other."""
    from nar.nn import processor as process

    example = (process.__doc__ or "").split("minimal one:\n\n")[1].split("\n\nShapes")[0]
    source = "import torch\nfrom torch import Tensor, nn\nfrom nar.nn.processor import Processor, Step\n\nNUMBER = 3\n"
    source += "\n".join(line[4:] for line in example.splitlines()) + "\n"
    (tmp_path / "own_processors.py").write_text(source)
    (tmp_path / "needs_more.py").write_text("import a_module_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    torch.manual_seed(0)
    model = Reasoner.build("dag_shortest_paths", "own_processors:Mean", hidden=8).double()
    assert isinstance(model.processor, Processor)
    total_loss(dag_batch, model(dag_batch)).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.processor.parameters())
    for name, message in (
        ("own_processors:Median", "Median in own_processors is not found"),
        ("own_processors:NUMBER", "NUMBER in own_processors is a int, not a subclass of nar.Processor"),
        ("own_processors:nn", "not a subclass"),
        ("not_a_module:Mean", "no module named 'not_a_module'"),
        ("own_processors.deeper:Mean", "no module named"),
    ):
        with pytest.raises(ValueError, match=message):
            processors.build(name, 8)
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):  # their mistake keeps its traceback
        processors.build("needs_more:Mean", 8)
    with pytest.raises(ValueError, match="no option 'gated'"):
        processors.build("own_processors:Mean", 8, gated=True)


# Neighbourhoods, as authors of processors use them


def test_operations_of_the_dense_layout():
    x, e, g, adjacency, _ = data()
    layer = torch.nn.Linear(F, F).double()
    hood = Dense(built(e), N, adjacency)
    parts = hood.senders(x) + 2 * hood.receivers(x) + hood.edges(layer) + hood.graph(g)
    for b, i, j in itertools.product(range(B), range(N), range(N)):
        torch.testing.assert_close(parts[b, i, j], x[b, i] + 2 * x[b, j] + layer(e[b, i, j]) + g[b])
    turned = hood.reverse()
    torch.testing.assert_close(turned.edges(layer), layer(e).transpose(1, 2))
    one_way = adjacency.clone()
    one_way[:, 0, 1] = ~one_way[:, 0, 1]
    assert Dense(built(e), N, one_way).reverse().adjacency_BNN.equal(one_way.transpose(1, 2))
    assert hood.complete().adjacency_BNN is None
    for how in ("max", "sum", "mean"):
        found = hood.reduce(parts, how)
        for b, j in itertools.product(range(B), range(N)):
            chosen = parts[b, adjacency[b, :, j], j]
            expected = {"max": chosen.amax(0), "sum": chosen.sum(0), "mean": chosen.mean(0)}[how]
            torch.testing.assert_close(found[b, j], expected)


@pytest.mark.parametrize("how", ["max", "sum", "mean"])
def test_messages_of_senders_alone_are_reduced_for_every_receiver(how):
    x, e, *_ = data()
    hood = Dense(built(e), N)
    expected = {"max": x.amax(1), "sum": x.sum(1), "mean": x.mean(1)}[how]
    torch.testing.assert_close(hood.reduce(hood.senders(x), how), expected.unsqueeze(1).expand(B, N, F))


def test_attention_weighs_neighbours_only():
    x, e, _, adjacency, _ = data()
    logits = torch.randn(B, N, N, 2, dtype=F64)
    found = Dense(built(e), N, adjacency).attend(logits, x)
    for b, j in itertools.product(range(B), range(N)):
        near = adjacency[b, :, j]
        weights = torch.softmax(logits[b, near, j], 0)
        heads = [(weights[:, h : h + 1] * x[b, near, 2 * h : 2 * h + 2]).sum(0) for h in range(2)]
        torch.testing.assert_close(found[b, j], torch.cat(heads))


def test_triplets_are_a_max_plus_product():
    left, right = torch.randn(2, 3, 4, 5, dtype=F64), torch.randn(2, 3, 6, 5, dtype=F64)
    product = max_plus(left, right)
    for b, j, k, f in itertools.product(range(2), range(4), range(6), range(5)):
        assert product[b, j, k, f] == max(left[b, i, j, f] + right[b, i, k, f] for i in range(3))


def test_options_of_the_command_line_are_of_the_kind_of_their_defaults():
    from nar.processors import options_from

    assert options_from("rnar", ["masked=false", "layers=2", "cell=gru"]) == {
        "masked": False,
        "layers": 2,
        "cell": "gru",
    }
    assert options_from("mpnn", ["gated=True"]) == {"gated": True}
    for words, message in (
        (["masked=maybe"], "--option masked of rnar takes a bool, as False, got 'maybe'"),
        (["layers=x"], "--option layers of rnar takes a int, as 1, got 'x'"),
        (["layers=True"], "takes a int"),
        (["masked"], "--option takes name=value, got 'masked'"),
        (["masked=True", "masked=False"], "--option masked is given twice"),
    ):
        with pytest.raises(ValueError, match=message):
            options_from("rnar", words)
    with pytest.raises(ValueError, match="takes a tuple"):
        options_from("discrete", ["temperature=3"])
