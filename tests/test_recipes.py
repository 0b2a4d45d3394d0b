"""Recipes: what runs begin with, what comes before it, and that none is called by a recipe that it does not have."""

import dataclasses
import json
import typing

import pytest

import nar
from nar import recipes
from nar.cli import main as cli
from nar.cli import sweep_settings, train_settings
from nar.config import FREE, Config, RecipeName
from nar.experiments.experiment import train
from nar.experiments.sweep import digest, product
from nar.model import checkpoint
from nar.reports import report
from nar.results import comparability, run_labels, schema

STEP = dict(recipes.RECIPES["step"].settings)
TINY = {"steps": 2, "val_every": 1, "val_samples": 2, "eval_sizes": (5,), "eval_samples": 2, "batch_size": 2}
TINY |= {"train_sizes": (4,), "device": "cpu", "threads": 1}


@pytest.fixture
def tiny_step(tmp_path):
    return recipes.config("step", algo="bfs", out=tmp_path / "run", learning_rate_schedule="constant", **TINY)


def flags(settings):
    """Settings as words of a command line."""
    words = []
    for name, value in settings.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        else:
            words += [flag, *(map(str, value) if isinstance(value, tuple) else [str(value)])]
    return words


def test_the_table_fits_the_settings():
    assert tuple(recipes.RECIPES) == typing.get_args(RecipeName)
    fields = {field.name: field.default for field in dataclasses.fields(Config)}
    assert not recipes.RECIPES["protocol"].settings
    for name, recipe in recipes.RECIPES.items():
        assert recipe.settings.keys() <= fields.keys() - {"recipe", "algo", "seed", "seeds", "out", "resume"}
        assert all(value != fields[key] for key, value in recipe.settings.items()), f"{name} sets a default"
        assert recipe.about and "\n" not in recipe.about


def test_a_recipe_in_a_program():
    made = recipes.config("step", algo="bfs", steps=100)
    assert nar.recipes is recipes
    expected = dataclasses.asdict(Config(algo="bfs", steps=100)) | STEP | {"recipe": "step", "steps": 100}
    assert dataclasses.asdict(made) == expected
    assert recipes.config("protocol") == recipes.config() == Config()
    assert recipes.config("step", hidden=24).hidden == 24 != made.hidden
    with pytest.raises(ValueError, match=r"unknown recipe 'stpe'; did you mean 'step'\? \(nar list\)"):
        recipes.config("stpe")
    with pytest.raises(TypeError, match="recipe"):
        recipes.config("step", recipe="protocol")


@pytest.mark.parametrize("more", [{}, {"algo": "bfs", "processor": "mpnn", "seed": 3, "steps": 9, "device": "cpu"}])
def test_a_name_without_its_settings_is_refused(more):
    with pytest.raises(
        ValueError, match=r"nothing but the protocol's settings: .*nar\.recipes\.config\('step', \.\.\.\)"
    ):
        Config(recipe="step", **more)
    with pytest.raises(ValueError, match=r"unknown recipe 'stpe'; did you mean 'step'"):
        Config(recipe="stpe")


def test_flags_come_before_the_recipe():
    def read(*argv):
        return train_settings.read(argv, "nar train")

    assert read("--recipe", "protocol") == Config()
    assert read("--recipe", "protocol", "--hidden", "32") == Config(hidden=32)
    assert read("--recipe", "step") == read("--recipe=step") == recipes.config("step")
    expected = recipes.config("step", algo="bfs", hidden=32, eval_sizes=(4, 5))
    for argv in (["--recipe", "step", "--hidden", "32"], ["--hidden", "32", "--recipe", "step"]):
        assert read("--algo", "bfs", *argv, "--eval-sizes", "4", "5") == expected
    # whoever gives every flag of another recipe gets its settings, but not its name
    assert read("--recipe", "protocol", *flags(STEP)) == dataclasses.replace(recipes.config("step"), recipe="protocol")
    # a flag with the protocol's default is a flag all the same
    assert read("--recipe", "step", "--hidden", str(Config.hidden)) == recipes.config("step", hidden=Config.hidden)


def test_step_unless_a_network_is_named():
    def read(*argv):
        return train_settings.read(argv, "nar train")

    assert read() == read("--processor", "relational") == recipes.config("step")
    assert read("--processor", "mpnn") == Config(processor="mpnn")
    assert read("--processor", "mpnn", "--recipe", "step") == recipes.config("step", processor="mpnn")


