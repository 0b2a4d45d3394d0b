"""`nar check` and `nar list NAME`: what they print, of own processors too, and mistakes in one line."""

import textwrap

import pytest

from nar import processors
from nar.analysis.contract import check
from nar.cli import main as cli


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "checked_module.py").write_text(
        textwrap.dedent(
            """
            import torch
            from torch import nn
            import nar

            class Sound(nar.Processor):
                "Nothing special."

                cost, uses_edges = "N", False

                def __init__(self, features, *, heads=2):
                    super().__init__(features)
                    if features % heads:
                        raise ValueError(f"{features} features for {heads} heads")
                    self.keep = nn.Linear(2 * features, features)

                def forward(self, step, state):
                    return torch.relu(self.keep(torch.cat([step.nodes, state], dim=-1)))

            class Unsound(Sound):
                def forward(self, step, state):
                    return super().forward(step, state).cumsum(1)

            class Unfinished(Sound):
                def forward(self, step, state):
                    return state.relo()

            class Unbuilt(nar.Processor):
                def __init__(self):
                    super().__init__(3)
            """
        )
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", *__import__("sys").path])


def test_the_command(module, capsys):
    assert cli.main(["check", "checked_module:Sound", "--option", "heads=4", "--no-compile"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "checked_module:Sound: checked_module:Sound heads=4"
    assert [line.split()[1] for line in lines[1:-1]] == [name for name in check.CHECKS if name != "compile"]
    assert lines[-1] == "15 hold, 0 fail, 1 skipped"

    assert cli.main(["check", "checked_module:Unsound", "--no-compile"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines if line.split()[0] == "FAIL"] == ["permutation"]

    assert cli.main(["check", "checked_module:Unfinished", "--no-compile"]) == 1
    out = capsys.readouterr().out
    assert "'Tensor' object has no attribute 'relo' (checked_module.py, line 26)" in out
    assert out.splitlines()[-1].endswith("not tried before these are mended")

    assert cli.main(["check", "checked_module:Unbuilt", "--no-compile"]) == 1
    assert "FAIL  shapes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "takes a processor or an algorithm first"),
        (["nowhere:Net"], "no module named 'nowhere'"),
        (["mpn"], "did you mean 'mpnn'"),
        (["checked_module:Missing"], "Missing in checked_module is not found"),
        (["checked_module:Sound", "--option", "width=3"], "has no option 'width'; it has: heads"),
        (["checked_module:Sound", "--option", "heads"], "--option takes name=value"),
        (["checked_module:Sound", "--option", "heads=3"], "16 features for 3 heads (checked_module.py, line "),
        (["checked_module:Sound", "--optin", "heads=2"], "did you mean '--option'"),
    ],
)
def test_mistakes_are_one_line(module, capsys, arguments, words):
    with pytest.raises(SystemExit) as stop:
        cli.main(["check", *arguments])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_what_a_name_stands_for(module, capsys):
    assert cli.main(["list", "triplet_mpnn"]) == 0
    out = capsys.readouterr().out
    assert "arXiv 1704.01212" in out and "triplet_features = 8" in out and "  cost = 'N^3'" in out
    assert "triplets = False" not in out and "chosen by the name: triplets = True" in out
    assert cli.main(["list", "checked_module:Unsound"]) == 0
    assert "  heads = 2\n" in capsys.readouterr().out
    for words, expected in (
        (["mpn"], "did you mean 'mpnn'"), (["belman_ford"], "did you mean 'bellman_ford'"),
        (["mpnn", "gat"], "one processor or algorithm"), (["checked_module:None"], "checked_module"),
    ):  # fmt: skip
        with pytest.raises(SystemExit) as stop:
            cli.main(["list", *words])
        assert stop.value.code == 2 and expected in capsys.readouterr().err


@pytest.mark.parametrize("name", processors.names())
def test_every_name_can_be_looked_up(name, capsys):
    assert cli.main(["list", name]) == 0
    out = capsys.readouterr().out
    assert "options (--option name=value):" in out and len(out.splitlines()[2]) > 20
