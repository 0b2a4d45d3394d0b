"""Training on traces of one's own: which are drawn, which choose the checkpoint, and what is refused."""

import json

import numpy as np
import pytest

import nar
from nar.cli import main as cli
from nar.config import Config
from nar.evaluation import own_traces
from nar.traces.formats import npz
from nar.training.tasks import settled, tasks, training_batch, validation_set

BFS, MINIMUM = nar.datasets.get("bfs"), nar.datasets.get("minimum")


@pytest.fixture
def folder(tmp_path):
    """Twelve stars of 5 nodes around node 0, two paths of 3; and traces of another kind."""
    star, path = np.zeros((5, 5)), np.eye(3, k=1) + np.eye(3, k=-1)
    star[0, 1:] = star[1:, 0] = 1
    # told apart by a loop at one node or at none
    stars = [star + np.diag(np.arange(5) == i % 5) * (i + 1) for i in range(12)]
    traces = tmp_path / "traces"
    npz.save([BFS.run(A=A != 0, s=i % 5) for i, A in enumerate(stars)], traces / "b-stars.npz")
    npz.save([BFS.run(A=path, s=0), BFS.run(A=path, s=2)], traces / "a-paths.npz")
    npz.save(MINIMUM.run(A=[1.0, 2.0]), traces / "minimum.npz")
    return traces


def sources(batch):
    return batch.inputs["s"].tolist()


def test_batches_are_drawn_from_the_traces_and_never_from_those_left_out(folder):
    config = Config(algo="bfs", traces=folder, batch_size=64)
    (task,) = tasks(config)
    assert (task.train_sizes, task.val_size) == ((3, 5), 5)
    assert (settled(config).train_sizes, settled(config).val_size) == ((3, 5), 5)
    batches = [training_batch(BFS, config, step) for step in range(4)]
    assert [batch.nodes for batch in batches] == [3, 5, 3, 5]
    assert sources(batches[0]) == [0] * 64  # the other path is left out
    left_out = [1, 11]  # of twelve: the last, and the tenth before it
    kept = {i % 5 for i in range(12) if i not in left_out}
    assert set(sources(batches[1])) == kept == {0, 1, 2, 3, 4}
    (validation,) = validation_set(BFS, config)
    assert sorted(sources(validation)) == [1, 1] and validation.nodes == 5
    again = training_batch(BFS, config, 1)
    assert all(again.inputs[name].equal(batches[1].inputs[name]) for name in again.inputs)
    assert (
        not training_batch(BFS, Config(algo="bfs", traces=folder, batch_size=64, seed=1), 1)
        .inputs["s"]
        .equal(batches[1].inputs["s"])
    )
    assert (batches[1].inputs["pos"] - again.inputs["pos"]).abs().max() == 0
    plain = training_batch(BFS, Config(algo="bfs", traces=folder, random_pos=False), 0)
    assert plain.inputs["pos"][0].tolist() == pytest.approx([0, 1 / 3, 2 / 3])


def test_sizes_may_be_chosen(folder):
    config = Config(algo="bfs", traces=folder, train_sizes=(5,), val_size=3)
    (task,) = tasks(config)
    assert (task.train_sizes, task.val_size) == ((5,), 3)
    assert {training_batch(BFS, config, step).nodes for step in range(3)} == {5}
    assert sources(*validation_set(BFS, config)) == [2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"traces": "nowhere"}, "nowhere: no such folder; it holds archives"),
        ({"algo": "dfs"}, "no trace of dfs is there, nor in any .npz file of bfs and minimum only"),
        ({"algo": "minimum"}, "one trace of minimum with 2 nodes; two of each size are needed"),
        ({"train_sizes": (4,)}, r"--train-sizes 4: the traces of bfs in .* have 3, 5 nodes"),
        ({"val_size": 16}, r"--val-size 16: the traces of bfs in .* have 3, 5 nodes"),
    ],
)
def test_what_is_not_there(folder, changes, message):
    if "traces" in changes:
        changes = {"traces": folder / changes["traces"]}
    with pytest.raises(ValueError, match=message):
        tasks(Config(**({"algo": "bfs", "traces": folder} | changes)))


def test_a_run(folder, tmp_path, capsys):
    """By the command line, to its results; loaded, its numbers are compared with those of the traces."""
    npz.save([BFS.run(A=9.0 * np.ones((3, 3)), s=0)] * 2, folder / "large.npz")
    own_traces.read.cache_clear()
    out = tmp_path / "run"
    flags = "--steps 2 --batch-size 2 --hidden 8 --processor deepsets --eval-sizes 4 --eval-samples 2 --threads 1"
    cli.main(["train", "--algo", "bfs", "--traces", str(folder), "--out", str(out), *flags.split()])
    assert json.loads((out / "results.json").read_text())["run"]["train_sizes"] == {"bfs": [3, 5]}
    assert json.loads((out / "config.json").read_text())["traces"] == str(folder)
    assert "traces" in (out / "report.md").read_text()
    solver = nar.load(out)
    assert solver.config.traces == folder
    assert solver.run(np.eye(3), source=0).scale.trained == 9.0
    for file in folder.iterdir():
        file.unlink()
    own_traces.read.cache_clear()
