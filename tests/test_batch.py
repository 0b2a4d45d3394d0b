"""Batches: stacking, the transforms of the protocol, and drawing as a pure function."""

import numpy as np
import pytest
import torch

from nar import datasets
from nar.model.batch import collate, cyclic_predecessors, draw, random_positions, training_spec


def traces(name, count=6, nodes=5, seed=0):
    algorithm, rng = datasets.get(name), np.random.RandomState(seed)
    nodes = max(nodes, algorithm.min_nodes)
    return algorithm, [algorithm.run(**algorithm.sample(rng, nodes)) for _ in range(count)]


@pytest.mark.parametrize("name", datasets.names())
def test_a_batch_holds_its_traces(name):
    """Every number of every trace is in the batch, at the place that `order` says, longest trace first."""
    algorithm, samples = traces(name)
    batch = collate(samples, algorithm)
    assert sorted(batch.order) == list(range(6)) and len(batch) == 6 and batch.nodes == samples[0].nodes
    assert batch.lengths == sorted(batch.lengths, reverse=True)
    assert batch.lengths == [samples[i].length for i in batch.order]
    kept = [n for n, p in algorithm.spec.items() if p.type != "should_be_permutation" and n in batch.spec]
    for b, i in enumerate(batch.order):
        trace = samples[i]
        for probe in kept:
            part = trace.compact[probe]
            if algorithm.spec[probe].stage == "hint":
                found = batch.hints[probe][: trace.length, b]
            else:
                found = (batch.inputs if algorithm.spec[probe].stage == "input" else batch.outputs)[probe][b]
            expected = torch.from_numpy(np.asarray(part))
            torch.testing.assert_close(found.double(), expected.double(), rtol=1e-6, atol=1e-7)
    stages = {"input": batch.inputs, "hint": batch.hints, "output": batch.outputs}
    for stage, values in stages.items():
        assert list(values) == [n for n in batch.spec.stage(stage) if n in values] and set(values) == set(
            batch.spec.stage(stage)
        )
        for probe, value in values.items():
            leading = (batch.lengths[0], 6) if stage == "hint" else (6,)
            assert value.shape == (*leading, *batch.spec[probe].shape(batch.nodes))
            assert (
                value.dtype == torch.float32
                if batch.spec[probe].type == "scalar"
                else not value.dtype.is_floating_point
            )


def test_equal_lengths_keep_their_order():
    algorithm, samples = traces("insertion_sort")
    assert collate(samples, algorithm).order == [0, 1, 2, 3, 4, 5]


def test_live_samples_and_steps():
    algorithm, samples = traces("bfs")
    batch = collate(samples, algorithm).with_lengths([5, 5, 3, 2, 1, 1])
    assert batch.steps == 4
    assert [batch.schedule.num_running(s) for s in range(4)] == [6, 3, 2, 2]  # everyone takes the first step
    assert batch.with_lengths([1] * 6).steps == 1
    assert batch.with_lengths([2] * 6).steps == 1


def test_sizes_must_agree():
    algorithm, samples = traces("bfs")
    _, more = traces("bfs", nodes=7)
    with pytest.raises(ValueError, match=r"one size, got \[5, 7\]"):
        collate(samples + more, algorithm)


# Permutations


def test_cyclic_predecessors_by_hand():
    """2 -> 0 -> 3 -> 1 in sorted order: 2 comes first, 1 last."""
    cycle, first = cyclic_predecessors(np.array([2, 3, 2, 0]))
    assert cycle.tolist() == [2, 3, 1, 0] and first == 2
    pointers = np.array([[2, 3, 2, 0], [0, 0, 1, 2], [0, 2, 0, 1]])
    cycle, first = cyclic_predecessors(pointers)
    assert cycle.tolist() == [[2, 3, 1, 0], [3, 0, 1, 2], [3, 2, 0, 1]] and first.tolist() == [2, 0, 0]
    assert pointers.tolist()[0] == [2, 3, 2, 0]  # the trace is left alone
    alone, first = cyclic_predecessors(np.array([[0]]))
    assert alone.tolist() == [[0]] and first.tolist() == [0]