def test_a_mistake_about_what_a_recipe_sets_names_the_recipe(capsys):
    for argv, named in ((["--hint-mode", "none"], True), (["--hint-mode", "none", "--processor", "mpnn"], False)):
        with pytest.raises(SystemExit) as stop:
            cli.main(["train", *argv, "--hint-feedback", "hard"])
        said = capsys.readouterr().err
        assert stop.value.code == 2 and "must be left away with --hint-mode none" in said
        assert ("--recipe step" in said) == named


def test_sweeps_begin_as_runs_do(tmp_path):
    for names, recipe in [([], "step"), (["relational"], "step"), (["relational", "mpnn"], "protocol")]:
        argv = ["--algos", "bfs", "--seeds", "1", *(["--processors", *names] if names else [])]
        found = [run.config for run in runs_of(argv, tmp_path)]
        assert [one.processor for one in found] == (names or ["relational"])
        assert {one.recipe for one in found} == {recipe} and {one.hidden for one in found} == {found[0].hidden}
        assert found[0].hidden == recipes.config(recipe).hidden


def test_help_shows_the_defaults_of_the_recipe(capsys):
    def help_of(*argv):
        with pytest.raises(SystemExit) as stop:
            cli.main(["train", *argv, "--help"])
        assert not stop.value.code
        return " ".join(capsys.readouterr().out.replace("│", " ").split())

    for name in recipes.RECIPES:
        text = help_of("--recipe", name)
        assert f"another processor than step's is. (default: {name})" in text
        assert f"Width of node, edge and graph features. (default: {recipes.config(name).hidden})" in text
    assert help_of() == help_of("--recipe", "step") != help_of("--recipe", "protocol")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["train", "--recipe", "stpe"], "nar train: error: unknown recipe 'stpe'; did you mean 'step'? (nar list)"),
        (["train", "--recipe"], "--recipe takes one of protocol, step; got nothing"),
        (["train", "--recipe", "step", "protocol"], "--recipe takes one of protocol, step; got 'step' 'protocol'"),
        (["train", "--recipe", "step", "--hiden", "3"], "unknown flag '--hiden'; did you mean '--hidden'?"),
        (["train", "--recipe", "step", "--hidden", "x"], "--hidden takes a whole number; got 'x'"),
        (["train", "--recipe", "step", "--hidden", "0"], "--hidden must be at least 1; got 0"),
        (["sweep", "--recipe", "stpe"], "unknown recipe 'stpe'; did you mean 'step'?"),
        (["sweep", "--vary", "recipe=step,stpe"], "unknown recipe 'stpe'; did you mean 'step'?"),
        (["sweep", "--vary", "recipe=step", "--recipe", "step"], "--recipe is given and varied as well"),
    ],
)
def test_mistakes(argv, message, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(argv)
    error = capsys.readouterr().err
    assert stop.value.code == 2 and len(error.splitlines()) == 1 and message in error


# Sweeps


def runs_of(argv, folder):
    sweep, base, vary, of_recipe = sweep_settings.read(argv)
    return product(sweep.algos, sweep.processors or [None], [0], base, folder, vary, of_recipe)


def test_a_sweep_begins_with_a_recipe(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('recipe = "step"\nalgos = ["bfs"]\nbatch_size = 16\n')
    (run,) = runs_of([str(file), "--steps", "7"], tmp_path)
    expected = recipes.config("step", algo="bfs", batch_size=16, steps=7, seed=0, resume=True, out=run.config.out)
    assert run.config == expected
    assert run.config.processor == recipes.config("step").processor  # nobody asked for another
    (other,) = runs_of([str(file), "--steps", "7", "--processors", "pgn"], tmp_path)
    assert other.config.processor == "pgn"


def test_recipes_are_varied_with_all_that_they_set(tmp_path):
    argv = ["--algos", "bfs", "--vary", "recipe=protocol,step", "batch_size=2,4", "--grad-clip", "0.5"]
    found = [run.config for run in runs_of(argv, tmp_path)]
    assert [(one.recipe, one.batch_size, one.grad_clip) for one in found] == [
        (name, size, 0.5) for name in ("protocol", "step") for size in (2, 4)
    ]
    for one in found:
        begun = recipes.config(one.recipe)
        assert {name: getattr(one, name) for name in STEP} == {name: getattr(begun, name) for name in STEP}
        assert one.processor == begun.processor
    assert len({one.out for one in found}) == 4
    # a flag that happens to be a recipe's own default is a flag all the same
    argv = ["--vary", "recipe=protocol,step", "--hidden", str(Config.hidden), "--batch-size", "8"]
    assert {run.config.hidden for run in runs_of(argv, tmp_path)} == {Config.hidden}


def test_a_directory_belongs_to_the_settings_and_not_to_their_name():
    step = recipes.config("step")
    assert digest(step) == digest(dataclasses.replace(step, recipe="protocol")) != digest(Config())


# Files of runs


def test_a_run_says_by_which_recipe_it_was_made(tiny_step):
    results = train(tiny_step)
    folder = tiny_step.run_dir
    assert results["config"]["recipe"] == json.loads((folder / "config.json").read_text())["recipe"] == "step"
    assert checkpoint.read(folder).config == nar.load(folder).config
    assert nar.load(folder).config.recipe == "step" and nar.load(folder).config.hidden == tiny_step.hidden
    text = (folder / "report.md").read_text()
    assert "By the recipe step, but for" in text and "not the published protocol: not comparable" in text
    assert "| recipe | step |" in text  # the table of settings
    assert "By the recipe step, but for batch size 2" in report.table(results)
    # a label: another one is no other run, and the run goes on
    again = dataclasses.replace(tiny_step, recipe="protocol", resume=True, steps=3)
    assert again.differences(tiny_step) == [] and train(again)["run"]["steps"] == 3


def test_runs_without_a_recipe_are_the_protocols():
    values = Config(hidden=16).to_dict()
    del values["recipe"]
    assert Config.from_dict(values) == Config(hidden=16) and Config.from_dict(values).recipe == "protocol"
    assert Config.from_dict(recipes.config("step").to_dict()) == recipes.config("step")


def stored(config):
    """What results.json says of a run that was not made."""
    run = {
        "algorithms": list(config.algo), "processor": config.processor, "seed": config.seed, "steps": config.steps,
        "steps_planned": config.steps, "interrupted": False, "best_validation": 1.0, "best_step": 5, "left_out": {},
        "train_sizes": {"bfs": [4, 7, 11, 13, 16]}, "validation_size": {"bfs": 16}, "validation": {"bfs": 1.0},
    }  # fmt: skip
    results = {"schema": 2, "run": run, "config": config.to_dict(), "provenance": {}, "evaluations": []}
    return schema.upgraded(results)


def test_warnings_name_the_recipe_and_what_departs_from_it():
    end = "not the published protocol: not comparable with published scores."
    step = recipes.config("step", algo="bfs")
    assert comparability.of_run(stored(step)) == [f"By the recipe step, {end}"]
    other = stored(dataclasses.replace(step, batch_size=8))
    assert comparability.of_run(other) == [f"By the recipe step, but for batch size 8, {end}"]
    short, long = stored(dataclasses.replace(step, steps=500)), stored(dataclasses.replace(step, steps=5000))
    assert comparability.of_run(short)[0].startswith("Trained for 500 steps, the recipe step for 1,000: not comparable")
    assert comparability.of_run(short)[1:] == comparability.of_run(long) == [f"By the recipe step, {end}"]
    assert comparability.unusual(step.to_dict()) == {}
    assert comparability.unusual(step.to_dict() | {"recipe": "protocol"}).keys() == STEP.keys() - FREE - {"processor"}
    assert comparability.of_run(stored(Config(algo="bfs"))) == []
    unknown = stored(step)
    unknown["config"]["recipe"] = "of_next_year"
    assert comparability.of_run(unknown)[1].startswith("By the recipe of_next_year, but for ")


def test_labels_name_the_recipe_where_runs_differ_in_it():
    protocol, step = Config(algo="bfs", processor="mpnn"), recipes.config("step", algo="bfs", processor="mpnn")
    wide = dataclasses.replace(step, batch_size=8)

    def labels(*configs):
        return run_labels.of_runs([stored(one) for one in configs])

    assert labels(step, step) == ["mpnn", "mpnn"]
    assert labels(protocol, step, wide) == ["mpnn", "mpnn, recipe step", "mpnn, recipe step, batch size 8"]
    assert labels(step, wide) == ["mpnn", "mpnn, batch size 8"]
    without = stored(protocol)
    del without["config"]["recipe"]
    assert run_labels.of_runs([without, stored(step)]) == ["mpnn", "mpnn, recipe step"]


def test_the_list_says_what_a_recipe_sets(capsys):
    assert cli.main(["list"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for name, recipe in recipes.RECIPES.items():
        assert f"{name} {recipe.about} {' '.join(flags(recipe.settings)) or 'the defaults of every flag'}" in text
