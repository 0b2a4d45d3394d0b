"""Reasoners loaded from a run directory answer as they did when they were saved; what cannot be loaded says why."""

import dataclasses
import inspect
import sys

import networkx as nx
import pytest
import torch

import nar
from nar.config import Config
from nar.model import checkpoint
from nar.model.batch import training_spec
from nar.model.reasoner import Reasoner

CONFIG = Config(algo="bellman_ford", processor="triplet_gmpnn", hidden=16, triplet_features=4, seed=5)


@pytest.fixture
def run_dir(tmp_path):
    """A run directory whose two checkpoints differ; no training needed."""
    nar.datasets.get("bellman_ford")
    reasoner = Reasoner.from_config(CONFIG)
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("best.pt", "last.pt"):
        checkpoint.save(folder / name, {"model": reasoner.state_dict(), "config": CONFIG.to_dict()})
        with torch.no_grad():
            for parameter in reasoner.parameters():
                parameter.add_(0.05)
    return folder


def test_loaded_equals_what_was_saved_bit_for_bit(run_dir, roads):
    options = {"source": "d", "weight": "miles"}
    reasoner = Reasoner.from_config(CONFIG)
    expected = nar.Solver(reasoner).run(roads, **options)
    before = torch.get_rng_state()
    best = nar.load(run_dir)
    assert torch.equal(torch.get_rng_state(), before) and not best.reasoner.training
    found = best.run(roads, **options)
    assert found.outputs == expected.outputs and found.confidence == expected.confidence
    assert all((found.hints[name] == value).all() for name, value in expected.hints.items())
    for path in (str(run_dir), run_dir / "best.pt"):
        assert nar.load(path).run(roads, **options).confidence == expected.confidence
    last = nar.load(run_dir, "last").run(roads, **options)
    assert last.confidence != expected.confidence
    assert nar.load(run_dir / "last.pt").run(roads, **options).confidence == last.confidence


def test_a_solver_says_what_it_is(run_dir):
    solver = nar.load(run_dir)
    assert solver.config == CONFIG and solver.source == run_dir / "best.pt"
    for word in ("bellman_ford", "triplet_gmpnn", f"{solver.reasoner.parameter_count():,}", "best.pt", "cpu"):
        assert word in repr(solver)
    assert "steps on" not in repr(solver) and "run(graph, source=NODE)" in repr(solver)
    about = {"model": solver.reasoner.state_dict(), "config": CONFIG.to_dict()}
    checkpoint.save(run_dir / "best.pt", about | {"best": {"step": 1234, "score": 0.98765}})
    assert "1,234 steps on up to 16 nodes, best validation 98.77%" in repr(nar.load(run_dir))
    checkpoint.save(run_dir / "best.pt", about | {"best": {"step": 7, "score": -float("inf")}})
    assert nar.load(run_dir).score is None and "7 steps on up to 16 nodes" in repr(nar.load(run_dir))
    own = nar.Solver(solver.reasoner)
    assert own.config is None and own.source is None and "MPNN" in repr(own)
    assert own.to("cpu") is own
    with pytest.raises(ValueError, match="unknown device 'tpu'"):
        own.to("tpu")
    for name in ("run", "run_many"):
        signature = inspect.signature(getattr(nar.Solver, name))
        assert {"source", "weight", "algorithm", "steps", "termination"} < signature.parameters.keys()
        assert "Prediction" in str(signature.return_annotation)


def test_files_that_cannot_be_loaded(run_dir, tmp_path):
    for path, message in (
        (tmp_path / "nowhere", r"no checkpoint .*nowhere.best\.pt"),
        (tmp_path / "nowhere.pt", r"no checkpoint .*nowhere\.pt"),
        (tmp_path, r"no checkpoint .*best\.pt"),
    ):
        with pytest.raises(ValueError, match=message):
            nar.load(path)
    with pytest.raises(ValueError, match="unknown checkpoint 'first'; known: best, last"):
        nar.load(run_dir, "first")
    whole = (run_dir / "best.pt").read_bytes()
    for content, message in ((whole[:1000], "truncated or not a checkpoint"), (b"", "truncated")):
        (run_dir / "best.pt").write_bytes(content)
        with pytest.raises(ValueError, match=message):
            nar.load(run_dir)
    torch.save({"model": {}}, run_dir / "best.pt")
    with pytest.raises(ValueError, match="not a checkpoint of nar"):
        nar.load(run_dir)
    checkpoint.save(run_dir / "best.pt", {"model": {}})
    with pytest.raises(ValueError, match="holds no reasoner"):
        nar.load(run_dir)
    checkpoint.save(run_dir / "best.pt", {"model": {}, "config": CONFIG.to_dict()})
    with pytest.raises(ValueError, match="do not fit bellman_ford with MPNN"):
        nar.load(run_dir)
    newer = CONFIG.to_dict() | {"temperature": 1.0}
    checkpoint.save(run_dir / "best.pt", {"model": {}, "config": newer})
    with pytest.raises(ValueError, match=r"unknown settings temperature: .*best\.pt is of another version"):
        nar.load(run_dir)


