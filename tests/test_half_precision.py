"""Weights in half precision: where every decision stays, and refused where one changes."""

import pytest
import torch
from tiny_runs import SMALL

import nar
from nar import datasets
from nar.cli import main as cli
from nar.config import Config
from nar.evaluation import protocol
from nar.evaluation.evaluate import evaluate
from nar.inference import export, half_precision
from nar.model import checkpoint, export_reader
from nar.model.reasoner import Reasoner


def run_of(folder, change, algo="bfs"):
    """A run directory of an untrained network whose parameters are changed."""
    torch.manual_seed(0)
    config = Config(algo=algo, **SMALL)
    reasoner = Reasoner.from_config(config)
    with torch.no_grad():
        change(reasoner)
    folder.mkdir()
    checkpoint.save(folder / "best.pt", {"model": reasoner.state_dict(), "config": config.to_dict()})
    return folder


def rounded(reasoner):
    for parameter in reasoner.parameters():
        parameter.copy_(parameter.half())


def shrunk(reasoner):
    """Outputs as before but for their scale, which is too small for half precision."""
    rounded(reasoner)
    for parameter in reasoner.decoders.parameters():
        parameter.mul_(2.0**-40)


def grown(reasoner):
    next(reasoner.processor.parameters()).mul_(1e6)


@pytest.mark.parametrize("algo", ["bfs", "insertion_sort"])
def test_half_precision_where_every_decision_stays(tmp_path, algo, monkeypatch):
    monkeypatch.setattr(protocol, "CANONICAL_SIZE", 20)  # less to compute
    run = run_of(tmp_path / "run", rounded, algo)
    whole, half = (export.write(run, tmp_path / name, half=name == "half") for name in ("whole", "half"))
    short, long = (export_reader.read(path)[1] for path in (half, whole))
    assert {value.dtype for value in short.values()} == {torch.float16}
    assert all(torch.equal(short[name].float(), value) for name, value in long.items())
    sizes = [(path / "model.safetensors").stat().st_size for path in (half, whole)]
    assert sizes[1] - sizes[0] >= sum(2 * value.numel() for value in long.values())
    card = export_reader.read_card(half)
    assert [(one["algorithm"], one["size"], one["samples"]) for one in card["half_precision"]] == [
        (algo, 16, 32), (algo, 20, 32)
    ]  # fmt: skip
    assert all(len(one["sha256"]) == 64 and one["seed"] == 3 for one in card["half_precision"])
    assert "half_precision" not in export_reader.read_card(whole)
    loaded = nar.load(half).reasoner
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    traces = list(datasets.canonical.draw(datasets.get(algo), 9, 4, 7, {}))
    scores = [evaluate(nar.load(path).reasoner, datasets.get(algo), traces) for path in (half, whole)]
    assert scores[0].outputs == scores[1].outputs and scores[0].outputs
    assert scores[0].hints == scores[1].hints and scores[0].first_errors == scores[1].first_errors


def test_constants_of_candidates_are_never_rounded(monkeypatch):
    monkeypatch.setattr(protocol, "CANONICAL_SIZE", 8)
    config = Config(algo="task_scheduling", candidates=True, train_sizes=(8,), **SMALL)
    reasoner = Reasoner.from_config(config)
    with torch.no_grad():
        rounded(reasoner)
        reasoner.coders("task_scheduling")[1].choices["t"].constants[0] = 0.01
    state = reasoner.state_dict()
    short, _ = half_precision.halved(reasoner, state, config)
    assert short.keys() == state.keys()
    for name, value in short.items():
        assert value.dtype == (torch.float32 if name.endswith("constants") else torch.float16)
        assert torch.equal(value.float(), state[name])


def test_half_precision_that_changes_a_decision_is_refused(tmp_path, capsys):
    run = run_of(tmp_path / "small", shrunk)
    with pytest.raises(ValueError, match=r"changes decisions of bfs in 32 of 32 graphs of nar/test at size 16; export"):
        export.write(run, tmp_path / "out", half=True)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="has numbers too large for half precision; export without --half"):
        export.write(run_of(tmp_path / "large", grown), tmp_path / "out", half=True)
    with pytest.raises(SystemExit) as stop:
        cli.main(["export", str(run), "--half"])
    assert stop.value.code == 2 and len(capsys.readouterr().err.splitlines()) == 1


def test_a_hint_that_differs_counts_until_its_graph_ends(tmp_path):
    bfs = datasets.get("bfs")
    reasoner = Reasoner.from_config(Config(algo="bfs", **SMALL))
    (_, batch, one), *_ = half_precision.rollouts(
        reasoner, bfs, datasets.canonical.draw(bfs, 8, 6, 1, {"p": [0.3]}), decide_hints=True
    )
    other = half_precision.predict(reasoner, batch, decide_hints=True)
    assert len(set(batch.lengths)) > 1
    assert not half_precision._differing(reasoner.specs["bfs"], batch, one, other).any()
    last = len(one.hints) - 1
    other.hints[last]["reach_h"][:] = 1 - other.hints[last]["reach_h"]  # of all graphs, at the end of the longest
    found = half_precision._differing(reasoner.specs["bfs"], batch, one, other)
    assert found.tolist() == [length > last + 1 for length in batch.lengths]


def test_the_command_says_where_half_precision_was_compared(tmp_path, capsys):
    run = run_of(tmp_path / "run", rounded)
    assert cli.main(["export", str(run), "--out", str(tmp_path / "out"), "--half"]) == 0
    assert "every decision is that of the whole weights on bfs at 16 (32 graphs), bfs at 64" in capsys.readouterr().out
