"""The faithfulness report: compiled references score 1 everywhere, shuffled ones do not, and the counts are right."""

import dataclasses
import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import nar
from nar import datasets
from nar.analysis.faithfulness.inside import probes, sources, valid_sources, watching
from nar.analysis.faithfulness.outside import external, interventions
from nar.analysis.faithfulness.report import compare, measure, spearman, text
from nar.analysis.references import compiled
from nar.cli import main as cli
from nar.datasets.canonical import draw
from nar.evaluation.evaluate import evaluate, evaluating
from nar.model.batch import collate, training_spec


@pytest.mark.parametrize("name", sorted(compiled.PROGRAMS))
def test_compiled_models_score_one_and_shuffled_ones_lose(name):
    algorithm, exact = datasets.get(name), compiled.compiled(name)
    found = interventions(exact, algorithm, size=12, samples=8)
    assert found["ignored"] == found["ignored_throughout"] == found["followed"] == 1.0
    assert found["irrelevant"] >= 8 and found["relevant"] >= 8
    shuffled = interventions(compiled.permuted(exact), algorithm, size=12, samples=8)
    assert min(shuffled["ignored"], shuffled["followed"]) <= 0.7


def test_answers_that_never_change_are_not_followed():
    """Nothing is reachable, says a network of zeros: true of some nodes after an edge is gone, but not a reaction."""
    reasoner = compiled.compiled("reachability")
    with torch.no_grad():
        for parameter in reasoner.parameters():
            parameter.zero_()
    found = interventions(reasoner, datasets.get("reachability"), size=12, samples=8)
    assert found["ignored"] == 1.0 and found["followed"] == 0.0


def test_interventions_need_edges():
    reasoner = nar.Reasoner.build("insertion_sort", "mpnn", hidden=8)
    with pytest.raises(ValueError, match="insertion_sort has none"):
        interventions(reasoner, datasets.get("insertion_sort"))


def test_external_agreement_of_the_compiled_is_one_at_every_step():
    algorithm = datasets.get("dijkstra")
    found = external(compiled.compiled("dijkstra"), algorithm, draw(algorithm, 16, 4, 0))
    assert set(found["per_step"]) == {1.0} and found["area"] == found["acting"] == found["outputs"] == 1.0
    assert found["below"] is None and set(found["hints"]) == set(algorithm.spec.hints)


def test_external_agreement_counts_entries():
    """A network of zeros says pi = 0, d = 0, msk = 0 everywhere: counted here by hand."""
    algorithm = datasets.get("bellman_ford")
    A = np.zeros((3, 3))
    A[0, 1], A[1, 2] = 1.0, 1.0
    trace = algorithm.run(A=A, s=0)
    assert trace.length == 4 - 1  # reached after two passes; the third changes nothing and is not recorded
    reasoner = compiled.compiled("bellman_ford")
    with torch.no_grad():
        for parameter in reasoner.parameters():
            parameter.zero_()
    found = external(reasoner, algorithm, [trace])
    # moment 1: pi [0 0 2], d [0 1 0], msk [1 1 0]; moment 2: pi [0 0 1], d [0 1 2], msk [1 1 1]
    assert found["hints"]["pi_h"]["per_step"] == [2 / 3, 2 / 3]
    assert found["hints"]["d"]["per_step"] == [2 / 3, 1 / 3]
    assert found["hints"]["msk"]["per_step"] == [1 / 3, 0.0]
    assert found["hints"]["pi_h"]["acting"] == 1 / 2  # pi of node 1 became 0, of node 2 became 1
    assert found["hints"]["d"]["acting"] == found["hints"]["msk"]["acting"] == 0.0
    assert found["per_step"] == pytest.approx([5 / 9, 1 / 3]) and found["area"] == pytest.approx(4 / 9)
    assert found["below"] == 1 and found["acting"] == pytest.approx(1 / 6)


def test_external_agreement_with_another_reasoner():
    algorithm = datasets.get("bfs")
    traces = list(draw(algorithm, 8, 4, 0))
    torch.manual_seed(1)
    one = nar.Reasoner.build("bfs", "mpnn", hidden=8)
    same = external(one, algorithm, traces, against=one)
    assert same["area"] == same["outputs"] == 1.0
    exact = compiled.compiled("bfs")
    # the compiled one says what the trace says, so agreement with either is the same
    assert external(one, algorithm, traces, against=exact) == external(one, algorithm, traces)


