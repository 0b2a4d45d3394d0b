"""What mkdocs is told besides mkdocs.yml: the README as first page, a reference made of docstrings, and what is linked
outside of docs/. Pages are written for reading in the repository; here their links are turned to the site.
"""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
SOURCES = {"nar": "nar", "datasets": "nar.datasets", "processors": "nar.processors"}  # folders and their import names
LINK = re.compile(r"(?<=\]\()([^)\s#]+)(#[^)\s]*)?(?=\))")
_tree = tempfile.TemporaryDirectory(prefix="nar-site-")


@event_priority(100)  # before mkdocstrings reads its settings
def on_config(config: Any) -> Any:
    """mkdocstrings reads the packages as they are installed, with datasets and processors in their place."""
    package = Path(_tree.name) / "nar"
    if not package.exists():
        package.mkdir()
        for path in [*(ROOT / "nar").iterdir(), ROOT / "datasets", ROOT / "processors"]:
            (package / path.name).symlink_to(path)
        (package / "__init__.py").unlink()
        text = (ROOT / "nar" / "__init__.py").read_text(encoding="utf-8")
        # a package that imports itself by another name would hide its parts from the reader of its source
        (package / "__init__.py").write_text(re.sub(r" +from nar import .*\n", "", text), encoding="utf-8")
    config.plugins["mkdocstrings"].config["handlers"]["python"]["paths"] = [_tree.name]
    reference = [{name: f"reference/{name}.md"} for name in packages()]
    if not any("Reference" in entry for entry in config.nav):
        config.nav.insert(-1, {"Reference": reference})
    return config


def packages() -> list[str]:
    """The packages, by their import names."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return sorted(found["tool"]["setuptools"]["packages"])


def on_files(files: Files, config: Any) -> Files:
    """Adds pages and files; those that pages link to are looked for until no new ones are found."""
    for name in packages():
        files.append(File.generated(config, f"reference/{name}.md", content=reference(name)))
    waiting = ["README.md", "CHANGELOG.md", *(f"docs/{file.src_uri}" for file in files.documentation_pages())]
    waiting = [path for path in waiting if (ROOT / path).is_file()]
    seen: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if not path.startswith("docs/"):
            files.append(File.generated(config, place(path), abs_src_path=str(ROOT / path)))
        if path.endswith(".md"):
            text = (ROOT / path).read_text(encoding="utf-8")
            targets = [target for link in LINK.finditer(text) if (target := local(path, link[1])) is not None]
            for target in (t for t in targets if not t.startswith("docs/") and not module(t)):
                found = ROOT / target
                if found.is_dir() and not (found / "README.md").is_file() and target not in seen:
                    seen.add(target)
                    files.append(File.generated(config, f"{target}/README.md", content=listing(target)))
                    waiting += [f"{target}/{path.name}" for path in listed(target)]
                else:
                    waiting.append(f"{target}/README.md" if found.is_dir() else target)
    return files


def listed(folder: str) -> list[Path]:
    """The files of a folder that has no page of its own."""
    kept = (".py", ".md", ".json", ".png", ".csv", ".toml")
    return sorted(path for path in (ROOT / folder).iterdir() if path.suffix in kept)


def listing(folder: str) -> str:
    """A page that lists a folder."""
    return f"# {folder}\n\n" + "".join(f"- [{path.name}]({path.name})\n" for path in listed(folder))


def reference(package: str) -> str:
    """The page of a package: what its docstring says, and everything public of its modules."""
    folder = folder_of(package)
    modules = sorted(path.stem for path in folder.glob("*.py") if path.stem not in ("__init__", "__main__"))
    names = [package, *(f"{package}.{stem}" for stem in modules)]
    alone = "    options:\n      members: false\n      show_root_heading: false\n"
    return f"# {package}\n\n" + "\n".join(f"::: {name}\n{alone if name == package else ''}" for name in names)


def folder_of(package: str) -> Path:
    for folder, name in SOURCES.items():
        if name != "nar" and package.startswith(name):
            return ROOT / folder
    return ROOT / package.replace(".", "/")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page with its links turned to where things are on the site."""
    here = page.file.src_uri
    if here.startswith("reference/"):
        return markdown
    if (ROOT / here).parent.is_dir() and not (ROOT / here).exists() and here.endswith("/README.md"):
        return markdown
    path = "README.md" if here == "index.md" else here if (ROOT / here).is_file() else f"docs/{here}"

    def turned(link: re.Match[str]) -> str:
        target = local(path, link[1])
        if target is None:
            return link[0]
        if (name := module(target)) is not None:
            package = name if (ROOT / target).is_dir() else name.rpartition(".")[0]
            return relative(f"reference/{package}.md", here) + f"#{name}"
        if (ROOT / target).is_dir():
            return relative(f"{place(target)}/README.md", here)
        return relative(place(target), here) + (link[2] or "")

    return LINK.sub(turned, markdown)


def local(path: str, link: str) -> str | None:
    """What a link of the file at `path` leads to in the repository; None for the web and for what is not there."""
    target = os.path.normpath(os.path.join(os.path.dirname(path), link))
    return target if "://" not in link and not target.startswith("..") and (ROOT / target).exists() else None


def module(target: str) -> str | None:
    """The import name of a Python file or package of nar; None for everything else."""
    folder, _, rest = target.partition("/")
    if folder not in SOURCES or not (target.endswith(".py") or (ROOT / target / "__init__.py").is_file()):
        return None
    name = ".".join(filter(None, [SOURCES[folder], rest.removesuffix(".py").replace("/", ".")]))
    return name.removesuffix(".__init__")


def place(target: str) -> str:
    """Where a file of the repository is on the site."""
    return "index.md" if target == "README.md" else target.removeprefix("docs/")


def relative(target: str, here: str) -> str:
    return os.path.relpath(target, os.path.dirname(here) or ".")
