"""The site's navigation has every page, its links lead where those of the repository do; who is to be cited."""

import importlib.util
import re
import tomllib
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_every_page_is_in_the_navigation_once():
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    pages = re.findall(r": (\S+\.md)$", nav, re.M)
    assert len(pages) == len(set(pages))
    own = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert own | {"index.md", "CHANGELOG.md"} == {page for page in pages if not page.startswith("results/")}
    assert all((ROOT / page).is_file() for page in pages if page.startswith("results/"))


@pytest.mark.parametrize(
    ("here", "link", "turned"),
    [
        ("index.md", "docs/speed.md#several-cores", "speed.md#several-cores"),
        ("index.md", "results/report/README.md", "results/report/README.md"),
        ("training.md", "../nar/training/moments.py", "reference/nar.training.md#nar.training.moments"),
        ("training.md", "sweeps.md", "sweeps.md"),
        ("contributing.md", "../datasets", "reference/nar.datasets.md#nar.datasets"),
        ("processors.md", "../processors/pgn.py", "reference/nar.processors.md#nar.processors.pgn"),
        ("speed.md", "../benchmarks/train_step.png", "benchmarks/train_step.png"),
        ("speed.md", "../benchmarks", "benchmarks/README.md"),
        ("results/report/README.md", "../../docs/protocol.md", "../../protocol.md"),
        ("results/report/README.md", "scores.png", "scores.png"),
        ("speed.md", "https://example.org/a.md", "https://example.org/a.md"),
        ("speed.md", "#here", "#here"),
    ],
)
def test_links_are_turned_to_the_site(here, link, turned):
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location("make_site", ROOT / "docs" / "make_site.py")
    make_site = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_site)
    page = types.SimpleNamespace(file=types.SimpleNamespace(src_uri=here))
    assert make_site.on_page_markdown(f"Read [this]({link}).", page) == f"Read [this]({turned})."


def test_the_citation_names_this_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    fields = dict(re.findall(r"^([\w-]+): (.+)$", citation, re.M))
    assert (fields["version"], fields["license"]) == (project["version"], project["license"])
    assert (
        re.findall(r"^  - (.+)$", citation.split("keywords:\n")[1].split("\nreferences")[0], re.M)
        == project["keywords"]
    )
    assert fields["cff-version"] == "1.2.0" and {"message", "title"} <= fields.keys() and "\nauthors:\n  - " in citation
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    cited = set(re.findall(r"https://arxiv\.org/abs/\S+", citation))
    assert cited == {
        link.rstrip(")") for link in re.findall(r"https://arxiv\.org/abs/[\d.]+", readme.split("## Cite")[1])
    }
