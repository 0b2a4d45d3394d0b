"""What training refuses: directories of other runs, settings that do not fit, are out of range, or may not change."""

import dataclasses
import re
import shutil
import typing
from pathlib import Path

import pytest
from tiny_runs import settings

from nar.config import FREE, OF_MOMENTS, Config
from nar.experiments.experiment import train
from nar.system.shapes import misfit, types_of

tiny = pytest.fixture(settings)


# Directories


def test_a_finished_run_is_not_overwritten(tiny, no_report):
    config = tiny()
    train(config)
    before = {p.name: p.read_bytes() for p in config.run_dir.iterdir()}
    with pytest.raises(ValueError, match=r"holds this run at step 6 of 6; add --resume"):
        train(config)
    with pytest.raises(ValueError, match="hidden 8, not 16"):
        train(dataclasses.replace(config, hidden=16))
    with pytest.raises(ValueError, match=r"learning_rate 0\.001, not 0\.01; .*--out"):
        train(dataclasses.replace(config, learning_rate=0.01, resume=True))
    assert {p.name: p.read_bytes() for p in config.run_dir.iterdir()} == before


def test_directories_that_are_no_runs(tiny, no_report):
    config = tiny()
    config.run_dir.mkdir()
    (config.run_dir / "thesis.tex").write_text("important")
    with pytest.raises(ValueError, match="not empty and not a run directory"):
        train(config)
    assert [p.name for p in config.run_dir.iterdir()] == ["thesis.tex"]
    for text in ("{", "[]", '{"hidden": "x"}', '{"hiden": 3}'):
        (config.run_dir / "config.json").write_text(text)
        with pytest.raises(ValueError):
            train(config)
        assert (config.run_dir / "config.json").read_text() == text


def test_checkpoints_of_another_run(tiny, no_report):
    config, other = tiny(resume=True), tiny("other", hidden=16)
    train(config)
    train(other)
    for name, source in (("last.pt", other.run_dir / "last.pt"), ("last.pt", config.run_dir / "best.pt")):
        shutil.copy(source, config.run_dir / name)
        with pytest.raises(ValueError, match=r"last\.pt"):
            train(dataclasses.replace(config, steps=8))


# Settings


def another(name, value):
    """A value of a setting's type that is not this one."""
    kind = types_of(Config)[name]
    choices = typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ()
    usual = (*choices, True, False, 0.25, 7, "another", Path("elsewhere"), ("m:T",), (7,))
    return next(one for one in usual if one != value and misfit(one, kind) is None)


def test_settings_that_may_change_and_those_that_may_not(tiny):
    needed = {name: {"supervision": "moments", "hint_feedback": "hard"} for name in OF_MOMENTS}
    needed |= {"supervision": {"hint_feedback": "hard"}}
    needed |= {name: {"relations": "beside"} for name in ("trails", "like_with_like")}
    needed |= {"auxiliary_weight": {"auxiliary": ("rank",)}}
    needed |= {"freeze": {"init_processor": Path("x")}}
    for field in dataclasses.fields(Config):
        if field.name in ("out", "device"):
            continue
        config = tiny(**needed.get(field.name, {}))
        if field.name == "seeds":
            config = dataclasses.replace(config, seed=Config.seed)
        changed = dataclasses.replace(config, **{field.name: another(field.name, getattr(config, field.name))})
        assert bool(config.differences(changed)) == (field.name not in FREE), field.name


def test_settings_must_fit_algorithm_and_processor(tiny):
    for changes, message in (
        ({"heads": 2}, "'mpnn' has no heads; leave --heads away"),
        ({"processor": "gat", "heads": 3}, "8 cannot be split over 3 heads"),
        ({"processor": "gat", "triplet_features": 4}, "leave --triplet-features away"),
        ({"processor": "mpn"}, "did you mean"),
        ({"algo": "dijkstr"}, "did you mean 'dijkstra'"),
        ({"train_sizes": (4, 0)}, "--train-sizes 0: bfs needs"),
        ({"eval_sizes": (0,)}, "--eval-sizes 0"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
    ):
        config = tiny(**changes)
        with pytest.raises(ValueError, match=re.escape(message)):
            train(config)
        assert not config.run_dir.exists()  # nothing was begun


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 0}, {"learning_rate": float("nan")}, {"learning_rate": 0.0}, {"grad_clip": -1.0},
        {"teacher_forcing": 1.5}, {"teacher_forcing": float("nan")}, {"train_sizes": ()}, {"seed": -1}, {"seed": 2**32},
        {"val_every": 0}, {"steps": -1}, {"dropout": 1.0},
    ],
    ids=str,
)  # fmt: skip
def test_settings_have_limits(changes, tiny):
    flag = next(iter(changes)).replace("_", "-")
    with pytest.raises(ValueError, match=f"--{flag} must be"):
        tiny(**changes)
