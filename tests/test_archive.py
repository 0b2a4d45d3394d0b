"""Traces in .npz files: they come back bit for bit, in small files that NumPy reads, or nothing is written."""

import json
import os
import pathlib
import re
import zipfile

import numpy as np
import pytest
from archived_traces import assert_same, foreign, traces_of
from inputs import sampled

import nar.datasets
from nar.traces.formats import npz
from nar.traces.run_length import RunLengthArray
from nar.traces.spec import Spec
from nar.traces.trace import Trace

NAMES = nar.datasets.names()


@pytest.mark.parametrize("name", NAMES)
def test_mixed_sizes_and_lengths_come_back(name, tmp_path):
    traces = traces_of(name)
    npz.save(traces, tmp_path / "a.npz", {"seed": 3, "sizes": [1, 2]})
    again = npz.load(tmp_path / "a.npz")
    assert len(again) == len(traces)
    for one, other in zip(traces, again, strict=True):
        assert_same(one, other)
    assert npz.describe(tmp_path / "a.npz") == {
        "version": 1,
        "algorithm": name,
        "spec": traces[0].spec,
        "samples": 5,
        "manifest": {"seed": 3, "sizes": [1, 2]},
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_same_traces_give_the_same_bytes(name, tmp_path):
    for file in ("a.npz", "b.npz"):
        npz.save(traces_of(name), tmp_path / file)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    npz.save(npz.load(tmp_path / "a.npz"), tmp_path / "c.npz")
    assert (tmp_path / "c.npz").read_bytes() == (tmp_path / "a.npz").read_bytes()
    npz.save(traces_of(name, (1, 2, 5, 8)), tmp_path / "d.npz")
    assert (tmp_path / "d.npz").read_bytes() != (tmp_path / "a.npz").read_bytes()


def test_algorithms_that_the_table_does_not_know(tmp_path):
    npz.save(foreign(), tmp_path / "a.npz")
    (again,) = npz.load(tmp_path / "a.npz")
    assert_same(foreign(), again)
    assert np.asarray(again.compact["W"])[:, 0].tolist() == [[0.1, 0.0], [0.0, 1.0], [0.1, 0.0]]
    assert npz.describe(tmp_path / "a.npz")["manifest"] is None


def test_traces_without_hints(tmp_path):
    spec = Spec({"x": ("input", "node", "scalar"), "y": ("output", "node", "pointer")})
    trace = Trace("f", spec, 2, 0, {"x": np.array([0.5, 2.0]), "y": np.array([1, 1], np.int16)})
    npz.save([trace, trace], tmp_path / "a.npz")
    for again in npz.load(tmp_path / "a.npz"):
        assert_same(trace, again)


@pytest.mark.parametrize("numbers", [[-0.0, 0.0], [-0.0, 7.0], [0.5, -0.0], [0.1, 1e300], [np.inf, 300.0], [1e5, 2.0]])
def test_scalars_keep_every_bit(numbers, tmp_path):
    spec = Spec({"x": ("input", "node", "scalar")})
    trace = Trace("f", spec, 2, 0, {"x": np.array(numbers)})
    npz.save(trace, tmp_path / "a.npz")
    assert_same(npz.load(tmp_path / "a.npz")[0], trace)


def test_numpy_alone_reads_the_file(tmp_path):
    trace = nar.datasets.get("bellman_ford").run(A=[[0, 2, 0], [0, 0, 3], [0, 0, 0]], s=0)
    npz.save([trace, trace], tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        about = json.loads(str(file["about"]))
        assert (about["format"], about["version"], about["algorithm"]) == ("nar traces", 1, "bellman_ford")
        assert about["spec"]["pi_h"] == ["hint", "node", "pointer", 0]
        assert file["nodes"].tolist() == file["lengths"].tolist() == [3, 3]
        assert file["output/pi"].tolist() == [0, 0, 1] * 2
        assert file["hint/d"].tolist() == [0, 0, 0, 0, 2, 0, 0, 2, 5] * 2


def test_runs_stay_runs_and_files_are_small(tmp_path):
    """Thousands of moments of a graph and its transpose: the file grows with what changes."""
    spec = Spec({"x": ("input", "node", "scalar"), "A_t": ("hint", "edge", "mask")})
    rng = np.random.RandomState(0)
    graph = (rng.uniform(size=(64, 64)) < 0.5).astype(np.int8)
    index = np.repeat(np.array([0, 1], np.int32), 5000)
    compact = {"x": rng.uniform(size=64), "A_t": RunLengthArray(np.stack([graph, graph.T.copy()]), index)}
    npz.save(Trace("scc", spec, 64, 10_000, compact), tmp_path / "a.npz")
    assert (tmp_path / "a.npz").stat().st_size < 6000  # as a dense array: 41 MB
    (again,) = npz.load(tmp_path / "a.npz")
    assert again.compact["A_t"].values.shape == (2, 64, 64)


def test_loaded_traces_share_no_memory(tmp_path):
    npz.save(traces_of("floyd_warshall"), tmp_path / "a.npz")
    one, other = npz.load(tmp_path / "a.npz"), npz.load(tmp_path / "a.npz")
    for trace in one:
        for values in trace.compact.values():
            (values.values if isinstance(values, RunLengthArray) else values)[...] = 0
            break
    assert_same(npz.load(tmp_path / "a.npz")[0], other[0])
    arrays = [v.values if isinstance(v, RunLengthArray) else v for trace in other for v in trace.compact.values()]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])
    assert all(a.base is None or a.base.size == a.size for a in arrays)  # none keeps a larger array alive