def test_valid_sources_by_hand():
    A = np.zeros((4, 4))
    A[0, 1] = A[0, 2] = A[1, 3] = A[2, 3] = 1.0
    for name in ("bfs", "bellman_ford"):
        valid, changed = valid_sources(datasets.get(name).run(A=A, s=0))
        assert changed[0].tolist() == [False, True, True, False]
        assert changed[1].tolist() == [False, False, False, True]
        assert valid[1][:, 3].tolist() == [False, True, True, False]  # a tie: both are valid
        assert valid[0][:, 1].tolist() == [True, False, False, False]
    assert valid_sources(datasets.get("floyd_warshall").run(A=A)) is None


@pytest.mark.parametrize("name", ["bellman_ford", "bfs", "dijkstra", "reachability"])
def test_compiled_models_listen_to_valid_sources(name):
    algorithm, exact = datasets.get(name), compiled.compiled(name)
    found = sources(exact, algorithm, draw(algorithm, 16, 4, 0))
    assert found["mass"] == found["first"] == 1.0 and found["chance"] < 0.5
    shuffled = sources(compiled.permuted(exact), algorithm, draw(algorithm, 16, 4, 0))
    assert shuffled["mass"] < 0.7


@pytest.mark.parametrize("processor", ["mpnn", "pgn", "gat", "gatv2_full", "deepsets"])
def test_watching_changes_nothing_and_sees_whole_shares(processor):
    algorithm = datasets.get("bfs")
    reasoner = nar.Reasoner.build("bfs", processor, hidden=8)
    batch = collate(list(draw(algorithm, 6, 3, 0)), algorithm)
    with evaluating(reasoner):
        plain = reasoner(batch)
        with watching(reasoner) as calls:
            watched = reasoner(batch)
        again = reasoner(batch)
    torch.testing.assert_close(watched.outputs["pi"], plain.outputs["pi"], rtol=1e-5, atol=1e-6)
    assert torch.equal(again.outputs["pi"], plain.outputs["pi"]) and len(calls) == batch.steps
    if processor == "deepsets":
        assert not any(calls)  # nobody listens to anybody
        assert sources(reasoner, algorithm, draw(algorithm, 6, 3, 0)) is None
        return
    for seen in calls:
        (share_BSR,) = seen
        torch.testing.assert_close(share_BSR.sum(1), torch.ones_like(share_BSR[:, 0]))


def test_watching_a_maximum_counts_winning_features():
    """A processor whose message is its sender's channels: the winner of a feature is the node that has the most."""

    class Loudest(nar.Processor):
        def forward(self, step, state):
            x_NF = torch.tensor([[3.0, 0.0, 0.0, 1.0], [0.0, 2.0, 0.0, 4.0], [1.0, 1.0, 1.0, 0.0]])
            return state + step.hood.complete().reduce(step.hood.senders(x_NF.expand(len(state), 3, 4)), "max")

    algorithm = datasets.get("bfs")
    reasoner = nar.Reasoner({"bfs": training_spec(algorithm)}, Loudest(4))
    batch = collate(list(draw(algorithm, 3, 1, 0)), algorithm)
    with evaluating(reasoner), watching(reasoner) as calls:
        reasoner(batch)
    assert calls[0][0][0].tolist() == [[0.25] * 3, [0.5] * 3, [0.25] * 3]


def test_probes_read_compiled_states_and_not_constant_ones():
    algorithm = datasets.get("dijkstra")
    small, large = (list(draw(algorithm, n, 8, n)) for n in (8, 16))
    found = probes(compiled.compiled("dijkstra"), algorithm, small, large)
    assert set(found) == {"d", "mark", "in_queue", "u"}
    assert all(entry["value"] > 0.9999 for entry in found.values())
    silent = compiled.compiled("dijkstra")
    with torch.no_grad():
        for parameter in silent.parameters():
            parameter.zero_()
    found = probes(silent, algorithm, small, large)
    assert found["mark"]["value"] == 0.5 and found["d"]["value"] < 0.5 and found["u"]["value"] < 0.5


def test_spearman_agrees_with_scipy():
    from scipy.stats import spearmanr

    rng = np.random.RandomState(0)
    a = rng.randint(5, size=12) / 5  # with ties
    b = a + rng.rand(12)
    rho, low, high = spearman(list(zip(a, b, strict=True)))
    assert rho == pytest.approx(spearmanr(a, b).statistic) and low < rho < high
    assert spearman([(0.5, 0.5)] * 8) == (None, None, None)
    assert spearman([(0.1, 0.2), (0.2, 0.3)]) == (None, None, None)


