"""Traces as PyTorch Geometric data: they come back; batches shift every pointer, and come apart again."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from archived_traces import assert_same, foreign, traces_of
from inputs import sampled
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader

import nar.datasets
from nar.traces.formats import npz, pyg
from nar.traces.run_length import RunLengthArray
from nar.traces.trace import Trace

NAMES = nar.datasets.names()


def again(trace):
    """Runs come back as `RunLengthArray.of` makes them: neither values nobody sees nor equal neighbours."""
    compact = {
        k: RunLengthArray.of(np.asarray(v)) if isinstance(v, RunLengthArray) else v for k, v in trace.compact.items()
    }
    return Trace(trace.algorithm, trace.spec, trace.nodes, trace.length, compact)


@pytest.mark.parametrize("name", NAMES)
def test_there_and_back(name):
    for trace in traces_of(name):
        data = pyg.to_data(trace)
        data.validate()
        assert_same(pyg.from_data(data), again(trace))
        assert_same(pyg.from_data(pyg.to_data(trace, steps=trace.length + 3)), again(trace))


@pytest.mark.parametrize("name", NAMES)
def test_batches_of_mixed_sizes_come_apart(name):
    traces = traces_of(name)
    batch = pyg.to_batch(traces)
    assert batch.num_graphs == 5 and batch.num_nodes == sum(trace.nodes for trace in traces)
    for trace, data in zip(traces, batch.to_data_list(), strict=True):
        assert_same(pyg.from_data(data), again(trace))
    twice = Batch.from_data_list([*batch.to_data_list(), batch.get_example(2)])
    assert_same(pyg.from_data(twice.get_example(5)), again(traces[2]))


def test_algorithms_that_the_table_does_not_know():
    trace = foreign()
    assert_same(pyg.from_data(pyg.to_batch([trace, trace]).get_example(1)), again(trace))
    batch = pyg.to_batch([trace, trace])
    assert batch.input_row.tolist() == [1, 0, 3, 2]
    assert batch.hint_row_h.tolist() == [[0, 1, 0], [1, 1, 0], [2, 3, 2], [3, 3, 2]]
    assert batch.output_order.tolist() == [1, 0, 3, 2]
    assert batch.input_colour.tolist() == [-1, -1]


def test_a_graph_worked_out_by_hand():
    """Bellman-Ford on 0 -> 1 (2), 1 -> 2 (3), batched after a graph of two nodes."""
    bellman_ford = nar.datasets.get("bellman_ford")
    path = bellman_ford.run(A=[[0, 2, 0], [0, 0, 3], [0, 0, 0]], s=0)
    pair = bellman_ford.run(A=[[0, 0], [5, 0]], s=1)
    data = pyg.to_data(path)
    assert data.edge_index.tolist() == [[0, 0, 1, 1, 2], [0, 1, 1, 2, 2]]
    assert data.input_A.tolist() == [0, 2, 0, 3, 0] and data.input_A.dtype == torch.float64
    assert "input_adj" not in data and "pair_index" not in data
    assert data.input_s.tolist() == [0]
    assert data.hint_d.tolist() == [[0, 0, 0], [0, 2, 2], [0, 0, 5]]  # [N, T]
    assert data.hint_pi_h.tolist() == [[0, 0, 0], [1, 0, 0], [2, 2, 1]]
    assert data.hint_msk.dtype == torch.int8 and data.output_pi.dtype == torch.int64
    assert data.num_nodes == 3 and data.length.tolist() == [3]

    batch = pyg.to_batch([pair, path])
    assert batch.edge_index.tolist() == [[0, 1, 1, 2, 2, 3, 3, 4], [0, 0, 1, 2, 3, 3, 4, 4]]
    assert batch.input_s.tolist() == [1, 2]
    assert batch.output_pi.tolist() == [1, 1, 2, 2, 3]
    assert batch.hint_pi_h.tolist() == [[0, 1, 1], [1, 1, 1], [2, 2, 2], [3, 2, 2], [4, 4, 3]]
    assert batch.hint_d.tolist() == [[0, 5, 5], [0, 0, 0], [0, 0, 0], [0, 2, 2], [0, 0, 5]]  # padded: 5 twice
    assert batch.length.tolist() == [2, 3] and batch.batch.tolist() == [0, 0, 1, 1, 1]


def test_probes_on_pairs_by_hand():
    floyd_warshall = nar.datasets.get("floyd_warshall")
    one = floyd_warshall.run(A=[[0, 4], [0, 0]])
    batch = pyg.to_batch([one, one])
    assert batch.edge_index.tolist() == [[0, 0, 1, 2, 2, 3], [0, 1, 1, 2, 3, 3]]
    assert batch.pair_index.tolist() == [[0, 0, 1, 1, 2, 2, 3, 3], [0, 1, 0, 1, 2, 3, 2, 3]]
    assert batch.input_A.tolist() == [0, 4, 0] * 2
    assert batch.output_Pi.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert batch.hint_D.tolist() == [[0, 0], [4, 4], [0, 0], [0, 0]] * 2
    assert batch.hint_k.tolist() == [[0, 1], [2, 3]]


def test_without_a_graph_every_pair_is_an_edge():
    data = pyg.to_data(nar.datasets.get("minimum").run(A=[3.0, 1.0]))
    assert data.edge_index.tolist() == [[0, 0, 1, 1], [0, 1, 0, 1]]
    assert data.output_min.tolist() == [1]
    assert data.input_key.tolist() == [3, 1]


def test_data_and_trace_share_no_memory():
    _, _, trace = sampled("bellman_ford", 5, 0)
    untouched = again(trace)
    data = pyg.to_data(trace)
    before = data.clone()
    for key in data.keys():
        if isinstance(data[key], torch.Tensor):
            data[key] += 1
    assert_same(trace, untouched)
    back = pyg.from_data(before)
    for values in back.compact.values():
        values[...] = 0
    assert_same(pyg.from_data(before), untouched)


def test_what_is_refused():
    _, _, trace = sampled("bellman_ford", 5, 0)
    with pytest.raises(ValueError, match="steps must be at least the trace's length"):
        pyg.to_data(trace, steps=trace.length - 1)
    with pytest.raises(ValueError, match=r"data must be one graph made by to_data; of a batch: each of"):
        pyg.from_data(pyg.to_batch([trace, trace]))
    with pytest.raises(ValueError, match="data must be one graph"):
        pyg.from_data(pyg.Data(edge_index=torch.zeros(2, 0, dtype=torch.int64)))
    compact = {**trace.compact, "adj": np.eye(5, dtype=np.int8), "A": np.ones((5, 5))}
    with pytest.raises(ValueError, match="A must be 0 where there is no edge"):
        pyg.to_data(Trace(trace.algorithm, trace.spec, 5, trace.length, compact))
    compact["adj"] = -compact["adj"]
    with pytest.raises(ValueError, match="adj must be 0 or 1 everywhere"):
        pyg.to_data(Trace(trace.algorithm, trace.spec, 5, trace.length, compact))


def test_dataset_equals_the_samples_of_its_seed(tmp_path):
    dataset = pyg.TraceDataset(tmp_path, "bfs", 6, 5, seed=2, params={"p": (0.5,)}, dtype=torch.float64)
    algorithm, rng = nar.datasets.get("bfs"), np.random.RandomState(2)
    assert len(dataset) == 5
    for data in dataset:
        trace = algorithm.run(**algorithm.sample(rng, 6, p=(0.5,)))
        assert_same(pyg.from_data(data), again(trace))
    assert dataset.manifest["seed"] == 2 and dataset.manifest["params"]["p"] == [0.5]
    assert pyg.TraceDataset(tmp_path, "bfs", 6, 5, seed=2)[0].input_pos.dtype == torch.float32


@pytest.mark.parametrize("workers", [0, 2])
def test_dataset_in_a_data_loader(workers, tmp_path):
    dataset = pyg.TraceDataset(tmp_path, "floyd_warshall", 4, 5, dtype=torch.float64)
    batches = list(DataLoader(dataset, batch_size=2, num_workers=workers))
    assert [batch.num_graphs for batch in batches] == [2, 2, 1]
    for i, data in enumerate(data for batch in batches for data in batch.to_data_list()):
        assert_same(pyg.from_data(data), pyg.from_data(dataset[i]))
    assert batches[0].hint_k.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_dataset_of_one_sample(tmp_path):
    dataset = pyg.TraceDataset(tmp_path, "minimum", 3, 1)
    assert len(dataset) == 1 and pyg.from_data(dataset[0]).nodes == 3


def test_dataset_is_made_once_and_again_for_anything_else(tmp_path, monkeypatch):
    pyg.TraceDataset(tmp_path, "minimum", 4, 2, seed=1)
    (file,) = (tmp_path / "processed").iterdir()
    assert npz.describe(file)["samples"] == 2
    with monkeypatch.context() as patch:
        patch.setattr(pyg.canonical, "fixed_set", None)  # not called
        assert len(pyg.TraceDataset(tmp_path, "minimum", 4, 2, seed=1)) == 2
        assert len(pyg.TraceDataset(tmp_path, "minimum", 4, 2, seed=1, params={"low": 0.0})) == 2  # the default
    others = [
        ("minimum", 5, 2, 1, {}),
        ("minimum", 4, 3, 1, {}),
        ("minimum", 4, 2, 2, {}),
        ("minimum", 4, 2, 1, {"low": 0.5}),
        ("insertion_sort", 4, 2, 1, {}),
    ]
    for arguments in others:
        pyg.TraceDataset(tmp_path, *arguments)
    assert len(os.listdir(tmp_path / "processed")) == 1 + len(others)
    monkeypatch.setattr(nar.datasets.get("minimum").steps, "__qualname__", "minimum_of_another_source")
    pyg.TraceDataset(tmp_path, "minimum", 4, 2, seed=1)
    assert len(os.listdir(tmp_path / "processed")) == 2 + len(others)
    file.write_bytes(file.read_bytes()[:-30])
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"minimum-n4-\w+\.npz is truncated"):
        pyg.TraceDataset(tmp_path, "minimum", 4, 2, seed=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("minimun", 4, 2), "minimun"),
        (("minimum", 0, 2), "n must be an integer of at least 1"),
        (("minimum", 4, 0), "samples must be an integer of at least 1"),
        (("minimum", 4, 2, 0, {"p": 1}), "minimum has no sampler parameter"),
    ],
)
def test_dataset_of_what_is_not_there(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        pyg.TraceDataset(tmp_path, *arguments)
    assert not list(tmp_path.rglob("*.npz"))


def test_nar_loads_pyg_only_when_asked():
    heavy = {"torch", "torch_geometric", "numba"}
    code = f"import sys, nar.traces.formats.npz, nar.traces.formats.clrs_text; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
