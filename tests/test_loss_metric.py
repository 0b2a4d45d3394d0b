"""Losses and scores against numbers worked out by hand."""

import math

import naive
import pytest
import torch
from torch import tensor

from nar import datasets, processors
from nar.model.batch import Batch, draw
from nar.model.objectives.emphasis import Emphasis
from nar.model.objectives.losses import entry_losses, losses, probe_loss, total_loss
from nar.model.objectives.metrics import Tally, correct, merge_permutations, tally
from nar.model.reasoner import Reasoner
from nar.model.rollout import Rollout
from nar.model.schedule import SortedLengths
from nar.traces.spec import Probe, Spec

LN2 = math.log(2)


def probe(kind, classes=0, location="node", stage="output"):
    return Probe(stage, location, kind, classes)


# One probe


def test_scalar():
    assert probe_loss(probe("scalar"), tensor([[1.0, 2.0], [0.0, 0.0]]), tensor([[0.0, 2.0], [3.0, 0.0]])) == 10 / 4


def test_mask_ignores_minus_one():
    predicted = tensor([[0.0, 0.0, 50.0], [-50.0, 9.0, 9.0]])
    truth = tensor([[1, 0, 1], [0, -1, -1]], dtype=torch.int8)
    torch.testing.assert_close(probe_loss(probe("mask"), predicted, truth), tensor(2 * LN2 / 4))
    wrong = probe_loss(probe("mask"), tensor([[3.0]]), tensor([[0]], dtype=torch.int8))
    torch.testing.assert_close(wrong, tensor(math.log(1 + math.exp(3.0))))
    nothing = probe_loss(probe("mask"), tensor([[3.0]]).requires_grad_(), tensor([[-1]], dtype=torch.int8))
    nothing.backward()
    assert nothing == 0


def test_categorical_ignores_minus_one():
    predicted = torch.log(tensor([[[1.0, 2.0, 1.0], [1.0, 1.0, 6.0]], [[8.0, 1.0, 1.0], [1.0, 1.0, 1.0]]]))
    truth = tensor([[1, 0], [-1, 2]], dtype=torch.int8)
    expected = -(math.log(2 / 4) + math.log(1 / 8) + math.log(1 / 3)) / 3
    torch.testing.assert_close(probe_loss(probe("categorical", 3), predicted, truth), tensor(expected))


@pytest.mark.parametrize("kind", ["pointer", "mask_one"])
def test_cross_entropy_over_nodes(kind):
    scores = torch.log(tensor([[1.0, 1.0, 2.0], [6.0, 1.0, 1.0]]))
    truth = tensor([2, 1], dtype=torch.int16)
    if kind == "pointer":  # each row is one node's pointer
        scores, truth = scores.unsqueeze(0), truth.unsqueeze(0)
    torch.testing.assert_close(probe_loss(probe(kind), scores, truth), tensor(-(math.log(1 / 2) + math.log(1 / 8)) / 2))


def test_edge_pointers_average_over_all_edges():
    scores, truth = torch.randn(2, 3, 3, 3), torch.randint(0, 3, (2, 3, 3))
    expected = torch.nn.functional.cross_entropy(scores.reshape(-1, 3), truth.reshape(-1))
    torch.testing.assert_close(probe_loss(probe("pointer", location="edge"), scores, truth), expected)


def test_a_permutation_is_a_log_probability_already():
    logs = torch.log(tensor([[[0.25, 0.75], [0.5, 0.5]]]))
    expected = -(math.log(0.75) + math.log(0.5)) / 2
    torch.testing.assert_close(probe_loss(probe("permutation_pointer"), logs, tensor([[1, 0]])), tensor(expected))


# A whole batch


def two_samples():
    """Samples of 5 and 2 hint snapshots on two nodes: four predicted moments and one."""
    spec = Spec(
        {
            "x": ("input", "node", "scalar"),
            "y": ("output", "node", "scalar"),
            "h": ("hint", "node", "scalar"),
            "m": ("hint", "node", "mask"),
            "c": ("hint", "graph", "categorical", 2),
        }
    )
    hints = {
        "h": torch.arange(20.0).reshape(5, 2, 2),
        "m": tensor([[[0, 0], [0, 0]], [[1, -1], [0, -1]], [[1, 1], [1, 1]], [[0, 1], [1, 1]], [[-1, -1], [1, 1]]]).to(
            torch.int8
        ),
        "c": tensor([[0, 0], [0, 1], [-1, 0], [1, 0], [1, 0]]).to(torch.int8),
    }
    batch = Batch(
        "made_up", spec, 2, {"x": torch.zeros(2, 2)}, hints, {"y": tensor([[1.0, 0.0], [0.0, 3.0]])},
        SortedLengths([5, 2]), [0, 1],
    )  # fmt: skip
    predictions = []
    for s in range(4):
        live = 2 if s == 0 else 1
        even = torch.log(tensor([1.0, 3.0])).expand(live, 2)
        predictions.append({"h": hints["h"][s + 1, :live] + s + 1, "m": torch.zeros(live, 2), "c": even})
    return batch, Rollout({"y": torch.zeros(2, 2)}, predictions)


