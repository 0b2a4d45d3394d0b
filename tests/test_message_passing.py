"""Layers of PyTorch Geometric as processors: which edges they get, with which features, and the documented example."""

import textwrap

import pytest
import torch
import torch_geometric.nn as pyg
from naive import F64, built
from torch import nn

from nar import processors
from nar.analysis.contract import check
from nar.analysis.contract.fixture import Fixture
from nar.config import Config
from nar.datasets import get
from nar.experiments import experiment
from nar.model.batch import draw
from nar.model.objectives.losses import total_loss
from nar.model.reasoner import Reasoner
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Step
from nar.nn.recurrent import LSTMAggregator
from nar.processors import message_passing
from nar.processors.message_passing import MessagePassing

B, N, F = 3, 4, 6


def data(seed=0):
    """An adjacency that is not symmetric, so that directions show."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((B, N, F), (B, N, N, F), (B, F), (B, N, F))
    x, e, g, hidden = (torch.randn(s, generator=generator, dtype=F64) for s in shapes)
    links = torch.rand(B, N, N, generator=generator) < 0.5
    return x, e, g, links | torch.eye(N, dtype=torch.bool), hidden


def apply(processor, x, e, g, adjacency, hidden):
    return processor(Step(x, g, Dense(built(e), N, adjacency)), hidden)


def made(seed=0, **options):
    torch.manual_seed(seed)
    return MessagePassing(F, **options).double()


class Weighted(pyg.MessagePassing):
    """Message s -> r: (A x_s) * (C e[s, r]), summed, beside B x_r."""

    def __init__(self, inputs, outputs, **options):
        super().__init__(aggr="sum", **options)
        self.sender, self.receiver = nn.Linear(inputs, outputs), nn.Linear(inputs, outputs)

    def forward(self, x, edge_index, edge_attr):
        return self.propagate(edge_index, x=x, edge_attr=edge_attr) + self.receiver(x)

    def message(self, x_j, edge_attr):
        return self.sender(x_j) * edge_attr


@pytest.mark.parametrize("options", [{}, {"complete": True}, {"self_loops": False, "skip": False}], ids=str)
@pytest.mark.parametrize("flow", ["source_to_target", "target_to_source"])
def test_equation(options, flow):
    p = made(layer=lambda inputs, outputs, edges: Weighted(inputs, outputs, flow=flow), **options)
    x, e, g, adjacency, hidden = data()
    found = apply(p, x, e, g, adjacency, hidden)
    near = torch.ones_like(adjacency) if options.get("complete") else adjacency
    expected = torch.empty_like(hidden)
    for b in range(B):
        z = torch.cat([x[b] + g[b], hidden[b]], -1)
        for r in range(N):
            total = p.layer.receiver(z[r])
            for s in range(N):
                if near[b, s, r] and (s != r or options.get("self_loops", True)):
                    total = total + p.layer.sender(z[s]) * p.edge(e[b, s, r])
            if p.skip is not None:
                total = total + p.skip(z[r])
            expected[b, r] = p.norm(torch.relu(total))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    assert p.uses_adjacency == (not options.get("complete"))


def test_messages_come_in_the_order_of_the_nodes():
    """A layer with an LSTM as its aggregation reads what RNAR reads."""
    sage = lambda inputs, outputs, edges: pyg.SAGEConv(inputs, outputs, aggr=LSTMAggregator(inputs, inputs))  # noqa: E731
    p = made(layer=sage, edges=False)
    x, e, g, adjacency, hidden = data()
    z = torch.cat([x + g.unsqueeze(1), hidden], -1)
    pooled = p.layer.aggr_module(z.unsqueeze(2).expand(-1, -1, N, -1), adjacency)
    expected = p.norm(torch.relu(p.layer.lin_l(pooled) + p.layer.lin_r(z) + p.skip(z)))
    torch.testing.assert_close(apply(p, x, e, g, adjacency, hidden), expected, rtol=1e-10, atol=1e-10)


LAYERS = ["GATConv", "GATv2Conv", "TransformerConv", "GINConv", "GINEConv", "GCNConv", "SAGEConv", "GraphConv"]
LAYERS += ["ResGatedGraphConv", "GeneralConv", "TAGConv"]
LAYERS += ["FiLMConv", "SuperGATConv", "ARMAConv", "SGConv"]


@pytest.mark.parametrize("name", LAYERS)
def test_layers_by_name(name):
    """Graph by graph as in a batch; renamed nodes, renamed results; all see features of edges, of those alone."""
    p = made(layer=f"torch_geometric.nn:{name}").eval()
    x, e, g, adjacency, hidden = data()
    found = apply(p, x, e, g, adjacency, hidden)
    one = [apply(p, *(t[b : b + 1] for t in (x, e, g, adjacency, hidden))) for b in range(B)]
    torch.testing.assert_close(found, torch.cat(one), rtol=1e-10, atol=1e-10)
    order = torch.tensor([2, 0, 3, 1])
    pairs = [t[:, order][:, :, order] for t in (e, adjacency)]
    renamed = apply(p, x[:, order], pairs[0], g, pairs[1], hidden[:, order])
    torch.testing.assert_close(renamed, found[:, order], rtol=1e-10, atol=1e-10)
    for changed, has_effect in ((adjacency.unsqueeze(-1), True), (~adjacency.unsqueeze(-1), False)):
        moved = apply(p, x, e + changed * torch.randn_like(e), g, adjacency, hidden)
        assert ((moved - found).abs().max() > 1e-6) == has_effect
    assert all(parameter.requires_grad for parameter in p.parameters())


def test_self_loops_keep_their_features():
    """GATv2Conv would put the mean of the other edges in their place."""
    p = made(layer=pyg.GATv2Conv)
    x, e, g, adjacency, hidden = data()
    found = apply(p, x, e, g, adjacency, hidden)
    e[:, 1, 1] += 1.0
    moved = (apply(p, x, e, g, adjacency, hidden) - found).abs().amax((0, 2)) > 1e-9
    assert moved.tolist() == [False, True, False, False]


def test_the_documented_example(tmp_path, monkeypatch):
    """The file of six lines: found by its address, trained by a step, with a head per share of the features."""
    text = (message_passing.__doc__ or "").split("processor of your own:\n\n")[1].split("\n\nLayers for")[0]
    (tmp_path / "own_layers.py").write_text(textwrap.dedent(text) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert processors.accepts("own_layers:MyGATProcessor").keys() == {"heads"}
    batch = draw(get("bfs"), 4, 5, seed=(1, 2), random_pos=True)
    torch.manual_seed(0)
    model = Reasoner.build("bfs", "own_layers:MyGATProcessor", hidden=8, heads=2)
    assert model.processor.layer.heads == 2 and model.processor.layer.edge_dim == 8
    total_loss(batch, model(batch)).backward()
    assert all(p.grad is not None for p in model.processor.parameters())


class Plain(pyg.MessagePassing):
    """Message s -> r: A x_s, with its axes before and behind that of the edges; the largest, by head."""

    def __init__(self, inputs, outputs, heads):
        super().__init__(aggr="max", node_dim=0 if heads else -2)
        self.heads, self.sender = heads, nn.Linear(inputs, outputs)

    def forward(self, x, edge_index):
        x = self.sender(x)
        if not self.heads:
            return self.propagate(edge_index, x=x)
        return self.propagate(edge_index, x=x.unflatten(-1, (self.heads, -1))).flatten(1)

    def message(self, x_j):
        return torch.tanh(x_j)


@pytest.mark.parametrize("heads", [0, 2])
def test_layers_without_edge_features_are_given_them_in_their_messages(heads):
    """Message s -> r: tanh(A x_s + C e[s, r]), wherever in a network the layer stands."""
    p = made(layer=lambda inputs, outputs, edges: pyg.Sequential(
        "x, edge_index", [(Plain(inputs, outputs, heads), "x, edge_index -> x"), nn.Identity()]
    ))  # fmt: skip
    x, e, g, adjacency, hidden = data()
    assert p.edge is None and p.uses_edges
    ((place, edge),) = p.added.items()
    plain = list(p.layer.modules())[int(place)]
    expected = torch.empty_like(hidden)
    for b in range(B):
        z = torch.cat([x[b] + g[b], hidden[b]], -1)
        for r in range(N):
            sent = [torch.tanh(plain.sender(z[s]) + edge(e[b, s, r])) for s in range(N) if adjacency[b, s, r]]
            expected[b, r] = p.norm(torch.relu(torch.stack(sent).amax(0) + p.skip(z[r])))
    torch.testing.assert_close(apply(p, x, e, g, adjacency, hidden), expected, rtol=1e-10, atol=1e-10)
    assert not plain._message_forward_pre_hooks


def test_networks_that_see_no_edges_say_so():
    for layer in (
        lambda inputs, outputs, edges: pyg.ChebConv(inputs, outputs, K=2),  # makes edges of its own
        lambda inputs, outputs, edges: pyg.GATConv(inputs, outputs),  # loops at the end instead of in their places
        "torch_geometric.nn:LEConv",  # sends no x_j
    ):
        with pytest.raises(ValueError, match=r"no place for features of edges.*add_self_loops=False.* edges=False"):
            made(layer=layer)
        p = made(layer=layer, edges=False)
        assert not p.uses_edges and p.edge is None and not p.added
        x, e, g, adjacency, hidden = data()
        assert torch.equal(*(apply(p.eval(), x, noise, g, adjacency, hidden) for noise in (e, e + 1)))


def test_training_and_its_report_say_what_is_never_seen(tmp_path, capsys):
    """`nar check` says it, too: tests/test_check.py."""
    options = ("layer=torch_geometric.nn:LEConv", "edges=False", "skip=False")
    settings = {"steps": 1, "hidden": 8, "eval_sizes": (4,), "eval_samples": 1, "threads": 1, "train_sizes": (4,)}
    name = "nar.processors.message_passing:MessagePassing"
    config = Config(algo=("bellman_ford",), processor=name, option=options, out=tmp_path / "run", **settings)
    experiment.train(config)
    said = "makes no use of features of edges: of bellman_ford, it never sees A"
    assert f"{name} {said}\n" in capsys.readouterr().err
    assert f"The processor {said}." in (tmp_path / "run" / "report.md").read_text()


def test_what_cannot_be_a_layer():
    for name, words in (
        ("torch_geometric.nn:MLP", "MLP in torch_geometric.nn is a type, not .*nor a layer of PyTorch Geometric"),
        ("torch_geometric.nn:SAGEKonv", "SAGEKonv in torch_geometric.nn is not found; did you mean .*nn:SAGEConv"),
        ("SAGEConv", "did you mean 'torch_geometric.nn:SAGEConv'"),
        ("torch_geometric.nn.SAGEConv", "did you mean 'torch_geometric.nn:SAGEConv'"),
        ("my_module.Mine", "did you mean 'my_module:Mine'"),
    ):
        with pytest.raises(ValueError, match=words):
            processors.find(name)
    for layer, message in (
        ("GATv2Conv", "'GATv2Conv' is not of the form module:Class"),
        ("torch_geometric.nn:GATv3Conv", "GATv3Conv in torch_geometric.nn is not found; did you mean .*:GATv2Conv"),
        ("torch_geometric.nn:MLP", "MLP is not a torch_geometric.nn.MessagePassing"),
        (
            "torch_geometric.nn:ChebConv",
            "ChebConv takes in_channels, out_channels, K, not in_channels",
        ),
        ("torch_geometric.nn:PointTransformerConv", "takes x, pos, edge_index; what there is are features of nodes"),
        ("torch_geometric.nn:EdgeConv", "EdgeConv takes nn"),
        (3, "layer is 3"),
    ):
        with pytest.raises(ValueError, match=message):
            MessagePassing(F, layer=layer)
    with pytest.raises(ValueError, match=r"GATv2Conv gives \(12, 12\) for 3 graphs of 4 nodes; a row of 6 features"):
        apply(made(layer=lambda inputs, outputs, edges: pyg.GATv2Conv(inputs, outputs, heads=2), edges=False), *data())
    with pytest.raises(ValueError, match="runs over edges, got SelfLoops"):
        x, e, g, _, hidden = data()
        made(layer=pyg.GCNConv)(Step(x, g, Dense(built(e), N).alone()), hidden)


def test_a_layer_stands_where_a_processor_does():
    """By its address, with the options of the processor that is made of it."""
    made = processors.build("torch_geometric.nn:SAGEConv", F, skip=False)
    assert isinstance(made, MessagePassing) and isinstance(made.layer, pyg.SAGEConv) and made.skip is None
    assert "layer" not in processors.accepts("torch_geometric.nn:SAGEConv")
    reasoner = Reasoner.build("bfs", "torch_geometric.nn:GCNConv", hidden=8, edges=False)
    assert not reasoner.processor.uses_edges


def test_what_is_added_to_messages_survives_torch_compile():
    outcome = check.run_one(Fixture(lambda features: MessagePassing(features, layer=pyg.GCNConv)), "compile")
    assert outcome.holds, outcome.text
