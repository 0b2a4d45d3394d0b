"""Record the losses of the short trainings in tests/loss_cases.py with the nar that is installed:

    OMP_NUM_THREADS=1 python tests/golden/record_losses.py

Writes losses.json beside this file: by case, the loss of every training step and the losses and scores of a validation
after them, as hexadecimal numbers, which keep every bit. What has changed is said case by case.

Record anew only where numbers are meant to change. Before a refactoring, record on the machine on which it will be
compared bit for bit (NAR_SAME_LOSSES=exact pytest tests/test_same_losses.py), for kinds of CPU differ in the last bits.
"""

import json
import platform
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from loss_cases import CASES, train

FILE = Path(__file__).with_name("losses.json")


def main():
    before = json.loads(FILE.read_text())["cases"] if FILE.is_file() else {}
    cases = {}
    for name, case in CASES.items():
        began = time.process_time()
        cases[name] = {part: [value.hex() for value in values] for part, values in train(case).items()}
        seconds = time.process_time() - began
        news = "" if cases[name] == before.get(name) else "new" if name not in before else "CHANGED"
        print(f"{seconds:6.2f} s  {name}  {news}".rstrip())
    for name in before.keys() - cases.keys():
        print(f"gone: {name}")
    about = {"torch": torch.__version__, "machine": platform.machine(), "python": platform.python_version()}
    FILE.write_text(json.dumps({"about": about, "cases": cases}, indent=0) + "\n")
    print(f"{FILE.name}: {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
