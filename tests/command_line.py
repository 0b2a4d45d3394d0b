"""The command line in an empty folder, a training run in miniature, and what a mistake may print."""

import sys

from nar.cli import console
from nar.cli import main as cli

TINY = (
    "--algo bfs --processor mpnn --hidden 8 --steps 4 --batch-size 2 --train-sizes 4 --val-size 4 --val-samples 2 "
    "--val-every 2 --checkpoint-every 2 --eval-sizes 4 --eval-samples 2 --device cpu --threads 1"
).split()


def command_in_empty_folder(tmp_path, monkeypatch, capsys):
    """Runs a command in an empty folder; returns exit code, stdout and stderr: what a fixture gives."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("NAR_DEBUG", raising=False)

    def run(*arguments):
        capsys.readouterr()
        try:
            code = cli.main(with_last([str(a) for a in arguments]))
        except SystemExit as stop:
            code = stop.code
        printed = capsys.readouterr()
        return code or 0, printed.out, printed.err

    return run


def with_last(argv):
    """Of flags given twice the last ones: a command line refuses both."""
    words, flags = console.split(argv)
    return [*words, *(word for name, values in dict(flags).items() for word in (name, *values))]


def assert_one_line(found, *parts):
    """Exit code 2 and one line on stderr that begins with the program and holds these parts."""
    code, _, err = found
    lines = err.strip().splitlines()
    errors = [line for line in lines if "error:" in line]
    assert code == 2 and "Traceback" not in err, err
    assert len(errors) == 1 and errors[0] == lines[-1] and errors[0].startswith("nar"), err
    for part in parts:
        assert part in errors[0], errors[0]
    return lines


def refused(found, *parts):
    """A mistake found before anything was begun: nothing else on stderr."""
    assert len(assert_one_line(found, *parts)) == 1