def test_hints_average_over_live_samples_of_all_steps():
    batch, rollout = two_samples()
    found = losses(batch, rollout)
    # h is wrong by 1 for both samples at the first step, then by 2, 3, 4 for the long one: 5 sample-steps count alike
    torch.testing.assert_close(found["h"], tensor((1 + 1 + 4 + 9 + 16) / 5))
    torch.testing.assert_close(found["m"], tensor(LN2))
    # classes at the live moments: 0 and 1; ignored; 1; 1
    torch.testing.assert_close(found["c"], tensor(-(math.log(1 / 4) + 3 * math.log(3 / 4)) / 4))
    torch.testing.assert_close(found["y"], tensor((1 + 9) / 4))
    torch.testing.assert_close(total_loss(batch, rollout), found["h"] + found["m"] + found["c"] + found["y"])


def test_masks_count_their_entries_not_their_samples():
    batch, rollout = two_samples()
    rollout.hints[0]["m"] = tensor([[5.0, 5.0], [5.0, 5.0]])  # one right 1, one wrong 0, two ignored
    wrong, right = math.log(1 + math.exp(5.0)), math.log(1 + math.exp(-5.0))
    expected = (right + wrong + 4 * LN2) / 6  # then [1, 1], [0, 1] at even odds, and an ignored row
    torch.testing.assert_close(losses(batch, rollout)["m"], tensor(expected))


def test_loss_equals_padded_and_masked_means():
    """The textbook form of the reference: all samples at all moments, times a mask, over the mask's sum."""
    batch = naive.random_batch([4, 3, 1])
    model = Reasoner({"everything": batch.spec}, processors.build("mpnn", 4)).double().eval()
    rollout = model(batch)
    found = losses(batch, rollout)
    for name in ("hint_node_scalar", "hint_node_pointer", "hint_node_mask_one", "hint_graph_pointer"):
        total = count = 0.0
        for s, step in enumerate(rollout.hints):
            for b in range(3):
                if batch.lengths[b] > s + 1:
                    value = step[name][b : b + 1]
                    total += probe_loss(batch.spec[name], value, batch.hints[name][s + 1, b : b + 1])
                    count += 1
        torch.testing.assert_close(found[name], total / count)
    assert set(found) == set(batch.spec.outputs) | set(batch.spec.hints)


def test_without_hints_only_outputs_count():
    batch, rollout = two_samples()
    assert set(losses(batch, Rollout(rollout.outputs, []))) == {"y"}


@pytest.mark.parametrize("emphasis", [Emphasis(10.0), Emphasis(2.0, 0.5), Emphasis(1.0, 3.0)])
def test_entries_that_a_step_changes_or_would_change_count_more(emphasis):
    algorithm = datasets.get("bfs")
    batch = draw(algorithm, 6, 3, seed=[1], random_pos=False)
    reasoner = Reasoner.build("bfs", "mpnn", hidden=8).eval()
    rollout = reasoner(batch)
    plain, weighed = losses(batch, rollout), losses(batch, rollout, emphasis)
    for name in ("pi_h", "reach_h"):
        steps = [
            (step[name], *(batch.hints[name][s + k, : len(step[name])] for k in (0, 1)))
            for s, step in enumerate(rollout.hints)
        ]
        entries = sum(after.numel() for _, _, after in steps)
        changed = sum((before != after).sum().item() for _, before, after in steps)
        times = max(emphasis.weight, emphasis.balance * entries / changed)
        total, wrongly = 0.0, False
        for logits, before, after in steps:
            of_entry, _ = entry_losses(batch.spec[name], logits, after)
            decided = (logits > 0).int() if name == "reach_h" else logits.argmax(-1)
            weight = torch.where((before != after) | (decided != before), times, 1.0)
            wrongly = wrongly or bool(((before == after) & (decided != before)).any())
            total += (weight * of_entry).sum().item()
        assert weighed[name].item() == pytest.approx(total / entries, rel=1e-5)
        assert weighed[name] > plain[name] and wrongly and times > 1
    assert weighed["pi"] == plain["pi"]  # outputs have no step before


