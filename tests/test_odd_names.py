"""Nodes and runs of any name, printed, drawn, and shown in notebooks and reports: never a traceback, never a garbled
terminal, never a broken page."""

import html.parser
import os
import unicodedata
import xml.etree.ElementTree as ET

import made_up_runs
import networkx as nx
import numpy as np
import pytest

import nar
from nar.cli import console
from nar.reports import report
from nar.results import study
from nar.text_format import printable, quoted, unquoted
from nar.traces.drawing import figure

FAMILY = "\U0001f468\u200d\U0001f469"  # a joiner between two pictures


class Red:
    def __repr__(self):
        return "red\n\x1b[31m<b>"


class Broken:
    def __repr__(self):
        raise RuntimeError("no name")


NAMES = {
    "control": ["\0", "\x1b[31mred", "a\nb", "\r", "\x07"],
    "surrogate": ["\udc80", "\ud800x", "a", "b", "c"],
    "long": ["x" * 5000, "y" * 5000, "z", "v", "w"],
    "empty": ["", " ", "  ", "\t", "a"],
    "mixed": [1, "1", 1.5, ("a", 2), frozenset([1])],
    "numpy": [np.int64(1), np.float32(2.5), np.str_("a"), ("b", np.int8(3)), np.bytes_(b"c")],
    "markup": ["<b>", "&amp;", '"', "</table>", "$x_{"],
    "xml": ["\x01", "\ufffe", "\uffff", "]]>", "\x85"],
    "direction": ["\u202eabc", "\u2028", "\ufeff", FAMILY, "\u0301"],
    "objects": [Red(), Broken(), (Red(), Broken()), b"\xff", "c"],
}


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.right, self.cells = [], True, 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.cells += tag == "td"

    def handle_endtag(self, tag):
        self.right = bool(self.open) and self.open.pop() == tag and self.right


def garbling(text):
    """Characters that a terminal obeys, a file or page cannot hold, or that change what stands beside them."""
    return {c for c in text if c != "\n" and (unicodedata.category(c) in ("Cc", "Cs", "Cn") or c in "\u2028\u202e")}


@pytest.fixture(scope="module")
def solver():
    return nar.load("dijkstra")


def ring(names):
    graph = nx.Graph()
    for i, name in enumerate(names):
        graph.add_edge(name, names[(i + 1) % len(names)], weight=0.1 + 0.13 * i)
    return graph


@pytest.mark.filterwarnings("ignore:Glyph")  # letters that a font lacks
@pytest.mark.parametrize("kind", NAMES)
def test_a_prediction_on_nodes_of_odd_names(solver, kind):
    names = NAMES[kind]
    prediction = solver.run(ring(names), source=names[0])
    assert list(prediction.outputs["pi"]) == names  # given back as they are
    page = prediction._repr_html_()
    for text in (str(prediction), repr(prediction), page, "\n".join(prediction.summary())):
        assert not garbling(text)
        assert max(map(len, text.split("\n"))) < 4000
    assert len(str(prediction).split("\n")) == 7  # a line for every node
    read = Page(page)
    assert read.right and not read.open and read.cells == 4 * len(names)
    drawn = prediction.draw()
    ET.fromstring(figure.encoded(drawn, ".svg"))
    assert figure.encoded(drawn, ".pdf").startswith(b"%PDF")


@pytest.mark.parametrize("kind", NAMES)
def test_messages_about_nodes_of_odd_names(solver, kind):
    graph = ring(names := NAMES[kind])
    for source in ("nosuch", Red(), Broken(), "\x1b[31m" * 1000):
        with pytest.raises(ValueError, match="source must be one of") as found:
            solver.run(graph, source=source)
        assert not garbling(str(found.value)) and len(str(found.value)) < 600
    graph.add_edge(names[0], names[2], weight="x" * 1000)
    with pytest.raises(ValueError, match="weight of edge") as found:
        solver.run(graph, source=names[0])
    assert not garbling(str(found.value)) and len(str(found.value)) < 600


def test_names_that_look_alike_differ(solver):
    page = solver.run(ring(NAMES["mixed"]), source=1)._repr_html_()
    assert "<td>1</td>" in page and "<td>&#x27;1&#x27;</td>" in page
    assert "<td>a</td>" in solver.run(ring(["a", "b", 3]), source="a")._repr_html_()


def test_printable_text():
    assert printable("a\0\x1b[1m\ud800\u202e\n") == "a\\x00\\x1b[1m\\ud800\\u202e\\n"
    assert printable("a\n\tb", keep="\n") == "a\n\\tb"
    wide = "1\u00a0000 \u6f22\u5b57 e\u0301"
    assert printable(wide) == wide
    assert (quoted(np.int64(3)), quoted("3"), quoted(("a", np.str_("b")))) == ("3", "'3'", "('a', 'b')")
    assert unquoted("x" * 50, 10) == "x" * 7 + "..." and unquoted("x" * 10, 10) == "x" * 10 and unquoted(3) == "3"
    assert len(quoted("x" * 5000)) <= 40 and "Broken" in quoted(Broken())


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_reports_of_runs_in_folders_of_odd_names(tmp_path):
    odd = tmp_path / "a|b\n<c>`\x1b[31m"
    for folder in (odd, tmp_path / "other"):
        made_up_runs.write(folder, made_up_runs.run())
    path = report.write(study.read([odd, tmp_path / "other"]), tmp_path / "report")
    for file in (path, path.with_suffix(".md")):
        text = file.read_text(encoding="utf-8")
        assert not garbling(text.replace("\t", "")) and "\\x1b[31m" in text
    assert "<c>" not in path.read_text(encoding="utf-8")


def test_the_line_about_a_mistake_obeys_nobody(capsys):
    with pytest.raises(SystemExit):
        console.fail("no \x1b[31mred\udc80\u202e folder\r\n")
    assert capsys.readouterr().err == "nar: error: no \\x1b[31mred\\udc80\\u202e folder\n"
