"""Exports: what is loaded again answers bit for bit as the run did; the card tells what it is; every mistake a line."""

import json
import sys

import networkx as nx
import numpy as np
import pytest
import safetensors.torch
import torch

import nar
from nar.cli import main as cli
from nar.config import Config
from nar.inference import export
from nar.model import checkpoint
from nar.model.export_reader import read_card, sealed
from nar.model.reasoner import Reasoner
from nar.system import files

SETTINGS = {"processor": "triplet_gmpnn", "hidden": 16, "triplet_features": 4, "seed": 5}


def make_run(folder, config, results=None):
    """A run directory as training leaves it, without training."""
    folder.mkdir(parents=True, exist_ok=True)
    reasoner = Reasoner.from_config(config)
    for name in ("best.pt", "last.pt"):
        checkpoint.save(folder / name, {"model": reasoner.state_dict(), "config": config.to_dict()})
        with torch.no_grad():
            for parameter in reasoner.parameters():
                parameter.add_(0.05)
    if results is not None:
        files.write_json(folder / "results.json", results)
    return folder


def results_of(config):
    data = {"set": "nar/test", "length": 16, "samples": 32, "seed": 3, "params": {"p": [0.5]}, "sha256": "5a48"}
    entry = {
        "samples": 32,
        "score": 0.75,
        "exact": 0.5,
        "valid": 0.625,
        "outputs": {},
        "seconds": 1.0,
        "steps_mean": 3.0,
    }
    return {
        "schema": 2,
        "run": {
            "algorithms": list(config.algo), "processor": config.processor, "seed": config.seed, "best_step": 150,
            "steps": 200, "train_seconds": 9.5, "train_sizes": {name: [4, 16] for name in config.algo},
            "validation_size": dict.fromkeys(config.algo, 16), "validation": dict.fromkeys(config.algo, 0.875),
            "best_validation": 0.875,
        },
        "config": config.to_dict(),
        "command": "python train.py --algo bellman_ford",
        "provenance": {"nar": "0.1.0", "commit": "33eafdb", "torch": "2.13.0", "date": "2026-11-20"},
        "evaluations": [{"algorithm": name, "size": 16, "setting": {}, **entry, "data": data} for name in config.algo],
    }  # fmt: skip


@pytest.fixture
def run_dir(tmp_path):
    config = Config(algo="bellman_ford", **SETTINGS)
    return make_run(tmp_path / "run", config, results_of(config))


@pytest.fixture
def exported(run_dir, tmp_path):
    return export.write(run_dir, tmp_path / "shared" / "export")


@pytest.fixture
def roads():
    graph = nx.Graph()
    graph.add_weighted_edges_from([("d", "a", 0.9), ("a", "c", 0.1), ("c", "b", 0.45), ("d", "b", 0.95), ("b", 7, 0.3)])
    return graph


def same(one, other):
    assert one.outputs == other.outputs and one.confidence == other.confidence
    assert one.hints.keys() == other.hints.keys()
    assert all(np.array_equal(value, other.hints[name]) for name, value in one.hints.items())


def test_loaded_again_it_answers_bit_for_bit(run_dir, exported, roads):
    expected = nar.load(run_dir).run(roads, source="d")
    before = torch.get_rng_state()
    solver = nar.load(exported)
    assert torch.equal(torch.get_rng_state(), before) and not solver.reasoner.training
    same(solver.run(roads, source="d"), expected)
    for path in (str(exported), exported / "card.json", exported / "model.safetensors"):
        same(nar.load(path).run(roads, source="d"), expected)
    for name, value in nar.load(run_dir).reasoner.state_dict().items():
        assert torch.equal(solver.reasoner.state_dict()[name], value)
    last = export.write(run_dir, exported.parent / "last", "last")
    same(nar.load(last).run(roads, source="d"), nar.load(run_dir, "last").run(roads, source="d"))
    assert nar.load(last).run(roads, source="d").confidence != expected.confidence


def test_what_is_read_says_where_it_is_from(run_dir, exported):
    """Of runs, checkpoints and exports alike: settings, parameters, their file and the training step."""
    content = checkpoint.load(run_dir / "last.pt")
    checkpoint.save(run_dir / "last.pt", {**content, "step": 200})
    checkpoint.save(run_dir / "best.pt", {**checkpoint.load(run_dir / "best.pt"), "best": {"step": 150}})
    for path, which, file, step in (
        (run_dir, "best", run_dir / "best.pt", 150),
        (run_dir, "last", run_dir / "last.pt", 200),
        (run_dir / "last.pt", "best", run_dir / "last.pt", 200),
        (exported, "best", exported / "model.safetensors", 150),
    ):
        saved = checkpoint.read(path, which)
        assert (saved.source, saved.step, saved.config.hidden) == (file, step, 16)
        assert saved.parameters.keys() == content["model"].keys()


