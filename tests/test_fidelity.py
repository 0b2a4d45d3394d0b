"""nar's engine against dm-clrs's own model: same parameters, same batch, same predictions, loss, gradients and scores.

The goldens were recorded from dm-clrs 2.0.3 by tests/golden/record_model.py, which describes their layout.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from haiku_parameters import load_parameters

from nar import processors
from nar.evaluation.evaluate import evaluate
from nar.model.batch import Batch
from nar.model.objectives.losses import losses, total_loss
from nar.model.objectives.metrics import merge_permutations, tally
from nar.model.postprocess import hard
from nar.model.reasoner import Reasoner
from nar.model.schedule import SortedLengths
from nar.traces.spec import Probe, Spec, Stage, Type

GOLDEN = Path(__file__).parent / "golden"
ALGORITHMS = ("bellman_ford", "insertion_sort", "floyd_warshall")
KINDS = ("mpnn", "pgn", "gat", "gatv2", "deepsets", "triplet_gmpnn")
CASES = [(algorithm, kind) for algorithm in ALGORITHMS for kind in KINDS]

ROLES = {  # our parameter path: the role it has in the goldens
    "receiver": "m1", "sender": "m2", "edge": "me", "graph": "mg", "message.first": "mlp0", "message.second": "mlp1",
    "skip": "o1", "out": "o2", "norm": "norm", "gate.0": "gate1", "gate.1": "gate2", "gate.2": "gate3",
    "triplets.nodes.0": "t1", "triplets.nodes.1": "t2", "triplets.nodes.2": "t3", "triplets.edges.0": "te1",
    "triplets.edges.1": "te2", "triplets.edges.2": "te3", "triplets.graph": "tg", "triplets.out": "o3",
}  # fmt: skip
GAT_ROLES = {
    "value": "value",
    "skip": "skip",
    "receiver": "a1",
    "sender": "a2",
    "edge": "ae",
    "graph": "ag",
    "norm": "norm",
}
GATV2_ROLES = {
    "value": "value", "skip": "skip", "sender": "w1", "receiver": "w2", "edge": "we", "graph": "wg", "heads.0": "head0",
    "norm": "norm",
}  # fmt: skip


def compact(probe: Probe, value: np.ndarray) -> torch.Tensor:
    """dm-clrs's form of a probe in ours."""
    one_hot = probe.type in (Type.MASK_ONE, Type.CATEGORICAL, Type.PERMUTATION_POINTER)
    if one_hot:
        return torch.from_numpy(value.argmax(-1))
    return torch.from_numpy(value if probe.type is Type.SCALAR else value.astype(np.int64))


@functools.cache
def golden_batch(algorithm: str) -> Batch:
    """The recorded batch, longest sample first as a Batch wants it."""
    data = np.load(GOLDEN / f"model_batch_{algorithm}.npz")
    rows = {name: (stage, location, kind) for name, stage, location, kind in data["spec"]}
    assert all(kind != "categorical" for _, _, kind in rows.values())
    spec = Spec(rows)
    order = np.argsort(-data["lengths"], kind="stable")
    values = {stage: {n: compact(p, data[f"{stage}/{n}"]) for n, p in spec.stage(stage).items()} for stage in Stage}
    return Batch(
        algorithm=algorithm,
        spec=spec,
        nodes=values[Stage.INPUT]["pos"].shape[1],
        inputs={n: v[order] for n, v in values[Stage.INPUT].items()},
        hints={n: v[:, order] for n, v in values[Stage.HINT].items()},
        outputs={n: v[order] for n, v in values[Stage.OUTPUT].items()},
        schedule=SortedLengths(data["lengths"][order].tolist()),
        order=order.tolist(),
    )


def our_name(kind: str, theirs: str) -> str:
    """Path of a parameter in a Reasoner from its name in the goldens, without the algorithm."""
    part, *middle, leaf = theirs.split("/")
    if part != "processor":
        return f"{part}s.ALGORITHM.maps.{'.'.join(middle)}.{leaf}"
    roles = {"gat": GAT_ROLES, "gatv2": GATV2_ROLES}.get(kind, ROLES)
    return f"processor.{ {v: k for k, v in roles.items()}[middle[0]] }.{leaf}"


def golden_reasoner(algorithm: str, kind: str, feedback: str, dtype=torch.float32) -> Reasoner:
    batch = golden_batch(algorithm)
    reasoner = Reasoner({algorithm: batch.spec}, processors.build(kind, 16), hint_feedback=feedback).to(dtype)
    data = np.load(GOLDEN / f"model_{algorithm}_{kind}.npz")
    state = {
        our_name(kind, name).replace("ALGORITHM", algorithm): torch.from_numpy(value).to(dtype)
        for name, value in load_parameters(data, batch.spec, kind).items()
    }
    reasoner.load_state_dict(state, strict=True)
    return reasoner


def golden_results(algorithm: str, kind: str):
    return np.load(GOLDEN / f"model_{algorithm}_{kind}.npz")


