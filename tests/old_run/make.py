"""Make two small runs and an export of one, and record what they answer, with the nar that is installed:

    OMP_NUM_THREADS=1 python tests/old_run/make.py

Writes plain/, options/ and export/ beside this file, and answers.json; checkpoints are packed (.gz). They were made by
commit 88dc53b, before nar's files were laid out anew, and stand for every run that its users have: they are not made
anew, tests/test_old_runs.py holds later versions to them.
"""

import contextlib
import dataclasses
import gzip
import json
import os
import shutil
import tempfile
from pathlib import Path

import nar
from nar.config import Config
from nar.experiments.experiment import train
from nar.inference import export

HERE = Path(__file__).parent
KEPT, PACKED = ("config.json", "metrics.jsonl", "results.json"), ("best.pt", "last.pt")
SETTINGS = {
    "algo": "bellman_ford", "processor": "mpnn", "hidden": 8, "batch_size": 4, "train_sizes": (4, 5), "val_size": 5,
    "val_samples": 8, "val_every": 20, "checkpoint_every": 20, "eval_sizes": (5, 8), "eval_samples": 4, "steps": 60,
    "learning_rate": 0.01, "seed": 3, "device": "cpu", "threads": 1,
}  # fmt: skip
RUNS = {
    "plain": {"seed": 8},  # the best step of this seed is not the last
    "options": {"reconstruction": "plain", "halting": "supervised", "hidden": 4},
}
FURTHER = 10  # steps of the resumed run

# six nodes, both directions, one of them (5) alone
GRAPH = [
    [0.0, 0.31, 0.0, 0.87, 0.0, 0.0],
    [0.31, 0.0, 0.42, 0.0, 0.95, 0.0],
    [0.0, 0.42, 0.0, 0.16, 0.23, 0.0],
    [0.87, 0.0, 0.16, 0.0, 0.0, 0.0],
    [0.0, 0.95, 0.23, 0.0, 0.0, 0.0],
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
]
SOURCE = 1


def unpacked(name, folder):
    """A copy of a run in `folder`, as it was."""
    folder.mkdir()
    for file in KEPT:
        shutil.copy(HERE / name / file, folder)
    for file in PACKED:
        (folder / file).write_bytes(gzip.decompress((HERE / name / f"{file}.gz").read_bytes()))
    return folder


def answer(reasoner, **options):
    """What a reasoner says of GRAPH, ready for JSON."""
    found = reasoner.run(GRAPH, source=SOURCE, **options)
    return {
        "steps": found.steps,
        "pi": found.compact["pi"].tolist(),
        "confidence": list(found.confidence["pi"].values()),
        "score": found.score["pi"],
        "hints": {name: values.tolist() for name, values in found.hints.items()},
    }


def resumed(folder):
    """The records of metrics that a run adds when it goes on, in `folder`, a copy of it."""
    config = Config.from_dict(json.loads((folder / "config.json").read_text()))
    train(dataclasses.replace(config, out=folder, resume=True, steps=config.steps + FURTHER, eval_sizes=()))
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["step"] > config.steps]


def main():
    answers = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for name, options in RUNS.items():
            made = Path(name)
            train(Config(**SETTINGS | options, out=made))
            shutil.rmtree(HERE / name, ignore_errors=True)
            (HERE / name).mkdir()
            for file in KEPT:
                shutil.copy(made / file, HERE / name)
            for file in PACKED:
                packed = gzip.compress((made / file).read_bytes(), mtime=0)
                (HERE / name / f"{file}.gz").write_bytes(packed)
            best, last = nar.load(made), nar.load(made, "last")
            answers[name] = {"best": answer(best), "last": answer(last)}
            answers[name]["fixed_point"] = answer(best, termination="fixed_point")
            if name == "options":
                export.write(made, Path("export"))
                answers[name]["learned"] = answer(best, termination="learned")
            answers[name]["resumed"] = resumed(made)
        shutil.rmtree(HERE / "export", ignore_errors=True)
        shutil.copytree("export", HERE / "export")
    (HERE / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")
    sizes = {str(path.relative_to(HERE)): os.path.getsize(path) for path in HERE.rglob("*") if path.is_file()}
    print(json.dumps(sizes, indent=1), sum(sizes.values()))


if __name__ == "__main__":
    main()