@pytest.mark.parametrize(
    ("processor", "options"),
    [
        ("triplet_gmpnn", {"hidden": 16, "triplet_features": 4, "layer_norm": False}),
        ("gat", {"hidden": 8, "heads": 2, "hint_feedback": "hard", "history": False, "pointer_head": "additive"}),
        ("finite_state", {"hidden": 8, "states": 3, "candidates": True, "selection": True, "relations": "beside"}),
        ("pyg_gatv2", {"hidden": 8, "skip": False}),
        ("mpnn", {"hidden": 8, "reconstruction": "masked", "reconstruction_mask": 0.5, "halting": "supervised"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_reasoner_of_ones_own_loop_is_saved_and_loaded(processor, options, tmp_path, roads):
    reasoner = Reasoner.build(["bellman_ford", "bfs"], processor, **options)
    with torch.no_grad():
        for parameter in reasoner.parameters():
            parameter.add_(0.05)
    assert reasoner.save(tmp_path / "runs" / "own") == tmp_path / "runs" / "own" / "best.pt"
    assert reasoner.save(str(tmp_path / "own.pt")) == tmp_path / "own.pt"
    asked = {"source": "d", "algorithm": "bellman_ford"}
    expected = nar.Solver(reasoner.eval()).run(roads, **asked)
    for path in (tmp_path / "runs" / "own", tmp_path / "own.pt"):
        found = nar.load(path).run(roads, **asked)
        assert found.outputs == expected.outputs and found.confidence == expected.confidence
    again = nar.load(tmp_path / "own.pt").reasoner.save(tmp_path / "again.pt")
    assert nar.load(again).config == nar.load(tmp_path / "own.pt").config


def test_a_compiled_network_is_saved_as_what_it_was_before(tmp_path):
    reasoner = Reasoner.build("bfs", "mpnn", hidden=8)
    wanted = {name: value.clone() for name, value in reasoner.state_dict().items()}
    reasoner.processor = torch.compile(reasoner.processor)  # compiled at its first call, which does not come
    assert reasoner.state_dict().keys() != wanted.keys()
    for saved in (reasoner.save(tmp_path / "part.pt"), torch.compile(reasoner).save(tmp_path / "whole.pt")):
        found = nar.load(saved).reasoner.state_dict()
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], value) for name, value in wanted.items())


class Plain(nar.Processor):
    """Is in no file that could be imported again."""

    def __init__(self, features, *, heads=4):
        super().__init__(features)
        self.keep = torch.nn.Linear(features, features * heads)

    def forward(self, step, state):
        return self.keep(step.nodes)[..., : self.features]


def test_defaults_of_ones_own_class_are_saved_not_those_of_the_command_line(tmp_path):
    """--heads is 1 there, 4 here."""
    reasoner = Reasoner.build("bfs", f"{__name__}:Plain", hidden=8)
    assert nar.load(reasoner.save(tmp_path / "own.pt")).config.heads == 4


def test_what_cannot_be_saved_or_was_saved_otherwise_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match=r"is no name: make it by nar.Reasoner.build"):
        Reasoner({"bfs": training_spec(nar.datasets.get("bfs"))}, Plain(8)).save(tmp_path / "own.pt")
    reasoner = Reasoner.build("bfs", "mpnn", hidden=8)
    torch.save(reasoner, tmp_path / "module.pt")
    torch.save(reasoner.state_dict(), tmp_path / "state.pt")
    torch.save({"model": reasoner.state_dict(), "epoch": 3}, tmp_path / "more.pt")
    for name, words in (
        ("module", r"whole Python objects.*would run code.*reasoner.save\(PATH\)"),
        ("state", r"is a state dict.*load_state_dict.*reasoner.save\(PATH\)"),
        ("more", "not a checkpoint of nar; .* made by reasoner.save"),
    ):
        with pytest.raises(ValueError, match=words):
            nar.load(tmp_path / f"{name}.pt")
    reasoner.processor = Plain(8)  # is not what the settings say any more
    with pytest.raises(ValueError, match="do not fit bfs with MPNN"):
        reasoner.save(tmp_path / "own.pt")
    assert not (tmp_path / "own.pt").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a device that is absent")
def test_a_device_that_is_absent(run_dir):
    with pytest.raises(ValueError, match="no CUDA device"):
        nar.load(run_dir, device="cuda")


def test_own_processor_is_imported_again(tmp_path, monkeypatch):
    source = (
        "import nar\n"
        "class Still(nar.Processor):\n"
        "    uses_history = False\n"
        "    def forward(self, step, state):\n"
        "        return step.nodes\n"
    )
    (tmp_path / "still_module.py").write_text(source)
    config = dataclasses.replace(CONFIG, processor="still_module:Still", triplet_features=8)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        reasoner = Reasoner.from_config(config)
        checkpoint.save(tmp_path / "best.pt", {"model": reasoner.state_dict(), "config": config.to_dict()})
        loaded = nar.load(tmp_path)
        assert type(loaded.reasoner.processor).__name__ == "Still"
        expected = nar.Solver(reasoner).run(nx.path_graph(4), source=0).confidence
        assert loaded.run(nx.path_graph(4), source=0).confidence == expected
    del sys.modules["still_module"]
    with pytest.raises(ValueError, match="no module named 'still_module'; run from the folder that holds it"):
        nar.load(tmp_path)