def test_measure_says_what_evaluation_says():
    algorithm = datasets.get("bfs")
    reasoner = nar.Reasoner.build("bfs", "mpnn", hidden=8)
    found = measure(reasoner, algorithm, size=8, small=6, samples=4)
    score = evaluate(reasoner, algorithm, list(draw(algorithm, 8, 4, 3)))
    assert found["score"] == score.score and found["exact"] == score.exact / 4
    sort = datasets.get("insertion_sort")
    found = measure(nar.Reasoner.build("insertion_sort", "mpnn", hidden=8), sort, size=6, small=5, samples=2)
    assert found["interventions"] is None and found["sources"] is None and found["external"]["area"] is not None


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    from nar.config import Config
    from nar.experiments.experiment import train

    folder = tmp_path_factory.mktemp("runs")
    torch.set_num_threads(1)
    for seed in (0, 1):
        train(
            Config(
                algo="bfs", processor="mpnn", hidden=8, steps=2, batch_size=4, val_samples=4, eval_sizes=(), seed=seed,
                train_sizes=(4,), device="cpu", threads=1, out=folder / str(seed),
            )
        )  # fmt: skip
    return [str(folder / "0"), str(folder / "1")]


def test_the_report_of_two_runs(runs):
    found = compare(runs, size=8, small=6, samples=4)
    who = [row["who"] for row in found["rows"]]
    assert who == ["mpnn seed 0", "mpnn seed 1", "untrained mpnn", "compiled", "compiled, shuffled"]
    assert found["rows"][3]["external"]["area"] == 1.0 and found["rows"][3]["interventions"]["followed"] == 1.0
    assert [row["who"] for row in found["seeds"]] == ["mpnn seeds 0, 1"]
    assert found["table"]["counts"] == {"bfs": {"not effective, not faithful": 2}}  # of runs, not of baselines
    assert "| bfs | compiled | 1.000 | 1.000 | 1.000 | 1.000 | 1.000 | never | 1.000 | 1.000 | 1.000" in text(found)


def test_every_network_has_an_untrained_one_of_its_own(runs, tmp_path):
    from nar.config import Config
    from nar.experiments.experiment import train

    wider = Config.from_dict(json.loads((Path(runs[0]) / "config.json").read_text()))
    train(dataclasses.replace(wider, hidden=16, out=tmp_path / "wider"))
    found = compare([*runs, tmp_path / "wider"], size=6, small=5, samples=2)
    untrained = {tuple(row["of"]): row["score"] for row in found["rows"] if row["kind"] == "untrained"}
    assert set(untrained) == {tuple(runs), (str(tmp_path / "wider"),)}
    assert [row["who"] for row in found["seeds"]] == ["mpnn seeds 0, 1"]  # not with those of another size
    assert {tuple(row["of"]) for row in found["rows"] if row["kind"] == "compiled"} == {
        (*runs, str(tmp_path / "wider"))
    }


def test_the_command(runs, tmp_path, capsys):
    out = tmp_path / "all.json"
    flags = ["--size", "8", "--small", "6", "--samples", "4", "--out", str(out)]
    assert cli.main(["faithfulness", *runs, *flags]) == 0
    printed = capsys.readouterr().out
    assert "mpnn seeds 0, 1" in printed and "not effective, not faithful" in printed
    everything = json.loads(out.read_text())
    assert len(everything["rows"]) == 5
    for index, run in enumerate(map(Path, runs)):  # what is about a run is left in it
        left = json.loads((run / "faithfulness.json").read_text())
        kept = [{k: v for k, v in row.items() if k not in ("of", "step")} for row in everything["rows"]]
        assert left["rows"] == [kept[index]] and left["baselines"] == kept[2:]
        assert left["measured"]["command"] == shlex.join(["nar", "faithfulness", *runs, *flags])
        assert left["measured"]["nar"] == nar.__version__ and {"commit", "date"} < left["measured"].keys()
        assert (left["size"], left["small"], left["samples"], left["best_step"]) == (8, 6, 4, 2)
        page, text = ((run / name).read_text() for name in ("report.html", "report.md"))
        score = f"{100 * kept[index]['score']:.2f}"
        assert 'id="faithfulness"' in page
        assert re.search(rf"\| mpnn[^|]* \| 1 \| 8 \| 6 \| 4 \| {score} \|", text)
        assert "| compiled reference | – | 8 | 6 | 4 | 100.00 | 100.00 |" in text
    # a second call replaces it; a checkpoint file has no directory to leave anything in
    assert cli.main(["faithfulness", runs[0], "--size", "6", "--small", "5", "--samples", "2"]) == 0
    assert json.loads((Path(runs[0]) / "faithfulness.json").read_text())["size"] == 6
    shutil.copy(Path(runs[0]) / "last.pt", tmp_path / "alone.pt")
    assert cli.main(["faithfulness", str(tmp_path / "alone.pt"), "--size", "6", "--small", "5", "--samples", "2"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"all.json", "alone.pt"}
    capsys.readouterr()
    with pytest.raises(SystemExit):
        cli.main(["faithfulness"])
    assert "run directories" in capsys.readouterr().err