def test_sorting_becomes_a_permutation_with_its_first_node():
    algorithm = datasets.get("insertion_sort")
    spec = training_spec(algorithm)
    assert spec["pred"].type == "permutation_pointer" and spec["pred_mask"].type == "mask_one"
    assert list(spec)[list(spec).index("pred") + 1] == "pred_mask" and spec["pred_mask"].stage == "output"
    batch = collate([algorithm.run(A=[0.3, 0.1, 0.9, 0.2])], algorithm)  # sorted: 1 3 0 2
    assert batch.outputs["pred"].tolist() == [[3, 2, 0, 1]] and batch.outputs["pred_mask"].tolist() == [1]
    assert batch.spec == spec


# A hint that is an input


def test_a_constant_pointer_hint_becomes_an_input():
    algorithm, samples = traces("minimum")
    spec = training_spec(algorithm)
    assert spec["pred"].stage == "input" and spec["pred"].type == "pointer" and "pred_h" not in spec
    batch = collate(samples, algorithm)
    assert batch.inputs["pred"].tolist() == [[0, 0, 1, 2, 3]] * 6 and "pred_h" not in batch.hints
    samples[2].compact["pred_h"] = samples[2].compact["pred_h"].copy()
    samples[2].compact["pred_h"][1, 0] = 4
    with pytest.raises(ValueError, match="pred_h changes over time"):
        collate(samples, algorithm)


def test_elsewhere_the_hint_stays_a_hint():
    algorithm, samples = traces("insertion_sort")
    assert "pred_h" in collate(samples, algorithm).hints and "pred" not in training_spec(algorithm).inputs


# Random positions


def test_random_positions_are_sorted_in_every_segment():
    pos = np.array([[0.0, 0.25, 0.5, 0.75], [0.0, 0.5, 0.0, 0.5], [0.0, 0.0, 0.3, 0.6]])
    found = random_positions(pos, np.random.RandomState(3))
    drawn = np.random.RandomState(3).uniform(size=pos.shape)
    assert found[0].tolist() == sorted(drawn[0])
    assert found[1].tolist() == sorted(drawn[1, :2]) + sorted(drawn[1, 2:])
    assert found[2].tolist() == [drawn[2, 0], *sorted(drawn[2, 1:])]
    assert pos[0, 1] == 0.25


def test_positions_are_replaced_only_where_asked_for():
    algorithm, samples = traces("bfs")
    plain = collate(samples, algorithm)
    assert plain.inputs["pos"][0].tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    moved = collate(samples, algorithm, random_pos=np.random.RandomState(0)).inputs["pos"]
    assert (moved.diff(dim=-1) > 0).all() and (moved[0] != moved[1]).all()
    assert samples[0].compact["pos"].tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])


# Drawing


def test_drawing_is_a_pure_function():
    algorithm = datasets.get("bellman_ford")

    def numbers(**changes):
        settings = {"nodes": 5, "samples": 4, "seed": (1, 0, 7), "random_pos": True} | changes
        batch = draw(algorithm, **settings)
        return {**batch.inputs, **batch.hints, **batch.outputs}

    first = numbers()
    np.random.seed(99)
    torch.manual_seed(99)
    draw(algorithm, 6, 2, seed=(8,), random_pos=False)
    again = numbers()
    assert all(again[n].equal(v) for n, v in first.items())
    for change in ({"seed": (1, 0, 8)}, {"seed": (2, 0, 7)}, {"seed": (1, 1, 7)}):
        other = numbers(**change)
        assert not other["A"].equal(first["A"]), change
    assert not numbers(random_pos=False)["pos"].equal(first["pos"])
    assert numbers(random_pos=False)["A"].equal(first["A"])
    dense = draw(algorithm, 5, 4, seed=(1,), random_pos=True, p=(1.0,)).inputs["adj"]
    assert dense.min() == 1  # the sampler's own parameters are passed on


def test_moving_keeps_everything():
    batch = draw(datasets.get("bfs"), 5, 3, seed=(0,), random_pos=True)
    moved = batch.to("cpu")
    assert moved.lengths == batch.lengths and moved.order == batch.order
    assert all(moved.hints[n].equal(v) for n, v in batch.hints.items())
