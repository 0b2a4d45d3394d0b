"""ForgetNet has no memory, G-ForgetNet lies between it and its baseline, and pays for the distance."""

import itertools
import json

import naive
import pytest
import torch
from naive import F64, built

from nar import processors
from nar.config import Config
from nar.experiments.experiment import train
from nar.model.objectives.losses import losses, total_loss
from nar.model.reasoner import Reasoner
from nar.nn.neighbourhood import Dense
from nar.nn.processor import Step

B, N, F = 3, 5, 4
LENGTHS = [5, 3, 2, 2, 1]


def made(kind, features=F, **options):
    """In double precision, with biases that are not zero."""
    torch.manual_seed(3)
    processor = processors.build(kind, features, **options).double()
    with torch.no_grad():
        for parameter in processor.parameters():
            if parameter.dim() == 1:
                parameter += 0.3 * torch.randn_like(parameter)
    return processor


def step_and_hidden(features=F, progress=1.0):
    generator = torch.Generator().manual_seed(0)
    shapes = ((B, N, features), (B, N, N, features), (B, features), (B, N, features))
    x, e, g, hidden = (torch.randn(shape, generator=generator, dtype=F64) for shape in shapes)
    return Step(x, g, Dense(built(e), N), progress=progress), e, hidden


def literal(network, z, e, g):
    """Triplet-MPNN without a gate, message by message: the equations of processors/pgn.py for any z."""
    new = torch.empty(B, N, F, dtype=F64)
    for b, j in itertools.product(range(B), range(N)):
        parts = [network.sender(z[b, i]) + network.edge(e[b, i, j]) for i in range(N)]
        parts = torch.stack(parts) + network.receiver(z[b, j]) + network.graph(g[b])
        messages = network.message.second(torch.relu(network.message.first(torch.relu(parts))))
        pooled = messages.max(0).values
        new[b, j] = network.norm(torch.relu(network.skip(z[b, j]) + network.out(pooled)))
    t = network.triplets
    first, second, third = (layer(z) for layer in t.nodes)
    ij, ik, jk = (layer(e) for layer in t.edges)
    tau = first[:, :, None, None] + second[:, None, :, None] + third[:, None, None, :]
    tau = tau + ij[:, :, :, None] + ik[:, :, None, :] + jk[:, None, :, :] + t.graph(g)[:, None, None, None]
    return new, torch.relu(t.out(tau.amax(1)))


