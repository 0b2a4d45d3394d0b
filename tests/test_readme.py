"""The README and docs/ hold what they promise: code runs as it stands; commands, flags, names and links exist."""

import contextlib
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

import nar
from nar.analysis.contract import check
from nar.cli import console, train_settings
from nar.cli import main as cli
from nar.cli.evaluate import Evaluate
from nar.cli.export import Export
from nar.cli.report import Report
from nar.cli.sweep_settings import Sweep, read
from nar.config import Config
from nar.experiments.experiment import train
from nar.inference import export
from nar.model.batch import draw, training_spec
from nar.model.objectives.losses import total_loss
from nar.nn.neighbourhood import Neighbourhood

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
TINY = {
    "steps": 2,
    "batch_size": 2,
    "train_sizes": (4, 5),
    "val_size": 4,
    "val_samples": 2,
    "eval_sizes": (4,),
    "eval_samples": 2,
    "hidden": 8,
    "device": "cpu",
}
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
# of `nar show`, as tests/test_show_command.py knows them
SHOW = {"--n", "--p", "--low", "--law", "--family", "--param", "--no-figure", "--gif"}
ELSEWHERE = {
    "--help",
    "--nproc-per-node",
    "--all",
    "--logdir",
    "--no-report",
    "--config",
    "--strict",
}  # flags that are not settings


def text(page):
    return (ROOT / page).read_text()


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text(page), flags=re.M | re.S)