def test_a_hint_that_never_changes_does_not_count_without_bounds():
    share, moves = torch.tensor(0.0), torch.tensor([True, False])
    assert Emphasis(10.0, 1.0).weights(moves, share).tolist() == pytest.approx([1000.0, 1.0])
    assert Emphasis(10.0).weights(moves, share).tolist() == [10.0, 1.0]
    assert Emphasis(10.0, 1.0).weights(moves, torch.tensor(0.5)).tolist() == [10.0, 1.0]


# Scores


def test_f1_is_pooled_not_averaged():
    mask = probe("mask")
    one = tally(mask, tensor([1, 1, 0, 1]), tensor([1, 0, 0, -1]))
    two = tally(mask, tensor([1, 1, 1, 0]), tensor([1, 1, 1, 1]))
    assert one.counts == (1, 1, 0) and two.counts == (3, 0, 1)
    pooled = (one + two).value()
    assert pooled == pytest.approx(2 * 4 / (2 * 4 + 1 + 1))
    assert pooled != pytest.approx((one.value() + two.value()) / 2)


def test_f1_where_undefined():
    assert Tally("f1", (0, 0, 0)).value() == 1.0  # nothing to find and nothing found
    assert Tally("f1", (0, 3, 0)).value() == 0.0  # recall is 1 by convention, precision 0
    assert Tally("f1", (0, 0, 3)).value() == 0.0
    assert Tally("f1", (0, 2, 3)).value() == 0.0
    assert Tally("f1", (1, 1, 1)).value() == 0.5


def test_accuracy_leaves_ignored_entries_out():
    found = tally(probe("categorical", 3), tensor([[0, 1], [2, 2]]), tensor([[0, -1], [2, 0]]))
    assert found.metric == "accuracy" and found.counts == (2, 3)
    assert tally(probe("pointer"), tensor([[1, 0]]), tensor([[1, 1]])).value() == 0.5
    assert tally(probe("mask_one"), tensor([3, 2]), tensor([3, 1])).counts == (1, 2)
    assert math.isnan(Tally("accuracy", (0, 0)).value())


def test_scalars_are_scored_by_squared_error():
    hint = probe("scalar", stage="hint")
    found = tally(hint, tensor([[1.0, 2.0]]), tensor([[0.0, 4.0]])) + tally(hint, tensor([[1.0]]), tensor([[0.0]]))
    assert found.metric == "mse" and found.value() == pytest.approx(6 / 3)


def test_a_scalar_output_is_a_whole_number_and_right_after_rounding():
    output = probe("scalar", location="graph")
    found = tally(output, tensor([3.4, 3.6, -2.0]), tensor([3.0, 3.0, -2.0]))
    assert found.metric == "accuracy" and found.counts == (2, 3)
    assert correct(output, tensor([3.4, 3.6, -2.0]), tensor([3.0, 3.0, -2.0])).tolist() == [True, False, True]


def test_permutations_are_merged_with_their_first_node():
    spec = Spec(
        {
            "pred": ("output", "node", "permutation_pointer"),
            "pred_mask": ("output", "node", "mask_one"),
            "other_mask": ("output", "node", "mask"),
        }
    )
    values = {
        "pred": tensor([[2, 0, 1], [1, 2, 0]]),
        "pred_mask": tensor([0, 2]),
        "other_mask": tensor([[1, 0, 0], [0, 0, 1]]),
    }
    merged = merge_permutations(spec, values)
    assert merged["pred"].tolist() == [[0, 0, 1], [1, 2, 2]]
    assert set(merged) == {"pred", "other_mask"}


def test_a_graph_is_right_only_as_a_whole():
    assert correct(probe("pointer"), tensor([[1, 0], [1, 1]]), tensor([[1, 0], [1, 0]])).tolist() == [True, False]
    assert correct(probe("mask"), tensor([[1, 0], [0, 0]]), tensor([[1, -1], [1, 0]])).tolist() == [True, False]
    assert correct(probe("mask_one"), tensor([1, 2]), tensor([1, 0])).tolist() == [True, False]
    edge = probe("pointer", location="edge")
    assert correct(edge, torch.zeros(2, 2, 2), tensor([[[0, 0], [0, 0]], [[0, 0], [0, 1]]])).tolist() == [True, False]
