"""Record golden texts from CLRS-Text, in an environment that has dm-clrs 2.0.3:

    python tests/golden/record_text.py

Writes text.json beside this file: for every algorithm a list of cases, each with the sampler's settings (length, seed,
truncate_decimals) and the question and answer of its first sample, without hints and with.
"""

import importlib.metadata
import json
import pathlib

import clrs
from clrs._src.clrs_text import clrs_utils

ALGORITHMS = sorted((*clrs.specs.CLRS_30_ALGS, "find_maximum_subarray"))
CASES = ((4, 4, 3), (5, 2, None), (6, 3, 3))


def main():
    texts = {}
    for name in ALGORITHMS:
        texts[name] = []
        for length, seed, decimals in CASES:
            settings = {"length": length, "seed": seed, "truncate_decimals": decimals}
            sampler, _ = clrs.build_sampler(name, num_samples=-1, track_max_steps=False, **settings)
            sample = sampler.next(1)
            plain, hints = (clrs_utils.format_clrs_example(name, sample, use_hints=h) for h in (False, True))
            texts[name].append({**settings, "plain": plain, "hints": hints})
    about = {"generator": f"dm-clrs {importlib.metadata.version('dm-clrs')}", "texts": texts}
    file = pathlib.Path(__file__).with_name("text.json")
    file.write_text(json.dumps(about, indent=1) + "\n")
    print(f"{file.name}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
