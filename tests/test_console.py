"""Every mistake on the command line is one line on stderr, says what to do, and ends with exit code 2."""

import dataclasses
import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from nar.cli.console import errors, parse
from nar.lookup import closest, suggest


@dataclasses.dataclass
class Settings:
    """Bakes a cake."""

    flavour: tuple[str, ...] = ("plum",)
    """What goes into it."""
    minutes: int = 40
    """Time in the oven."""
    oven_heat: float = 180.0
    """Degrees Celsius."""
    mode: Literal["soft", "hard"] = "soft"
    """How it comes out."""
    eval_sizes: tuple[int, ...] = (16, 32)
    """Diameters."""
    resume: bool = False
    """Go on with the last cake."""
    limit: int | None = None
    """At most so many guests."""
    out: Path = Path("cakes")
    """Where it is put."""
    salted: bool | None = None
    """None = to taste."""

    def __post_init__(self) -> None:
        if self.minutes < 1:
            raise ValueError(f"minutes must be at least 1, got {self.minutes}; leave --minutes out for {40}")


def read(line: str) -> Settings:
    return parse(Settings, line.split(), "bake", "Bakes a cake.")


def test_values_are_read():
    found = read(
        "--flavour plum nut --minutes=3 --oven_heat 1e2 --mode hard --eval-sizes 4 8 --resume --limit 7 --out x"
    )
    assert found == Settings(("plum", "nut"), 3, 100.0, "hard", (4, 8), True, 7, Path("x"))
    assert read("") == Settings()
    assert read("--no-resume --limit None") == Settings()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--minuets 3", "unknown flag '--minuets'; did you mean '--minutes'? (--help lists all)"),
        ("--minutes 3 --oven_haet=3", "unknown flag '--oven-haet'; did you mean '--oven-heat'? (--help lists all)"),
        ("--oh 3", "unknown flag '--oh'; did you mean '--oven-heat'? (--help lists all)"),
        ("--no-minutes", "unknown flag '--no-minutes'; did you mean '--minutes'? (--help lists all)"),
        ("plum", "unexpected 'plum': settings are given by name, as in --flavour VALUE"),
        ("--minutes 1.5", "--minutes takes a whole number; got '1.5'"),
        ("--minutes", "--minutes takes a whole number; got nothing"),
        ("--minutes 3 4", "--minutes takes a whole number; got '3' '4'"),
        ("--oven-heat hot", "--oven-heat takes a number; got 'hot'"),
        ("--eval-sizes 4 x", "--eval-sizes takes whole numbers; got '4' 'x'"),
        ("--mode firm", "--mode takes one of soft, hard; got 'firm'"),
        (
            "--flavour a --flavour b",
            "--flavour is given twice, and only the last would count; give several values after one --flavour",
        ),
        ("--out a --out b", "--out is given twice, and only the last would count"),
        ("--out=", "--out is given an empty value"),
        ("--eval-sizes 4 8 4", "--eval-sizes names 4 twice"),
        ("--limit many", "--limit takes a whole number or None; got 'many'"),
        ("--salted", "--salted takes True or False or None; got nothing"),
        ("--resume true", "--resume takes no value (write it alone, or as --no-...); got 'true'"),
        ("--minutes -3", "minutes must be at least 1, got -3; leave --minutes out for 40"),
    ],
)
def test_one_line_for_a_mistake(line, message, capsys):
    with pytest.raises(SystemExit) as stop:
        read(line)
    out, err = capsys.readouterr()
    assert (stop.value.code, out, err) == (2, "", f"bake: error: {message}\n")


def test_help_is_complete(capsys):
    with pytest.raises(SystemExit) as stop:
        read("--help")
    out = capsys.readouterr().out
    assert not stop.value.code
    assert "Bakes a cake." in out
    for field in dataclasses.fields(Settings):
        assert f"--{field.name.replace('_', '-')}" in out


def stopped(capsys, error):
    with pytest.raises(SystemExit) as stop, errors():
        raise error
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    return err.strip()


def test_what_a_user_can_mend_is_one_line(capsys, tmp_path):
    assert stopped(capsys, ValueError("sizes must be\n positive, got 0")).startswith(
        "nar: error: sizes must be positive, got 0"
    )
    full = OSError(errno.ENOSPC, "No space left on device", "/data/run/last.pt")
    assert stopped(capsys, full) == (
        "nar: error: no space left on device: /data/run/last.pt; free some space and resume: "
        "what was already written is intact"
    )
    denied = PermissionError(errno.EACCES, "Permission denied", tmp_path / "a")
    assert stopped(capsys, denied) == (
        f"nar: error: permission denied: {tmp_path / 'a'}; choose a directory that you may write to"
    )
    with pytest.raises(SystemExit), errors():
        open(tmp_path / "nothing")
    assert capsys.readouterr().err == f"nar: error: no such file or directory: {tmp_path / 'nothing'}\n"


def test_a_value_error_of_other_code_names_its_place(capsys):
    message = stopped(capsys, ValueError("not enough values to unpack"))
    assert "not enough values to unpack (test_console.py, line " in message and "NAR_DEBUG=1" in message


def test_our_own_mistakes_keep_their_traceback(monkeypatch):
    with pytest.raises(ZeroDivisionError), errors():
        _ = 1 / 0
    monkeypatch.setenv("NAR_DEBUG", "1")
    with pytest.raises(ValueError, match="shown in full"), errors():
        raise ValueError("shown in full")


def test_a_closed_pipe_is_no_error():
    code = "from nar.cli.console import errors\nwith errors():\n    for _ in range(10**5): print('line', flush=True)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


def test_a_pipe_that_is_closed_before_anything_is_written_is_none_either():
    reader, writer = os.pipe()
    os.close(reader)
    try:
        code = "import sys; from nar.cli import main as cli; sys.exit(cli.main(['--help']))"
        found = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writer)
    assert (found.returncode, found.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        ("belman_ford", "bellman_ford"),
        ("Bellman-Ford", "bellman_ford"),
        ("prim", "mst_prim"),
        ("sort", "insertion_sort"),
        ("mp", "mst_prim"),
        ("--bfs", "bfs"),
        ("zzz", None),
        ("", None),
    ],
)
def test_closest_name(got, expected):
    assert closest(got, ["bfs", "bellman_ford", "mst_prim", "insertion_sort"]) == expected


def test_suggestions():
    assert suggest("algorithm", "belman_ford", ["bfs", "bellman_ford"], "nar list") == (
        "unknown algorithm 'belman_ford'; did you mean 'bellman_ford'? (nar list)"
    )
    assert suggest("choice", "q", ["soft", "hard"]) == "unknown choice 'q'; known: soft, hard"
    assert suggest("name", "q", [f"name{i}" for i in range(13)], "nar list") == "unknown name 'q' (nar list)"