def test_forgetnet_is_its_equations():
    processor = made("forgetnet")
    step, e, hidden = step_and_hidden()
    node, edge = literal(processor.network, step.nodes, e, step.graph)
    found = processor(step, (hidden, None))
    torch.testing.assert_close(found[0], node, rtol=1e-10, atol=1e-10)
    readout = processor.readout(step, (hidden, None), found)
    assert readout.nodes.equal(found[0])
    torch.testing.assert_close(readout.edges.dense(), edge, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("triplets", [True, False])
def test_forgetnet_does_not_see_its_state(triplets):
    """Neither processor nor decoders: noise, or no number at all, in the place of the last state changes nothing."""
    processor = made("forgetnet", triplets=triplets)
    step, _, hidden = step_and_hidden()
    states = [processor.initial_state(B, N, hidden), (hidden, None), (torch.full_like(hidden, torch.nan), None)]
    shown = [processor.readout(step, state, processor(step, state)) for state in states]
    for other in shown[1:]:
        assert other.nodes.equal(shown[0].nodes)
        assert other.edges is None if not triplets else other.edges.dense().equal(shown[0].edges.dense())
    assert (shown[0].edges is not None) == triplets


def test_forgetnet_rolled_out_with_noise_for_a_state():
    model, batch = reasoner("forgetnet"), naive.random_batch(LENGTHS)
    plain = model(batch, gumbel=False)
    forward = model.processor.forward
    model.processor.forward = lambda step, state: forward(step, (torch.randn_like(state[0]), None))
    assert_same(model(batch, gumbel=False), plain, tolerance=0)
    model = reasoner("g_forgetnet")  # the same of a processor that does see it: the comparison can fail
    plain = model(batch, gumbel=False)
    forward = model.processor.forward
    model.processor.forward = lambda step, state: forward(step, (torch.randn_like(state[0]), *state[1:]))
    with pytest.raises(AssertionError):
        assert_same(model(batch, gumbel=False), plain, tolerance=1e-3)


# Between ForgetNet and the baseline


def reasoner(kind, **options):
    torch.manual_seed(7)
    model = Reasoner({"everything": naive.everything()}, made(kind, **options)).double().train()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter += 0.3 * torch.randn_like(parameter)
    return model


def assert_same(one, other, tolerance=1e-10):
    pairs = [(one.outputs, other.outputs), *zip(one.hints, other.hints, strict=True)]
    for found, expected in pairs:
        assert found.keys() == expected.keys()
        for name in found:
            torch.testing.assert_close(found[name], expected[name], rtol=tolerance, atol=tolerance)


def gradients(model, loss):
    found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    return {n: g for (n, _), g in zip(model.named_parameters(), found, strict=True)}


def with_gate(value, **options):
    """A G-ForgetNet whose gate is `value` (0 or 1) everywhere, exactly."""
    model = reasoner("g_forgetnet", penalty=0.0, **options)
    with torch.no_grad():
        model.processor.history_gate[2].weight.zero_()
        model.processor.history_gate[2].bias.fill_(1e9 * (2 * value - 1))
    return model


@pytest.mark.parametrize("options", [{}, {"triplets": False}, {"show_history": False}])
def test_with_a_closed_gate_it_is_forgetnet(options):
    gated, batch = with_gate(0, **options), naive.random_batch(LENGTHS)
    shared = {n: v for n, v in options.items() if n != "show_history"}
    plain = reasoner("forgetnet", **shared)

    def cut(full, shape):
        """Of maps of [x | H] and of [x | G H | H'], the columns that ForgetNet has."""
        if full.shape == shape:
            return full
        assert full.shape[1] - shape[1] == F
        return torch.cat([full[:, :F], full[:, 2 * F :]], dim=1)

    own = {n: v for n, v in gated.state_dict().items() if "history_gate" not in n}
    plain.load_state_dict({n: cut(own[n], v.shape) for n, v in plain.state_dict().items()})
    ours, theirs = gated(batch, gumbel=False), plain(batch, gumbel=False)
    assert_same(ours, theirs)
    found = gradients(gated, total_loss(batch, ours))
    for name, gradient in gradients(plain, total_loss(batch, theirs)).items():
        if gradient is None:
            assert found[name] is None
            continue
        scale = max(1.0, gradient.abs().max().item())
        torch.testing.assert_close(cut(found[name], gradient.shape), gradient, rtol=1e-10, atol=1e-10 * scale)


def test_with_an_open_gate_it_is_the_baseline():
    gated, baseline, batch = with_gate(1), reasoner("triplet_mpnn"), naive.random_batch(LENGTHS)

    def renamed(values):
        return {n.replace("processor.network.", "processor."): v for n, v in values.items() if "history_gate" not in n}

    baseline.load_state_dict(renamed(gated.state_dict()))
    ours, theirs = gated(batch, gumbel=False), baseline(batch, gumbel=False)
    assert_same(ours, theirs)
    found = renamed(gradients(gated, total_loss(batch, ours)))
    for name, gradient in gradients(baseline, total_loss(batch, theirs)).items():
        scale = max(1.0, 0.0 if gradient is None else gradient.abs().max().item())
        torch.testing.assert_close(found[name], gradient, rtol=1e-10, atol=1e-10 * scale)
    assert (gated.processor.node_readout, gated.processor.edge_readout) == (2 * F, F)


def test_a_gate_between_is_its_equations():
    processor = made("g_forgetnet")
    step, e, hidden = step_and_hidden()
    gate = torch.empty_like(hidden)
    for b, i in itertools.product(range(B), range(N)):
        inner = torch.relu(processor.history_gate[0](torch.cat([step.nodes[b, i], hidden[b, i]])))
        gate[b, i] = torch.sigmoid(processor.history_gate[2](inner))
    assert gate.min() > 0 and gate.max() < 1 and gate.std() > 0.02  # per node and feature
    node, edge = literal(processor.network, torch.cat([step.nodes, gate * hidden], -1), e, step.graph)
    state = processor.initial_state(B, N, hidden)
    after = processor(step, (hidden, *state[1:]))
    readout = processor.readout(step, state, after)
    for found, expected in ((after[0], node), (readout.edges.dense(), edge), (after[2], gate * hidden)):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(readout.nodes, torch.cat([gate * hidden, node], -1), rtol=1e-10, atol=1e-10)
    (measured,) = step.notes.measures["gate"]
    torch.testing.assert_close(measured, gate.mean((1, 2)))


@pytest.mark.parametrize(("bias", "mean"), [(0.0, 0.5), (-3.0, 0.0474)])
def test_where_the_gate_starts(bias, mean):
    torch.manual_seed(0)
    processor = processors.build("g_forgetnet", 64, gate_bias=bias)
    step = Step(torch.randn(B, N, 64), torch.randn(B, 64), Dense(built(torch.randn(B, N, N, 64)), N))
    gate = torch.sigmoid(processor.history_gate(torch.cat([step.nodes, torch.randn(B, N, 64)], -1)))
    assert gate.median().item() == pytest.approx(mean, rel=0.2)


# What history costs


def test_the_weight_of_the_penalty_grows_to_its_maximum():
    processor = made("g_forgetnet", penalty=0.2, ramp=0.5)
    assert [processor.weight(share) for share in (0.0, 0.25, 0.5, 1.0)] == [0.0, 0.1, 0.2, 0.2]
    assert made("g_forgetnet", penalty=0.2, ramp=0.0).weight(0.0) == 0.2
    for wrong in ({"penalty": -0.1}, {"ramp": 1.5}):
        with pytest.raises(ValueError, match="need penalty >= 0 and 0 <= ramp <= 1"):
            processors.build("g_forgetnet", 4, **wrong)


@pytest.mark.parametrize("progress", [0.0, 0.25, 1.0])
def test_the_penalty_is_the_mean_gate_over_nodes_and_steps(progress):
    model, batch = reasoner("g_forgetnet", penalty=0.2, ramp=0.5), naive.random_batch([4, 4, 4])
    rollout = model(batch, gumbel=False, progress=progress)
    gate = torch.stack(rollout.measures["gate"])  # [T, B]: all samples take all steps
    assert gate.shape == (3, 3)
    torch.testing.assert_close(losses(batch, rollout)["penalty gate"], min(0.2, 0.4 * progress) * gate.mean())
    without = reasoner("g_forgetnet", penalty=0.0)
    free = without(batch, gumbel=False, progress=progress)
    assert_same(rollout, free)
    more = total_loss(batch, rollout) - total_loss(batch, free)
    torch.testing.assert_close(more, min(0.2, 0.4 * progress) * gate.mean())
    assert not gate.requires_grad and rollout.penalties["gate"].requires_grad


def test_evaluation_pays_nothing_and_still_measures():
    model, batch = reasoner("g_forgetnet").eval(), naive.random_batch(LENGTHS)
    rollout = model(batch)
    assert rollout.penalties == {} and len(rollout.measures["gate"]) == batch.steps


def test_the_penalty_closes_the_gate():
    means = []
    for penalty in (0.0, 10.0):
        model, batch = reasoner("g_forgetnet", penalty=penalty, ramp=0.0), naive.random_batch([4, 4, 4])
        optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
        for _ in range(25):
            rollout = model(batch, gumbel=False)
            optimizer.zero_grad()
            total_loss(batch, rollout).backward()
            optimizer.step()
        means.append(torch.stack(rollout.measures["gate"]).mean().item())
    assert means[1] < 0.2 < means[0]


def test_a_run_keeps_the_gate_by_step_and_by_training(tmp_path):
    settings = {
        "algo": "bfs", "processor": "g_forgetnet", "hidden": 8, "steps": 4, "batch_size": 3, "train_sizes": (4, 5),
        "val_size": 5, "val_samples": 6, "val_every": 2, "eval_sizes": (5,), "eval_samples": 3, "device": "cpu",
        "threads": 1, "out": tmp_path / "run", "option": ("penalty=0.5",),
    }  # fmt: skip
    results = train(Config(**settings))
    (evaluation,) = results["evaluations"]
    assert len(evaluation["measures"]["gate"]) == evaluation["steps_max"]
    assert all(0 < value < 1 for value in evaluation["measures"]["gate"])
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4] and all(0 < row["gate"] < 1 for row in rows)
    text = (tmp_path / "run" / "report.md").read_text()
    assert "## Inside the processor" in text and "](measures.svg)" in text
    assert "<svg" in (tmp_path / "run" / "measures.svg").read_text()
