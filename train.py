"""Train a reasoner, evaluate it and write its report: `python train.py --algo bellman_ford`.

The same as `nar train`; `python train.py --help` lists every setting.
"""

import importlib.util
import sys


def main() -> None:
    try:
        installed = importlib.util.find_spec("nar.datasets") is not None  # nar alone is also found in a bare checkout
        if installed:
            from nar.cli.main import main as nar_main
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("nar."):
            raise  # a mistake of ours, not of the installation
        installed = False
    if not installed:
        print(
            "train.py: error: nar or one of its requirements is not installed; run: pip install -e .", file=sys.stderr
        )
        raise SystemExit(2)
    raise SystemExit(nar_main(["train", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
