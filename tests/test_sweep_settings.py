"""Which runs a sweep has and what they are called, its flags and files, and mistakes in them."""

import dataclasses
from pathlib import Path

import pytest
from tiny_sweeps import folder_with_accidents

from nar.cli import main as cli
from nar.cli import sweep as sweep_command
from nar.cli import sweep_settings
from nar.cli.sweep_settings import read
from nar.config import OF_MOMENTS, Config
from nar.experiments.sweep import NOT_HASHED, digest, directory_name, product

place = pytest.fixture(folder_with_accidents)


# Which runs there are


def test_the_product_goes_seed_by_seed_through_readable_names(tmp_path):
    runs = product(["bfs", "bfs+dfs"], ["mpnn"], [0, 7], Config(), tmp_path, [("hidden", [32, 64])])
    assert [run.name.rsplit("-", 1)[0] for run in runs] == [
        f"{algorithm}-mpnn-hidden{hidden}-seed{seed}"
        for seed in (0, 7) for algorithm in ("bfs", "bfs+dfs") for hidden in (32, 64)
    ]  # fmt: skip
    assert len({run.name for run in runs}) == 8
    assert runs[2].config.algo == ("bfs", "dfs") and runs[3].varied == {"hidden": 64} and runs[3].config.hidden == 64
    assert all(run.config.resume and run.config.run_dir == tmp_path / run.name for run in runs)
    own = Config(processor="my_module:Mine", seed=1)
    assert directory_name(own, {"option": ("a=1/2",)}).startswith("bellman_ford-my_module.Mine-optiona.1.2-seed1-")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["bsf"], ["mpnn"], [0]), "did you mean 'bfs'"),
        ((["bfs"], ["mpn"], [0]), "did you mean 'mpnn'"),
        ((["bfs", "bfs"], ["mpnn"], [0]), "--algos: bfs is given twice"),
        ((["bfs"], ["mpnn"], [1, 1]), "seeds: 1 is given twice"),
        ((["bfs"], [], [0]), "--processors: nothing to sweep over"),
    ],
)
def test_names_are_checked_before_anything_is_trained(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        product(*arguments, Config(), tmp_path)


CHANGED = {
    "algo": ("dfs",), "processor": "pgn", "option": ("a=1",), "train_sizes": (4,), "val_size": 3, "random_pos": False,
    "train_families": ("grid",), "train_weights": ("ties",),
    "layer_norm": False, "log_n_scale": True, "edge_pointer_repair": True, "reconstruction": "plain",
    "freeze": "processor", "encoder_init": "default", "hint_mode": "none", "hint_feedback": "hard",
    "pointer_head": "additive", "dropout": 0.5, "teacher_forcing": 0.5, "reconstruction_weight": 0.5,
    "reconstruction_mask": 0.5, "init_processor": Path("x"), "traces": Path("x"),
    "eval_sizes": (4,), "device": "cpu", "out": Path("x"),
    "resume": True, "workers": 1, "memory": "small", "cuda_graphs": "off", "tracker": ("a:B",), "seeds": (1,),
    "learning_rate_schedule": "one_cycle", "last_moments": 0.5, "history": False,
    "auxiliary": ("rank",), "optimizer": "SGD", "precision": "bf16", "average": 0.5,
    "supervision": "moments", "relations": "beside", "halting": "supervised",
}  # fmt: skip


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Config)])
def test_a_directory_belongs_to_the_settings_that_change_what_is_learned(field):
    default = getattr(Config(), field)
    if field in CHANGED:
        value = CHANGED[field]
    elif isinstance(default, str):  # a choice that joined later
        pytest.skip(f"no other value of {field} is known here")
    else:
        value = (not default) if isinstance(default, bool) else (default or 0) + 1
    before = Config(hint_feedback="hard") if field == "supervision" else Config()
    if field in ("trails", "like_with_like"):
        before = Config(relations="beside")
    if field == "freeze":
        before = Config(init_processor=Path("x"))
    if field in OF_MOMENTS:
        before = Config(supervision="moments", hint_feedback="hard")
    if field == "auxiliary_weight":
        before = Config(auxiliary=("rank",))
    changed = dataclasses.replace(before, **{field: value})
    assert (digest(changed) == digest(before)) == (field in NOT_HASHED), field
    assert (digest(changed, without=["seed"]) == digest(before, without=["seed"])) == (field in NOT_HASHED | {"seed"})


def test_names_stay_when_a_later_version_adds_a_setting(monkeypatch):
    before = digest(Config(hidden=8))
    original = Config.to_dict
    monkeypatch.setattr(Config, "to_dict", lambda self: original(self) | {"of_next_year": 3})
    assert digest(Config(hidden=8)) == before