def prose(page):
    return re.sub(r"^```.*?^```$", "", text(page), flags=re.M | re.S)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder as the README leaves it: with the run directory of its first command, from a run of two steps."""
    folder = tmp_path_factory.mktemp("reader")
    with contextlib.chdir(folder):
        train(nar.recipes.config("step", algo="bellman_ford", **TINY, out="runs/bellman_ford-relational-step-seed42"))
        export.write("runs/bellman_ford-relational-step-seed42", "shared/bellman_ford")  # docs/using.md's own command
    assert (folder / "runs" / "bellman_ford-relational-step-seed42" / "best.pt").is_file()
    return folder


def numbered_blocks():
    for page in PAGES:
        found = blocks(page, "python")
        assert page not in ("README.md", "docs/processors.md") or len(found) >= 3
        # README: every block can be copied alone. docs: a page's blocks follow on one another.
        parts = [[block] for block in found] if page == "README.md" else [found] * bool(found)
        yield from (pytest.param(part, id=f"{page}-{i + 1}") for i, part in enumerate(parts))


@pytest.mark.parametrize("part", list(numbered_blocks()))
def test_code_runs_as_it_stands(part, workplace, monkeypatch, capsys, no_report):
    monkeypatch.chdir(workplace)
    torch.manual_seed(0)
    scope = {"__name__": "reader"}
    for block in part:
        exec(compile(block, "block", "exec"), scope)
    printed = capsys.readouterr().out
    assert printed or not re.search(r"^ *print\(", "\n".join(part), flags=re.M)
    for value in list(scope.values()):  # a processor that is only shown must work, too
        if isinstance(value, type) and issubclass(value, nar.Processor) and value is not nar.Processor:
            check_processor(value)


def check_processor(kind):
    """It trains on every algorithm, all of its parameters on some; what it says about history is true."""
    idle = None
    for name in nar.datasets.names():
        algorithm = nar.datasets.get(name)
        reasoner = nar.Reasoner({name: training_spec(algorithm)}, kind(8))
        batch = draw(algorithm, nodes=5, samples=8, seed=[1], random_pos=True)
        loss = total_loss(batch, reasoner(batch))
        loss.backward()
        assert torch.isfinite(loss)
        without = {n for n, p in reasoner.processor.named_parameters() if p.grad is None or not p.grad.any()}
        idle = without if idle is None else idle & without
    assert not idle, f"{kind.__name__}: no gradient for {idle}"
    seen = []
    processor = reasoner.processor
    forward = processor.forward
    processor.forward = lambda step, state: seen.append((step, state)) or forward(step, state)
    reasoner(batch)
    step, state = seen[1]
    with torch.no_grad():
        differs = not torch.equal(forward(step, state), forward(step, state + 1.0))
    assert differs == kind.uses_history


def commands(page):
    for block in blocks(page, "bash"):
        for line in block.splitlines():
            yield from filter(None, (part.strip() for part in line.split("#")[0].split("&&")))


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist(page, workplace, capsys):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for command in commands(page):
        words = shlex.split(command)
        if words[:2] == ["pip", "install"]:
            assert words[2:3] == ["-e"] and len(words) == 4
            extra = re.fullmatch(r"\.(?:\[(\w+)\])?", words[3])
            assert extra and (extra[1] is None or extra[1] in extras), command
        elif words[:2] in (["python", "train.py"], ["nar", "train"]):
            with contextlib.chdir(workplace):
                config = train_settings.read(words[2:], "nar train")
            assert [nar.datasets.get(name) for name in config.algo]
            if ":" not in config.processor:
                assert config.processor in nar.processors.names()
        elif words[:2] == ["nar", "list"]:
            assert cli.main(words[1:]) == 0
        elif words[:2] == ["nar", "check"]:  # run by test_own_processor_from_the_command_line
            assert len(words) == 3 and (words[2].startswith("my_module:") or nar.processors.find(words[2]))
        elif words[:2] in (["nar", "show"], ["nar", "export"]):
            with contextlib.chdir(workplace):
                assert cli.main(words[1:]) == 0
        elif words[:2] == ["nar", "evaluate"]:
            flags = words[next((i for i, word in enumerate(words) if word.startswith("--")), len(words)) :]
            console.parse(Evaluate, flags, "nar evaluate")
        elif words[:2] == ["nar", "sweep"]:
            assert read(words[2:])
        elif words[:2] == ["nar", "report"]:
            flags = words[next((i for i, word in enumerate(words) if word.startswith("--")), len(words)) :]
            console.parse(Report, flags, "nar report")
        elif words[0] == "torchrun":
            assert "train.py" in words, command
            train_settings.read(words[words.index("train.py") + 1 :], "nar train")
        elif words[:2] == ["nar", "faithfulness"]:
            assert not set(FLAG.findall(command)) - {"--size", "--small", "--samples", "--out"}
        elif words[0] == "mkdocs":  # .ci/run builds the site
            assert words[1:] == ["build", "--strict"] and (ROOT / "mkdocs.yml").is_file()
        elif words[0] == "python":
            assert (ROOT / words[1]).is_file(), command
        else:
            assert words[0] == "pytest", f"{page}: the test does not know the command {command!r}"
    if page == "README.md":
        assert len(list(commands(page))) >= 5


@pytest.mark.parametrize("page", PAGES)
def test_flags_in_the_text_exist(page):
    settings = {
        *Config.__dataclass_fields__,
        *Evaluate.__dataclass_fields__,
        *Export.__dataclass_fields__,
        *Sweep.__dataclass_fields__,
        *Report.__dataclass_fields__,
    }
    known = {f"--{name.replace('_', '-')}" for name in settings} | ELSEWHERE | SHOW
    assert not set(FLAG.findall(prose(page))) - known


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", text(page)):
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target.split("#")[0]).exists(), target


def test_names_in_the_text_exist():
    listed = text("docs/processors.md").split("## What there is")[1]
    rows = re.findall(r"^\| (`.*?) \|", listed, flags=re.M)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == nar.processors.names()
    contract = text("docs/processors.md").split("## What must hold")[1].split("## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", contract, flags=re.M) == list(check.CHECKS)
    for page in PAGES:
        for name in re.findall(r"\bhood\.(\w+)\(", text(page)):
            assert callable(getattr(Neighbourhood, name))
    declared = text("docs/processors.md").split("## What it declares")[1].split("## ")[0]
    for name, default in re.findall(r"^\| `(\w+)` \|.*\| `(.+)` \|$", declared, flags=re.M):
        assert getattr(nar.Processor, name) == eval(default)


@pytest.mark.parametrize(("page", "name"), [("README.md", "MyProcessor"), ("docs/processors.md", "Recurrent")])
def test_own_processor_from_the_command_line(page, name, tmp_path):
    """The block saved as my_module.py and trained by the page's own command; then loaded and run."""
    (block,) = (block for block in blocks(page, "python") if f"class {name}(" in block)
    command, checked = (command for command in commands(page) if f"my_module:{name}" in command)
    (tmp_path / "my_module.py").write_text(block)
    flags = [f"--{key.replace('_', '-')}" for key in TINY]
    values = [[str(v) for v in value] if isinstance(value, tuple) else [str(value)] for value in TINY.values()]
    tiny = [word for flag, value in zip(flags, values, strict=True) for word in (flag, *value)]
    words = shlex.split(command)
    assert words[:2] == ["nar", "train"]
    directory = f"runs/bellman_ford-my_module.{name}-seed42"
    assert str(Config(algo="bellman_ford", processor=f"my_module:{name}").run_dir) == directory
    tiny += ["--out", directory]
    program = (  # the script `nar`, which has not the current folder on its path, twice; then a reader's own script
        "import sys; sys.path.pop(0)\n"
        "from nar.cli.main import main\n"
        f"assert main({[*words[1:], *tiny]}) == 0\n"
        f"del sys.modules['my_module']\n"
        f"assert main({[*shlex.split(checked)[1:], '--no-compile']}) == 0\n"
        "del sys.modules['my_module']\n"
        "import networkx, nar\n"
        f"solver = nar.load({directory!r})\n"
        "print(type(solver.reasoner.processor).__name__, repr(solver.run(networkx.path_graph(4), source=0)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and " hold, 0 fail, " in done.stdout, done.stdout + done.stderr
    assert (tmp_path / directory / "report.md").is_file()
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"{name} Prediction(bellman_ford, nodes=4, steps=3, pi: "), done.stderr


def test_the_map_of_folders_is_the_tree():
    rows = re.findall(r"^\| `([a-z]+/(?:[a-z]+/)?)` \|", text("README.md"), flags=re.M)
    tree = {f"nar/{path.parent.name}/" for path in (ROOT / "nar").glob("*/__init__.py")}
    assert {row for row in rows if row.startswith("nar/")} == tree
    assert all((ROOT / row).is_dir() for row in rows) and len(rows) == len(set(rows))


def test_the_ways_through_the_house_exist():
    """Every path and every name in brackets of docs/contributing.md's table is there."""
    rows = [row for row in text("docs/contributing.md").splitlines() if row.startswith("| ") and "?" in row]
    assert len(rows) >= 10
    for row in rows:
        paths, folder = re.findall(r"`([\w/.]+)`", row), ""
        for path in paths:
            folder = path.rpartition("/")[0] or folder
            if "/" in path or path.endswith(".py"):
                assert (ROOT / folder / path.rpartition("/")[2]).exists(), path
        for name in re.findall(r"\(`(\w+)`\)", row):
            files = [ROOT / p for p in paths if p.endswith(".py") and "/" in p]
            files += [
                (ROOT / paths[0]).parent / p if "." in paths[0] else ROOT / paths[0] / p for p in paths if "/" not in p
            ]
            assert any(f"def {name}" in file.read_text() for file in files if file.is_file()), name
