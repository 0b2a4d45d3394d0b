"""Settings from a file: every run writes one, `nar train --config` reads it, flags come first, mistakes are a line."""

import dataclasses
import tomllib
from pathlib import Path

import pytest

from nar import recipes
from nar.cli import main as cli
from nar.cli import train_settings
from nar.config import Config
from nar.results.run_directory import as_toml, open_run

UNUSUAL = [
    Config(),
    recipes.config("step", algo=("bfs", "my_möbius:algorithm"), eval_sizes=(4, 5), history=False),
    Config(
        option=("a=1", 'b="x"'), init_processor=Path("a folder/run"), tracker=("m:T", "m:U"), layer_norm=False,
        grad_clip=0.0, learning_rate=1e-30, weight_decay=1e20, eval_sizes=(), train_sizes=(4,), seeds=(1, 2),
        optimizer="SGD", patience=3, precision="bf16", average=0.999, learning_rate_schedule="cosine",
    ),
]  # fmt: skip


def read(*argv):
    return train_settings.read(argv, "nar train")


@pytest.mark.parametrize("config", UNUSUAL)
def test_what_a_run_writes_is_read_as_its_settings(config, tmp_path):
    config = dataclasses.replace(config, out=tmp_path / "run", resume=True)
    open_run(config)
    file = tmp_path / "run" / "config.toml"
    assert read("--config", str(file)) == dataclasses.replace(config, out=None, resume=False)
    assert tomllib.loads(file.read_text(encoding="utf-8")) == {
        name: value for name, value in config.to_dict().items() if value is not None and name not in ("out", "resume")
    }


def test_flags_come_before_the_file_and_the_file_before_the_recipe(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_bytes(
        b'\xef\xbb\xbfrecipe = "step"\nhidden = 32\nsteps = 7\ncandidates = false\nalgo = ["bfs", "dfs"]\n'
    )
    expected = recipes.config("step", algo=("bfs", "dfs"), hidden=32, steps=7, candidates=False)
    assert read("--config", str(file)) == expected
    assert read("--steps", "9", "--config", str(file)) == dataclasses.replace(expected, steps=9)
    assert read("--config", str(file), "--candidates") == dataclasses.replace(expected, candidates=True)
    assert type(read()) is Config and read() == recipes.config("step")
    as_protocol = read("--config", str(file), "--recipe", "protocol")
    assert as_protocol == Config(algo=("bfs", "dfs"), hidden=32, steps=7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hiden = 3", "mine.toml: unknown setting 'hiden'; did you mean 'hidden'"),
        ('out = "x"', "mine.toml: unknown setting 'out'"),
        ("a = ", "mine.toml is not TOML"),
        ('hidden = "x"', "mine.toml: error: --hidden takes a whole number; got 'x'"),
        ("hidden = [3, 4]", "mine.toml: error: --hidden takes a whole number; got '3' '4'"),
        ("layer_norm = 3", "mine.toml: error: "),
        ("hidden = 0", "mine.toml: error: --hidden must be at least 1; got 0"),
        ("optimizer = 3", "mine.toml: optimizer must be text in quotes, got 3"),
        ('recipe = "stpe"', "mine.toml: error: unknown recipe 'stpe'"),
    ],
)
def test_mistakes_name_the_file(text, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(text)
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "--config", "mine.toml"])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and message in said and said.count("\n") == 1, said
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


def test_a_file_that_is_not_there(tmp_path, capsys):
    for argv, message in ((["--config", str(tmp_path)], f"no file {tmp_path};"), (["--config"], "--config takes")):
        with pytest.raises(SystemExit):
            cli.main(["train", *argv])
        assert message in capsys.readouterr().err


def test_none_is_left_out():
    assert "train_sizes" not in as_toml(Config()) and "train_sizes = [4]" in as_toml(Config(train_sizes=(4,)))