def test_what_cannot_be_saved_is_refused_and_the_old_file_stays(tmp_path):
    path = tmp_path / "a.npz"
    npz.save(foreign(), path)
    before = path.read_bytes()
    refused = {
        "traces must hold at least one trace": ([], None),
        "traces must be of one algorithm and spec, got bfs and minimum": (
            [sampled("bfs", 4, 0)[2], sampled("minimum", 4, 0)[2]],
            None,
        ),
        "manifest must hold only what JSON can": ([foreign()], {"a": object()}),
        "manifest must hold only what JSON can: Out of range": ([foreign()], {"a": float("nan")}),
    }
    for message, (traces, manifest) in refused.items():
        with pytest.raises(ValueError, match=message) as error:
            npz.save(traces, path, manifest)
        assert "\n" not in str(error.value)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.npz"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    npz.save(foreign(), path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(npz.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        npz.save(traces_of("minimum"), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.npz"]


def test_entries_carry_no_time_and_no_system(tmp_path):
    npz.save(foreign(), tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz") as file:
        assert {(i.date_time, i.create_system, i.compress_type) for i in file.infolist()} == {
            ((1980, 1, 1, 0, 0, 0), 3, zipfile.ZIP_DEFLATED)
        }


def test_the_examples_of_the_documentation(tmp_path, monkeypatch, capsys):
    """docs/interchange.md from top to bottom, each block after the ones before."""
    page = pathlib.Path(__file__).parents[1] / "docs" / "interchange.md"
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(), flags=re.M | re.S)
    assert len(blocks) == 6
    monkeypatch.chdir(tmp_path)
    scope = {}
    for block in blocks:
        exec(compile(block, "interchange.md", "exec"), scope)
    printed = capsys.readouterr().out
    assert printed.startswith(
        "{'seed': 3, 'sizes': [4, 9, 16]}\nbellman_ford:\ns: 0, A: [[0.0 0.5], [0.0 0.0]]\npi:\n[0 0]\n"
    )
    assert "\n['pos', 's', 'A', 'adj', 'pi']\n[[0.0, 0.0], [0.0, 0.5]] [0, 0]\n3 [" in printed
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bellman_ford.npz", "data"]