def test_the_card(run_dir, exported):
    card = json.loads((exported / "card.json").read_text())
    assert (card["format"], card["version"], card["checkpoint"]) == ("nar reasoner", 1, "best")
    assert (card["algorithms"], card["processor"]) == (["bellman_ford"], "triplet_gmpnn")
    assert card["parameters"] == nar.load(run_dir).reasoner.parameter_count()
    expected = {"steps": 150, "seed": 5, "sizes": {"bellman_ford": [4, 16]}, "validation_size": {"bellman_ford": 16}}
    assert expected.items() <= card["training"].items() and card["training"]["validation"] == {"bellman_ford": 0.875}
    (score,) = card["scores"]
    assert (score["algorithm"], score["size"], score["score"], score["exact"]) == ("bellman_ford", 16, 0.75, 0.5)
    assert score["data"] == {
        "set": "nar/test", "length": 16, "params": {"p": [0.5]}, "samples": 32, "seed": 3, "sha256": "5a48"
    }  # fmt: skip
    assert card["provenance"]["commit"] == "33eafdb" and card["provenance"]["exported_by"] == nar.__version__
    assert card["provenance"]["command"] == "python train.py --algo bellman_ford"
    assert card["license"] == {"nar": "Apache-2.0"} and "nar.load" in card["load"]["python"]
    assert card["config"]["hidden"] == 16 and not {"out", "device", "threads"} & card["config"].keys()
    assert str(run_dir.parent) not in (exported / "card.json").read_text()  # no paths of the machine
    file = exported / "model.safetensors"
    assert card["weights"]["bytes"] == file.stat().st_size
    assert sum(value.numel() for value in safetensors.torch.load_file(file).values()) >= card["parameters"]
    assert (exported / "card.json").stat().st_size < 8000


def test_the_same_run_gives_the_same_bytes(run_dir, exported, tmp_path):
    again = export.write(run_dir, tmp_path / "again")
    for name in ("card.json", "model.safetensors"):
        assert (again / name).read_bytes() == (exported / name).read_bytes()
    export.write(run_dir, again, "last")  # an earlier export is replaced
    assert read_card(again)["checkpoint"] == "last" and read_card(again)["scores"] == []


def test_results_of_the_first_schema_and_none(tmp_path):
    config = Config(algo="bfs", **SETTINGS)
    first = results_of(config) | {"schema": 1}
    first["run"] |= {"algorithm": "bfs", "train_sizes": [4, 16], "validation_size": 16}
    del first["run"]["algorithms"], first["run"]["validation"]
    first["config"]["algo"] = "bfs"
    card = read_card(export.write(make_run(tmp_path / "old", config, first), tmp_path / "a"))
    assert card["training"]["sizes"] == {"bfs": [4, 16]} and card["scores"][0]["score"] == 0.75
    card = read_card(export.write(make_run(tmp_path / "unfinished", config), tmp_path / "b"))
    assert card["scores"] == [] and card["training"]["sizes"] == {} and card["algorithms"] == ["bfs"]


def test_several_algorithms(tmp_path, roads):
    config = Config(algo=("bfs", "dijkstra"), **SETTINGS)
    run = make_run(tmp_path / "run", config, results_of(config))
    out = export.write(run, tmp_path / "out")
    card = read_card(out)
    assert card["algorithms"] == ["bfs", "dijkstra"] and [e["algorithm"] for e in card["scores"]] == ["bfs", "dijkstra"]
    for name in ("bfs", "dijkstra"):
        same(*(nar.load(path).run(roads, source="a", algorithm=name) for path in (run, out)))


def test_a_processor_of_ones_own_keeps_its_address(tmp_path, monkeypatch, roads):
    code = (
        "import torch\nimport nar\n\n\nclass Mine(nar.Processor):\n"
        "    def __init__(self, features):\n        super().__init__(features)\n"
        "        self.keep = torch.nn.Linear(2 * features, features)\n\n"
        "    def forward(self, step, state):\n"
        "        return torch.relu(self.keep(torch.cat([step.nodes, state], -1)))\n"
    )
    (tmp_path / "my_exported.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    config = Config(algo="bfs", processor="my_exported:Mine", hidden=8, seed=1)
    out = export.write(make_run(tmp_path / "run", config), tmp_path / "out")
    card = read_card(out)
    assert card["processor"] == "my_exported:Mine" and card["load"]["own_code"] == ["my_exported:Mine"]
    same(*(nar.load(path).run(roads, source="a") for path in (tmp_path / "run", out)))
    monkeypatch.delitem(sys.modules, "my_exported")
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder != str(tmp_path)])
    with pytest.raises(ValueError, match="no module named 'my_exported'; run from the folder that holds it"):
        nar.load(out)


