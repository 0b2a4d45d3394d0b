"""`nar train`: one training run, or several seeds of one, with evaluation and report; `train.py` is a door to it."""

import shlex
import sys

from nar.cli import train_settings
from nar.system import collector


def main(argv: list[str]) -> None:
    """Trains, evaluates, reports; everything goes into the run directory."""
    config = train_settings.read(argv, "nar train", "Train a reasoner, evaluate it at several sizes, write its report.")
    with collector.paused():
        from nar.experiments.experiment import train_seeds

    door = ["python", "train.py"] if sys.argv[0].endswith("train.py") else ["nar", "train"]
    train_seeds(config, command=shlex.join([*door, *argv]))
