"""What a process of the command line has at its end is not searched for garbage; while modules load, nothing is."""

import gc
import subprocess
import sys

import pytest

from nar.cli import main as cli
from nar.system import collector

PROGRAM = """
import gc
from nar.cli import main
from nar.system import collector

class Garbage:
    def __init__(self):
        self.itself = self

    def __del__(self):
        print("found")

gc.disable()  # else it might be found before
{call}
Garbage()
"""


@pytest.mark.parametrize(
    ("call", "found"),
    [("", ["found"]), ("collector.no_search_at_the_end()", []), ("main.main(['--version'])", [])],
)
def test_garbage_is_left_where_the_command_line_ends(call, found):
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(call=call)], capture_output=True, text=True, check=True)
    assert [line for line in done.stdout.splitlines() if not line.startswith("nar ")] == found and done.stderr == ""


def test_it_is_paused_while_the_modules_of_a_command_load(monkeypatch):
    seen = []

    class Command:
        @staticmethod
        def main(words):
            seen.append(gc.isenabled())

    monkeypatch.setattr("importlib.import_module", lambda name: seen.append(gc.isenabled()) or Command)
    assert gc.isenabled() and cli.main(["list"]) == 0 and seen == [False, True] and gc.isenabled()


def test_a_pause_ends_as_it_began():
    with pytest.raises(KeyError), collector.paused():
        raise KeyError
    assert gc.isenabled()
    gc.disable()
    try:
        with collector.paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
