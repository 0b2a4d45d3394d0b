"""`nar list ALGORITHM`: its probes, the order relations and the candidates that a network is given."""

import re

import pytest

from nar import datasets
from nar.cli import main as cli
from nar.model.batch import training_spec
from nar.model.options import in_words
from nar.model.options.relations import Relations
from nar.traces.spec import Stage


def test_what_is_said_of_dijkstra(capsys):
    assert cli.main(["list", "dijkstra"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("dijkstra (graphs)\nnar.datasets.dijkstra\n\nprobes:\n")
    assert re.search(r"^  hint +node +u +mask_one$", text, flags=re.M)
    assert "    pos_i < or > pos_j; pos_j is next above pos_i; pos_i is next above" in text
    assert "    d_i + A_ij < or > d_j; d_j + A_ji < or > d_i;" in text
    assert "  without --like-with-like (the recipe step has it), 12 more\n" in text
    assert "    d_i < or > 0\n" in text
    assert "  d_j\n    pos_j; d_j; d_j + a constant\n" in text
    assert "    of any node i: pos_i; d_i; A_ij; pos_i + A_ij; d_i + A_ij\n" in text
    assert "  p = (0.5,), in training (0.1, 0.2," in text and "  low = 0.0\n" in text
    assert "families: erdos_renyi, barabasi_albert," in text and "  trained on sizes 4 7 11 13 16\n" in text
    assert "auxiliary tasks (--auxiliary):\n  degree of adj; nearest of A\n" in text
    assert text.rstrip().endswith("nar show dijkstra runs it")
    assert cli.main(["list", "segments_intersect"]) == 0
    assert "  sizes of at least 1; always 4 nodes\n" in capsys.readouterr().out


@pytest.mark.parametrize("name", datasets.names())
def test_every_algorithm_can_be_looked_up(name):
    text = in_words.described(name)
    spec = training_spec(datasets.get(name))
    assert all(re.search(rf"^  {p.stage} +{p.location} +{key} +{p.type}", text, flags=re.M) for key, p in spec.items())
    assert max(map(len, text.splitlines())) <= in_words.WIDTH and len(text.splitlines()) < 240
    counts = Relations(spec.quantities, (Stage.INPUT, Stage.HINT), like_with_like=True).counts
    for place, words in in_words.PLACES.items():
        total = sum(count for (_, where), count in counts.items() if where == place)
        assert (f"  {words}: {total}\n" in text) if total else f"  {words}:" not in text
    numbers = [key for key, p in spec.items() if p.stage is Stage.HINT and p.type == "scalar"]
    found = text.partition("what the next value of a number can be")[2]
    assert bool(found) == bool(numbers)
    assert all(re.search(rf"^  {key}(_j|_ij|)$", found, flags=re.M) for key in numbers)


def test_texts_that_differ_in_the_sign_are_one():
    says = ("a < b", "a > b", "b is next above a", "x of m < that of n", "x of m > that of n", "a < c")
    expected = ["a < or > b", "b is next above a", "x of m < or > that of n", "a < c"]
    assert list(in_words._shorter(says)) == expected


def test_only_a_few_of_many_are_named():
    text = in_words.described("find_maximum_subarray")
    places = re.findall(r"for \(key|, (\d+) more", text)
    assert len(places) > 3 and all(int(more) > 0 for more in places if more)


def test_an_algorithm_of_ones_own(tmp_path, monkeypatch, capsys):
    (tmp_path / "own_algorithms.py").write_text("import nar\n\nmine = nar.datasets.get('minimum')\n")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["list", "own_algorithms:mine"]) == 0
    assert re.search(r"^  input +node +key +scalar$", capsys.readouterr().out, flags=re.M)