def close(ours: torch.Tensor, theirs: np.ndarray, what: str) -> None:
    """Equal to 1e-4 of the tensor's own scale (float32 on both sides, sums in different order)."""
    scale = max(1.0, float(np.abs(theirs[np.isfinite(theirs) & (np.abs(theirs) < 1e5)]).max(initial=0.0)))
    np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=1e-4, atol=1e-4 * scale, err_msg=what)


def compare_predictions(batch: Batch, rollout, data, prefix: str) -> None:
    order = batch.order
    for name, value in rollout.outputs.items():
        close(value, data[f"{prefix}/output/{name}"][order], f"{prefix} output {name}")
    for name in batch.hints:
        theirs = data[f"{prefix}/hint/{name}"][:, order]
        for s, step in enumerate(rollout.hints):
            close(step[name], theirs[s, : len(step[name])], f"{prefix} hint {name} at step {s}")


@pytest.mark.parametrize("feedback", ["soft", "hard"])
@pytest.mark.parametrize(("algorithm", "kind"), CASES)
def test_predictions_loss_and_scores_equal_dm_clrs(algorithm, kind, feedback):
    batch, data = golden_batch(algorithm), golden_results(algorithm, kind)
    reasoner = golden_reasoner(algorithm, kind, feedback)
    with torch.no_grad():
        evaluated = reasoner.eval()(batch)
        trained = reasoner.train()(batch, gumbel=False)
    compare_predictions(batch, evaluated, data, f"{feedback}/eval")
    compare_predictions(batch, trained, data, f"{feedback}/eval")  # without noise, training predicts the same
    total = data[f"{feedback}/train/loss"]
    np.testing.assert_allclose(total_loss(batch, trained).item(), total, rtol=1e-4)
    for name, value in losses(batch, trained).items():
        np.testing.assert_allclose(
            value.item(), data[f"{feedback}/train/loss_of/{name}"], rtol=1e-4, atol=1e-5, err_msg=name
        )

    predicted = {name: hard(batch.spec[name], value) for name, value in evaluated.outputs.items()}
    predicted = merge_permutations(batch.spec, predicted)
    truth = merge_permutations(batch.spec, batch.outputs)
    for name in truth:
        score = tally(batch.spec[name], predicted[name], truth[name]).value()
        np.testing.assert_allclose(score, data[f"{feedback}/eval/score/{name}"], atol=1e-9, err_msg=name)

    scores = evaluate(reasoner, SimpleNamespace(name=algorithm), batches=[batch], validity=False).to_dict()
    np.testing.assert_allclose(scores["score"], data[f"{feedback}/eval/score/score"], atol=1e-9)
    for name, found in scores["hints"].items():
        expected, along = (data[f"{feedback}/eval/hint_score{suffix}/{name}"] for suffix in ("", "_along_time"))
        np.testing.assert_allclose(found["value"], expected, rtol=1e-4, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(found["per_step"], along[: len(found["per_step"])], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("algorithm", "kind"), CASES)
def test_teacher_forcing_feeds_true_hints_unrounded(algorithm, kind):
    batch, data = golden_batch(algorithm), golden_results(algorithm, kind)
    reasoner = golden_reasoner(algorithm, kind, "soft").train()
    with torch.no_grad():
        rollout = reasoner(batch, teacher_forcing=1.0, gumbel=False)
    compare_predictions(batch, rollout, data, "tf1/train")
    np.testing.assert_allclose(total_loss(batch, rollout).item(), data["tf1/train/loss"], rtol=1e-4)


@pytest.mark.parametrize("kind", ["mpnn", "triplet_gmpnn"])
def test_gradients_equal_dm_clrs(kind):
    batch, data = golden_batch("bellman_ford"), golden_results("bellman_ford", kind)
    reasoner = golden_reasoner("bellman_ford", kind, "soft").train()
    total_loss(batch, reasoner(batch, gumbel=False)).backward()
    parameters = dict(reasoner.named_parameters())
    for theirs, expected in load_parameters(data, batch.spec, kind, key="grad").items():
        gradient = parameters[our_name(kind, theirs).replace("ALGORITHM", "bellman_ford")].grad
        assert gradient is not None, theirs
        np.testing.assert_allclose(
            gradient.numpy(), expected, rtol=2e-3, atol=1e-6 + 2e-4 * np.abs(expected).max(), err_msg=theirs
        )


def test_parameter_counts_equal_dm_clrs():
    counts = json.loads((GOLDEN / "parameter_counts.json").read_text())["parameters"]
    assert counts["bellman_ford"]["mpnn"] == 414_468 and counts["bellman_ford"]["triplet_gmpnn"] == 524_604
    for algorithm, kinds in counts.items():
        for kind, expected in kinds.items():
            reasoner = Reasoner({algorithm: golden_batch(algorithm).spec}, processors.build(kind, 128))
            assert reasoner.parameter_count() == expected, (algorithm, kind)
