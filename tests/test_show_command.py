"""`nar show`: text, figures and animations as files, parameters of the sampler, mistakes in one line."""

import numpy as np
import pytest

from nar import datasets
from nar.cli import main as cli
from nar.traces.drawing import text as show


@pytest.fixture
def nar(tmp_path, monkeypatch, capsys):
    """Runs `nar show` in an empty folder; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NAR_DEBUG", raising=False)

    def command(*arguments):
        capsys.readouterr()
        try:
            code = cli.main(["show", *map(str, arguments)])
        except SystemExit as stop:
            code = stop.code
        printed = capsys.readouterr()
        return code or 0, printed.out, printed.err

    return command


def test_the_command(nar, tmp_path):
    code, out, err = nar("bellman_ford", "--n", 4, "--seed", 3, "--gif", "--p", 0.9)
    assert code == 0 and err == ""
    assert out.splitlines()[-2:] == ["figure: bellman_ford-n4-seed3.png", "animation: bellman_ford-n4-seed3.gif"]
    algorithm = datasets.get("bellman_ford")
    trace = algorithm.run(**algorithm.sample(np.random.RandomState(3), 4, p=0.9))
    assert out.startswith(show.text(trace))
    assert {path.name for path in tmp_path.iterdir()} == {"bellman_ford-n4-seed3.png", "bellman_ford-n4-seed3.gif"}


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_files(ending, nar, tmp_path):
    code, out, _ = nar("minimum", "--n", 3, "--out", f"a/b.{ending}")
    assert code == 0 and out.splitlines()[-1] == f"figure: a/b.{ending}"
    start = (tmp_path / f"a/b.{ending}").read_bytes()[:5]
    assert start == {"png": b"\x89PNG\r", "svg": b"<svg ", "pdf": b"%PDF-"}[ending]
    code, out, _ = nar("minimum", "--n", 3, "--no-figure", "--gif", "c.gif")
    assert code == 0 and out.splitlines()[-1] == "animation: c.gif" and (tmp_path / "c.gif").read_bytes()[:3] == b"GIF"


def test_parameters_of_the_sampler(nar):
    algorithm = datasets.get("minimum")
    trace = algorithm.run(**algorithm.sample(np.random.RandomState(0), 3, low=-5, high=-4.5))
    for given in ("--low -5 --high=-4.5", "--param low=-5 high=-4.5", "--low=-5 --param=high=-4.5"):
        assert nar("minimum", "--n", 3, "--no-figure", *given.split())[1].startswith(show.text(trace))
    printed = nar("bfs", "--n", 4, "--p", "1", "1.0", "--no-figure")[1].splitlines()[5:9]
    assert [line.split() for line in printed] == [f"{v} 1 1 1 1".split() for v in range(4)]  # every edge


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["takes the name of an algorithm"]),
        (["--n", "4"], ["takes the name of an algorithm"]),
        (["belman_ford"], ["unknown algorithm 'belman_ford'", "did you mean 'bellman_ford'"]),
        (["bfs", "--sed", "1"], ["unknown flag '--sed'", "did you mean '--seed'"]),
        (["minimum", "--hihg", "1"], ["unknown flag '--hihg'", "did you mean '--high'"]),
        (["minimum", "--param", "lwo=1"], ["unknown parameter of minimum 'lwo'", "did you mean 'low'"]),
        (["minimum", "--param", "low"], ["--param takes name=value, got 'low'", "low, high"]),
        (["minimum", "--low", "three"], ["low and high must be finite numbers", "'three'"]),
        (["bfs", "--p", "2"], ["p must hold edge probabilities", "2"]),
        (["bfs", "--n", "0"], ["n must be an integer of at least 1 for bfs, got 0"]),
        (["bfs", "--n", "many"], ["--n takes a whole number", "'many'"]),
        (["bfs", "--seed", "-1"], ["--seed must be a whole number from 0", "-1"]),
        (["bfs", "--steps", "1"], ["--steps must be 0 (all) or at least 2"]),
        (["bfs", "--out", "x.jpg"], ["--out must be a file ending in .png, .svg, .pdf, got 'x.jpg'"]),
        (["bfs", "--gif", "x.mp4"], ["--gif must be a file ending in .gif"]),
        (["bfs", "--no-figure", "--out", "x.png"], ["--no-figure"]),
        (["bfs", "4"], ["unexpected '4'"]),
    ],
    ids=" ".join,
)
def test_mistakes(arguments, parts, nar, tmp_path):
    code, out, err = nar(*arguments)
    assert code == 2 and out == "" and len(err.splitlines()) == 1 and err.startswith("nar"), err
    for part in parts:
        assert part in err, err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written(nar, tmp_path):
    (tmp_path / "file").write_text("a file")
    code, _, err = nar("minimum", "--n", 3, "--out", "file/x.png")
    assert code == 2 and len(err.splitlines()) == 1 and "file" in err


def test_help(nar):
    code, out, _ = nar("--help")
    assert code == 0 and "--param" in out and "--gif" in out