def write_card(folder, **changes):
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(sealed(card | changes)))


def alter(folder, before, after):
    text = (folder / "card.json").read_text()
    assert before in text
    (folder / "card.json").write_text(text.replace(before, after))


def cut(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def damage(folder):
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(bytes(data))


def exchange(folder, data):
    """Other weights, with a card that knows them."""
    import hashlib

    (folder / "model.safetensors").write_bytes(data)
    weights = {"file": "model.safetensors", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    write_card(folder, weights=weights)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (cut, r"model\.safetensors is truncated: \d+ bytes, the card says \d+; copy it again"),
        (lambda f: (f / "model.safetensors").write_bytes(b""), r"model\.safetensors is truncated: 0 bytes"),
        (damage, r"do not belong together, or one is damaged"),
        (lambda f: (f / "model.safetensors").unlink(), r"no .*model\.safetensors: the weights .* are missing"),
        (lambda f: (f / "card.json").unlink(), r"no .*card\.json: an export holds card\.json beside"),
        (lambda f: (f / "card.json").write_text('{"format": "nar'), r"card\.json is truncated or damaged"),
        (lambda f: (f / "card.json").write_text("[1]"), r"card\.json is not the card of a reasoner"),
        (lambda f: write_card(f, format="other"), r"card\.json is not the card of a reasoner"),
        (lambda f: write_card(f, version=2), r"written by a newer nar \(version 2, this one reads 1\): upgrade"),
        (lambda f: write_card(f, config=None), r"card\.json is damaged: config must be names with values, got None"),
        (lambda f: alter(f, '"checkpoint": "best"', '"checkpoint": "last"'), r"card\.json is damaged, or was"),
        (lambda f: write_card(f, config={"hidden": "8"}), r"card\.json holds .*: --hidden must be a whole number, got"),
        (lambda f: write_card(f, config={"hiden": 8}), r"settings hiden .*'hidden'.*card\.json"),
        (lambda f: write_card(f, version="1"), r"card\.json was written by a newer nar"),
        (lambda f: write_card(f, algorithms=7), r"card\.json is damaged: algorithms must be names, got 7"),
        (lambda f: write_card(f, config={"temperature": 1.0}), r"unknown settings temperature: .* another version"),
        (lambda f: exchange(f, b"nothing of the kind"), r"model\.safetensors is not a safetensors file"),
        (
            lambda f: exchange(f, safetensors.torch.save({"a": torch.zeros(2)})),
            r"the parameters in .*model\.safetensors do not fit bellman_ford with",
        ),
    ],
)  # fmt: skip
def test_files_that_cannot_be_loaded(exported, harm, message):
    harm(exported)
    with pytest.raises(ValueError, match=message) as error:
        nar.load(exported)
    assert "\n" not in str(error.value)


def test_the_command(run_dir, tmp_path, capsys, roads):
    assert cli.main(["export", str(run_dir), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"{tmp_path / 'out'}: bellman_ford with triplet_gmpnn, ")
    assert printed[1] == "scores: bellman_ford 75.0% at 16"
    assert printed[2] == f'load it with nar.load("{tmp_path / "out"}")'
    same(*(nar.load(path).run(roads, source="d") for path in (run_dir, tmp_path / "out")))
    assert cli.main(["export", str(run_dir), "--which", "last"]) == 0
    assert read_card(run_dir / "export")["checkpoint"] == "last"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nar export takes one run directory first: nar export runs/NAME --out DIR"),
        (["nowhere"], "no checkpoint nowhere/best.pt"),
        (["RUN", "--otu", "x"], "unknown flag '--otu'; did you mean '--out'"),
        (["RUN", "--out", "RUN"], "is not empty and not an export; choose another --out"),
        (["RUN", "--which", "first"], "--which takes one of best, last; got 'first'"),
    ],
)
def test_mistakes(arguments, message, run_dir, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["export", *(str(run_dir) if word == "RUN" else word for word in arguments)])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and len(error.splitlines()) == 1 and message in error


def test_an_export_is_not_exported_again(exported, tmp_path):
    with pytest.raises(ValueError, match="is an export already; give the run directory"):
        export.write(exported, tmp_path / "twice")