# Flags and files


def test_flags_come_before_the_file(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        'algos = ["bfs", "bfs+dfs"]\nseeds = 4\nsteps = 7\nlayer_norm = false\neval_sizes = [5, 6]\n'
        'hint_mode = "none"\nrecipe = "protocol"\n'
        "report = false\n[vary]\nhidden = [8, 16]\ntrain_sizes = [[4, 5], [6]]\n"
    )
    sweep, base, vary, _ = read([str(file), "--steps", "9", "--seed-list", "3", "5"])
    assert (sweep.algos, sweep.seeds, sweep.seed_list, sweep.report) == (("bfs", "bfs+dfs"), 4, (3, 5), False)
    assert (base.steps, base.layer_norm, base.eval_sizes, base.hint_mode) == (9, False, (5, 6), "none")
    assert vary == [("hidden", [8, 16]), ("train_sizes", [(4, 5), (6,)])]
    assert sweep.out == Path("runs/mine")
    assert read(["--config", str(file), "--layer-norm"])[1].layer_norm is True
    assert read(["--out", "x"])[0].out == Path("x") and read([])[0].out == Path("runs/sweep")


def test_the_shipped_sweep_is_small(tmp_path):
    assert sweep_settings.shipped() == ["small"]
    sweep, base, vary, _ = read(["small"])
    runs = product(sweep.algos, sweep.processors, range(sweep.seeds), base, sweep.out, vary)
    assert len(runs) == 18 and len(sweep.processors) >= 3 and sweep.seeds >= 3
    assert sweep.out == Path("runs/small") and {run.config.steps for run in runs} == {700}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--algo", "bfs"], "a sweep takes --algos instead of --algo"),
        (["--resume"], "unknown flag '--resume'"),
        (["--stesp", "3"], "did you mean '--steps'"),
        (["--proccessors", "mpnn"], "did you mean '--processors'"),
        (["smal"], "did you mean 'small'"),
        (["--steps", "3", "--steps", "4"], "--steps is given twice"),
        (["small", "bfs"], "unexpected 'bfs'"),
        (["small", "--config", "x.toml"], "--config takes one TOML file"),
        (["--vary", "hidden"], "as in hidden=32,64"),
        (["--vary", "hiden=3"], "did you mean 'hidden'"),
        (["--vary", "seed=3"], "a sweep takes --seeds"),
        (["--vary", "hidden=3,4", "--hidden", "5"], "--hidden is given and varied as well"),
        (["--seeds", "0"], "--seeds must be at least 1; got 0"),
        (["--gpus-per-run", "0.5"], "--gpus-per-run is for --engine ray"),
        (["--vary", "hidden=a"], "--hidden takes a whole number; got 'a'"),
        (["--vary", "layer_norm=yes"], "--vary layer_norm takes true, false or both"),
        (["--seeds", "0", "1"], "for these ones: --seed-list 0 1"),
        (["--hidden", "0"], "--hidden must be at least 1"),
        (["--jobs", "many"], "--jobs takes a whole number; got 'many'"),
    ],
)
def test_mistakes_are_one_line(argv, message, capsys, place):
    with pytest.raises(SystemExit) as stop:
        cli.main(["sweep", *argv])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and message in said and said.count("\n") == 1, said
    assert not (place / "runs").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hiden = 3", "unknown setting 'hiden'; did you mean 'hidden'"),
        ("algo = 'bfs'", "unknown setting 'algo'; did you mean 'algos'"),
        ("vary = 3", "vary is a table"),
        ("a = ", "is not TOML"),
    ],
)
def test_mistakes_in_a_file_name_the_file(text, message, tmp_path):
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        read([str(tmp_path / "bad.toml")])
    assert "bad.toml" in str(error.value)


@pytest.mark.parametrize(
    ("argv", "device", "threads", "jobs"),
    [
        (["--device", "cpu"], "cpu", 1, 4),
        (["--device", "cpu", "--threads", "3"], "cpu", 3, 1),
        (["--device", "cpu", "--jobs", "7"], "cpu", 1, 7),
        (["--engine", "ray"], "cpu", 1, 0),
        (["--engine", "ray", "--gpus-per-run", "0.5"], "auto", 0, 0),
    ],
)
def test_runs_have_one_thread_and_every_core_has_a_run(argv, device, threads, jobs, monkeypatch):
    monkeypatch.setattr("nar.system.limits.cores", lambda: 4)
    config, at_once = sweep_command._settled(*read(argv)[:2])
    assert (config.device, config.threads, at_once) == (device, threads, jobs)
