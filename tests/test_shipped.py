"""Reasoners that come with nar: found by name, evaluated, listed; those that are there are what their cards say."""

import json
import shlex
import sys
from pathlib import Path

import networkx as nx
import pytest
from tiny_runs import SMALL

import nar
from nar import datasets, recipes
from nar.cli import main as cli
from nar.config import Config
from nar.evaluation import protocol
from nar.evaluation.evaluate import entry
from nar.experiments.experiment import train
from nar.inference import export
from nar.model import checkpoint, export_reader
from nar.model.reasoner import Reasoner
from nar.results import schema
from nar.system import files

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # scripts beside each other, not a package
import ship_reasoners

GRAPH = nx.path_graph(5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of five steps of bfs, evaluated on the canonical set."""
    out = tmp_path_factory.mktemp("trained") / "run"
    checks = {"val_every": 5, "val_samples": 2, "eval_sizes": (64,)}
    config = Config(algo="bfs", steps=5, out=out, **checks, **SMALL)
    train(config, command=f"python train.py --algo bfs --steps 5 --out {out} --threads 1")
    return out


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """The folder of shipped reasoners, empty."""
    monkeypatch.setattr(export_reader, "SHIPPED", tmp_path / "reasoners")
    return tmp_path / "reasoners"


def claims(made, out, entries=None, **changes):
    """A copy of a run whose results are right, or as changed, whatever it can do."""
    out.mkdir()
    (out / "best.pt").write_bytes((made / "best.pt").read_bytes())
    results = schema.read(made)
    results["provenance"]["commit"] = "abc1234"
    for one in results["evaluations"]:
        one |= {"score": 1.0, "exact": 1.0} | (entries or {})
    for name, value in changes.items():
        results[name] = results[name] | value if isinstance(value, dict) else value
    files.write_json(out / "results.json", results)
    return out


# Names


def test_a_name_stands_for_a_shipped_reasoner(trained, shipped):
    export.write(trained, shipped / "bfs")
    assert export_reader.shipped() == ["bfs"]
    solver = nar.load("bfs")
    assert solver.source == shipped / "bfs" / "model.safetensors" and solver.config.algo == ("bfs",)
    expected = nar.load(trained).run(GRAPH, source=1)
    found = solver.run(GRAPH, source=1)
    assert found.outputs == expected.outputs and found.confidence == expected.confidence
    begun = Config(algo="bfs", init_processor=Path("bfs"), **SMALL)
    assert checkpoint.read(begun.init_processor).config.hidden == 8


def test_an_existing_path_comes_first(trained, shipped, tmp_path, monkeypatch):
    export.write(trained, shipped / "bfs")
    monkeypatch.chdir(tmp_path)
    own = Config(algo="bfs", processor="mpnn", hidden=4)
    Path("bfs").mkdir()
    with pytest.raises(ValueError, match=r"no checkpoint bfs/best\.pt"):
        nar.load("bfs")
    checkpoint.save(Path("bfs/best.pt"), {"model": Reasoner.from_config(own).state_dict(), "config": own.to_dict()})
    assert nar.load("bfs").config.hidden == 4
    assert nar.load(shipped / "bfs").config.hidden == 8


def test_names_that_stand_for_nothing(trained, shipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"no checkpoint bsf/best\.pt"):
        nar.load("bsf")
    export.write(trained, shipped / "bfs")
    with pytest.raises(ValueError, match=r"no bsf, and no reasoner of this name comes with nar; did you mean 'bfs'\?"):
        nar.load("bsf")
    with pytest.raises(ValueError, match=r"no checkpoint runs/xyzzy/best\.pt"):
        nar.load("runs/xyzzy")


# Commands


def test_it_is_evaluated_and_nothing_is_written(trained, shipped, capsys):
    export.write(trained, shipped / "bfs")
    before = {file: file.read_bytes() for file in shipped.rglob("*") if file.is_file()}
    assert cli.main(["evaluate", "bfs", "--sizes", "6", "--families", "grid", "--samples", "4"]) == 0
    out = capsys.readouterr().out
    reasoner, bfs = nar.load(trained).reasoner, datasets.get("bfs")
    expected = [entry(reasoner, bfs, 6, samples=4, setting=one) for one in ({}, {"family": "grid"})]
    lines = out.splitlines()[1:3]
    assert [f"{100 * e['score']:.2f}%" in line for e, line in zip(expected, lines, strict=True)] == [True, True]
    assert "grid" in lines[1] and before == {f: f.read_bytes() for f in shipped.rglob("*") if f.is_file()}
    with pytest.raises(SystemExit):
        cli.main(["evaluate", "bfs", "--terminations", "learned"])
    assert "it has no halting head" in capsys.readouterr().err


def test_it_is_asked_for_its_faithfulness(trained, shipped, tmp_path, capsys):
    export.write(trained, shipped / "bfs")
    rows = []
    for name in ("bfs", str(trained)):
        out = tmp_path / f"{len(rows)}.json"
        cli.main(["faithfulness", name, "--size", "6", "--small", "5", "--samples", "3", "--out", str(out)])
        (row,) = (row for row in json.loads(out.read_text())["rows"] if row["kind"] == "trained")
        rows.append(row)
    assert rows[0]["external"] == rows[1]["external"] and rows[0]["score"] == rows[1]["score"]
    assert sorted(file.name for file in (shipped / "bfs").iterdir()) == ["card.json", "model.safetensors"]


def test_it_is_listed_with_its_scores(trained, shipped, capsys):
    cli.main(["list"])
    assert "come with nar" not in capsys.readouterr().out
    (one,) = schema.read(trained)["evaluations"]
    export.write(trained, shipped / "bfs")
    cli.main(["list"])
    text = capsys.readouterr().out
    assert f"mpnn, recipe protocol: {one['score']:.2%} ({one['exact']:.0%} exact) at 64" in text


# Making them


def test_what_is_not_exact_is_not_shipped(trained, shipped, tmp_path, monkeypatch):
    def refused(reason, *runs):
        with pytest.raises(ValueError, match=reason):
            ship_reasoners.ship(list(runs), shipped, half=False)
        assert not shipped.exists()

    refused(r"no commit|not exact at 64", trained)  # of this checkout, whether or not it is clean
    refused(r"not exact at 64: score 0\.9900", claims(trained, tmp_path / "a", {"score": 0.99}))
    refused(r"not exact at 64: .* exact 0\.9688", claims(trained, tmp_path / "b", {"exact": 31 / 32}))
    refused(r"no commit \(abc\+\)", claims(trained, tmp_path / "c", provenance={"commit": "abc+"}))
    refused(r"no commit \(None\)", claims(trained, tmp_path / "d", provenance={"commit": None}))
    refused("not evaluated at 64", claims(trained, tmp_path / "e", {"size": 16}))
    refused("not evaluated on the canonical", claims(trained, tmp_path / "f", {"samples": 8}))
    refused("it was interrupted", claims(trained, tmp_path / "g", run={"interrupted": True}))
    refused("only runs of one algorithm", claims(trained, tmp_path / "h", run={"algorithms": ["bfs", "dfs"]}))
    refused("results are of step 3", claims(trained, tmp_path / "i", run={"best_step": 3}))
    # results that claim what the weights cannot do
    honest = claims(trained, tmp_path / "j")
    refused(r"evaluated again, it is not exact at 64: score 0\.", honest)
    monkeypatch.setattr(ship_reasoners.evaluate, "entry", lambda *_: schema.read(honest)["evaluations"][0])
    refused("two runs of one algorithm: bfs bfs", honest, honest)
    monkeypatch.setattr(ship_reasoners, "MOST_BYTES", 5000)
    refused(r"all reasoners would have [\d,]+ bytes, more than 5,000", honest)


def test_exact_runs_are_shipped_with_their_cards(trained, shipped, tmp_path, monkeypatch):
    honest = claims(trained, tmp_path / "run")
    monkeypatch.setattr(ship_reasoners.evaluate, "entry", lambda *_: schema.read(honest)["evaluations"][0])
    for _ in range(2):  # a second time in the place of the first
        assert ship_reasoners.ship([honest], shipped, half=False) == ["bfs"]
    assert sorted(file.name for file in shipped.glob("*/*")) == ["card.json", "model.safetensors"]
    assert_card(shipped, "bfs")
    card = export_reader.read_card(shipped / "bfs")
    assert card["provenance"]["command"] == "python train.py --algo bfs --steps 5"
    assert (card["training"]["seed"], card["config"]["recipe"]) == (42, "protocol")
    with pytest.raises(AssertionError):
        assert_answers(shipped, "bfs")  # five steps are not enough, whatever the results claim
    card["scores"][0]["exact"] = 0.5
    files.write_json(shipped / "bfs" / "card.json", export_reader.sealed(card))
    with pytest.raises(AssertionError):
        assert_card(shipped, "bfs")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("nar train --out /x/y --algo bfs --resume --threads=1 --seed 1", "nar train --algo bfs --seed 1"),
        ("python train.py --algo 'a b' --device cpu --workers 2", "python train.py --algo 'a b'"),
        (None, ""),
    ],
)
def test_commands_without_what_is_local(command, expected):
    assert ship_reasoners.without_local(command) == expected


# Those that are there


def assert_card(folder, name):
    """The card of a shipped reasoner tells whence it is, and that it is exact."""
    card, tensors, _ = export_reader.read(folder / name)
    assert card["algorithms"] == [name] and card["checkpoint"] == "best"
    assert sum(value.numel() for value in tensors.values()) >= card["parameters"]
    size = protocol.canonical_size(datasets.get(name))
    scores = [e for e in card["scores"] if e["size"] == size and not e["setting"] and e["termination"] == "oracle"]
    assert scores and all(e["score"] == 1.0 == e["exact"] for e in scores)
    made = card["provenance"]
    assert made["commit"] and "+" not in made["commit"] and made["nar"]
    words = shlex.split(made["command"])
    assert words and not {"--out", "--resume"} & set(words) and not any(word.startswith("/") for word in words)
    assert card["config"].get("recipe", "protocol") in recipes.RECIPES and isinstance(card["training"]["seed"], int)
    assert str(Path.home()) not in json.dumps(card)


def assert_answers(folder, name):
    """It is exact on graphs of its own training size, which no card can claim for it."""
    algorithm = datasets.get(name)
    found = entry(nar.load(folder / name).reasoner, algorithm, algorithm.fixed_nodes or 16, samples=8)
    assert found["exact"] == 1.0 == found["score"]


@pytest.mark.parametrize("name", export_reader.shipped())
def test_a_shipped_reasoner_is_what_its_card_says(name):
    assert_card(export_reader.SHIPPED, name)
    assert_answers(export_reader.SHIPPED, name)


def test_all_of_them_together_stay_small():
    files = [file for file in export_reader.SHIPPED.rglob("*") if file.is_file()]
    assert export_reader.SHIPPED / "README.md" in files
    assert {file.name for file in files} <= {"README.md", "card.json", "model.safetensors"}
    assert sum(file.stat().st_size for file in files) <= ship_reasoners.MOST_BYTES


def test_weights_that_are_equal_are_no_obstacle():
    """Zachary's karate club: the number of settings in which two members met, from 1 to 7, so that many ways tie."""
    found = nar.load("dijkstra").run(nx.karate_club_graph(), source=0, weight="weight")
    assert found.score == {"pi": 1.0} and found.valid
