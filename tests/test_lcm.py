"""The learned monoid as a processor: formula, relations to MPNN and PGN, and the regulariser's way into the loss."""

import itertools

import naive
import pytest
import torch
from naive import F64, built
from torch import nn

from nar import datasets, processors
from nar.model.batch import draw
from nar.model.objectives.losses import losses, total_loss
from nar.model.reasoner import Reasoner
from nar.nn import neighbourhood
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Step

B, N, F = 3, 5, 4


class Maximum(nn.Module):
    def forward(self, a, b):
        return torch.maximum(a, b)


def made(kind="lcm", features=F, **options):
    torch.manual_seed(3)
    processor = processors.build(kind, features, **options).double()
    with torch.no_grad():
        for parameter in processor.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return processor


def data(nodes=N, features=F, seed=0):
    """x, e, g, a symmetric adjacency with self-loops, and a hidden state."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((B, nodes, features), (B, nodes, nodes, features), (B, features), (B, nodes, features))
    x, e, g, hidden = (torch.randn(s, generator=generator, dtype=F64) for s in shapes)
    links = torch.rand(B, nodes, nodes, generator=generator) < 0.3
    return x, e, g, links | links.transpose(1, 2) | torch.eye(nodes, dtype=torch.bool), hidden


def apply(processor, x, e, g, adjacency, hidden):
    step = Step(x, g, Dense(built(e), x.shape[1], adjacency))
    return processor(step, (hidden, None))[0], step.notes


def literal(p, x, e, g, adjacency, hidden):
    """Message by message, operator by operator; the docstrings of pgn.py and lcm.py are the source."""
    z, new = torch.cat([x, hidden], -1), torch.empty_like(hidden)
    cell = p.reduction.operator.of.cell

    def join(a, b):
        one, other = cell(a.unsqueeze(0), b.unsqueeze(0)), cell(b.unsqueeze(0), a.unsqueeze(0))
        return (0.5 * one + 0.5 * other).squeeze(0)

    for b, j in itertools.product(range(len(x)), range(x.shape[1])):
        level = []
        for i in range(x.shape[1]):
            if adjacency is None or adjacency[b, i, j]:
                u = p.receiver(z[b, j]) + p.sender(z[b, i]) + p.edge(e[b, i, j]) + p.graph(g[b])
                level.append(p.message.second(torch.relu(p.message.first(torch.relu(u)))))
        while len(level) > 1:
            joined = [join(level[k], level[k + 1]) for k in range(0, len(level) - 1, 2)]
            level = joined + level[len(level) - len(level) % 2 :]
        r = p.norm(torch.relu(p.skip(z[b, j]) + p.out(level[0])))
        if p.gate is not None:
            gate = torch.sigmoid(p.gate[2](torch.relu(p.gate[0](z[b, j]) + p.gate[1](level[0]))))
            r = gate * r + (1 - gate) * hidden[b, j]
        new[b, j] = r
    return new


@pytest.mark.parametrize("options", [{}, {"gated": True}, {"triplets": True}, {"layer_norm": False}])
@pytest.mark.parametrize("kind", ["lcm", "lcm_masked"])
def test_formula(kind, options):
    processor, (x, e, g, adjacency, hidden) = made(kind, **options), data()
    leaves = [t.requires_grad_() for t in (x, e, hidden)] + list(processor.reduction.parameters())
    found, _ = apply(processor, x, e, g, adjacency, hidden)
    plain = literal(processor, x, e, g, adjacency if kind == "lcm_masked" else None, hidden)
    torch.testing.assert_close(found, plain, rtol=1e-10, atol=1e-10)
    gradients = [torch.autograd.grad(v.sin().sum(), leaves) for v in (found, plain)]
    for ours, other in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-10, atol=1e-10)
        assert other.abs().max() > 1e-6


@pytest.mark.parametrize("nodes", [2, 3, 5])
def test_renaming_nodes_is_exact_for_two_and_within_the_error_of_associativity_for_more(nodes):
    order = torch.arange(nodes).roll(1)

    def difference(processor):
        x, e, g, _, hidden = data(nodes)
        after, _ = apply(processor, x, e, g, None, hidden)
        renamed, _ = apply(processor, x[:, order], e[:, order][:, :, order], g, None, hidden[:, order])
        return (renamed - after[:, order]).abs().max()

    learned, exact = difference(made()), difference(made(operator=Maximum()))
    assert exact < 1e-12
    assert learned < 1e-12 if nodes == 2 else learned > 1e-4


@pytest.mark.parametrize(("kind", "plain"), [("lcm", "mpnn"), ("lcm_masked", "pgn")])
def test_with_the_maximum_as_operator_it_is_message_passing(kind, plain):
    ours, theirs = made(kind, operator=Maximum(), gated=True), made(plain, gated=True)
    ours.load_state_dict(theirs.state_dict())
    values = data()
    torch.testing.assert_close(apply(ours, *values)[0], apply(theirs, *values)[0], rtol=1e-12, atol=1e-12)


def test_receivers_in_groups_give_the_same(monkeypatch):
    """Without gradients, large messages are made for a few receivers at a time."""
    for kind in ("lcm", "lcm_masked"):
        processor, values = made(kind), data()
        with torch.no_grad():
            whole, _ = apply(processor, *values)
            monkeypatch.setattr(neighbourhood, "CHUNK_BYTES", 2 * B * N * F * 8)
            torch.testing.assert_close(apply(processor, *values)[0], whole, rtol=1e-12, atol=1e-12)
            monkeypatch.undo()


@pytest.fixture(scope="module")
def batch():
    return draw(datasets.get("bfs"), 5, 4, seed=(1, 2), random_pos=True)


def reasoner(**options):
    torch.manual_seed(0)
    return Reasoner.build("bfs", "lcm", hidden=8, **options).double()


@pytest.mark.parametrize("options", [{"associativity": 0.5}, {"operator": "ordered_mlp", "commutativity": 0.5}])
def test_the_regulariser_is_a_part_of_the_loss(batch, options):
    model = reasoner(**options)
    torch.manual_seed(1)
    rollout = model.train()(batch)
    found = losses(batch, rollout)
    penalty = found.pop("penalty monoid laws")
    torch.testing.assert_close(total_loss(batch, rollout), torch.stack([*found.values()]).sum() + penalty)
    gradients = torch.autograd.grad(penalty, list(model.processor.reduction.parameters()))
    assert all(g.abs().max() > 0 for g in gradients)
    law = next(name for name in options if name != "operator")
    doubled = reasoner(**(options | {law: 1.0})).train()
    torch.manual_seed(1)
    torch.testing.assert_close(losses(batch, doubled(batch))["penalty monoid laws"], 2 * penalty)
    assert model.processor.reduction.penalty is None  # handed on, not kept
    with torch.no_grad():
        assert not model.eval()(batch).penalties
    assert not reasoner().train()(batch).penalties  # no weight, no penalty


@pytest.mark.parametrize("operator", ["mlp", "mapped_sum", "ordered_gru", "ordered_mlp"])
def test_every_operator_learns(batch, operator):
    model = reasoner(operator=operator, random_order=True).train()
    total_loss(batch, model(batch)).backward()
    for name, parameter in model.processor.reduction.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 1e-12, name


def test_training_lowers_the_loss(batch):
    model = reasoner(associativity=0.1).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    found = []
    for _ in range(30):
        loss = total_loss(batch, model(batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    assert found[-1] < 0.5 * found[0]


def test_parameters_are_stored_once():
    model = reasoner()
    names = [name for name in model.processor.state_dict() if "weight_ih" in name]
    assert names == ["reduction.operator.of.cell.weight_ih"]
    naive_batch = sum(p.numel() for p in model.processor.parameters())
    mpnn = sum(p.numel() for p in processors.build("mpnn", 8).parameters())
    assert naive_batch - mpnn == 6 * 8 * 8 + 6 * 8


def test_options_that_have_no_effect_are_refused():
    for options, message in (
        ({"commutativity": 1.0}, "commutativity 1.0 has no effect"),
        ({"reduction": "sum"}, "no option 'reduction'"),
        ({"operator": "lstm"}, "unknown operator 'lstm'"),
    ):
        with pytest.raises(ValueError, match=message):
            processors.build("lcm", F, **options)


def test_rollouts_do_not_depend_on_the_batch(batch):
    """Graphs are dropped from the batch as they finish; what the others get stays the same."""
    model = reasoner().eval()
    with torch.no_grad():
        together = model(batch).outputs["pi"]
    plain = naive.rollout(model, batch)
    torch.testing.assert_close(together, plain.outputs["pi"], rtol=1e-9, atol=1e-9)
