"""Compare the canonical sets with dm-clrs's and record their hashes, in an environment that has dm-clrs 2.0.3 and nar:

    python tests/golden/record_canonical.py [ALGORITHM ...]

Validation and test sets of clrs30-v1, and those of clrs30-v2 that differ, are made by both and compared probe by probe,
bit for bit; a difference ends the program. Writes canonical.json beside this file. `rounded` is the hash after rounding
to 9 decimals, for points whose coordinates come out of sin, cos and arctan2: their last bit depends on numpy's build.
"""

import json
import pathlib
import sys

import clrs
import numpy as np
from clrs._src import specs

import nar.datasets
from nar.datasets import canonical

FILE = pathlib.Path(__file__).with_name("canonical.json")


def rounded_hash(traces):
    """The content hash with every scalar rounded to 9 decimals."""
    for trace in traces:
        trace.compact = {
            name: np.round(value, 9) + 0.0 if np.asarray(value).dtype.kind == "f" else value
            for name, value in trace.compact.items()
        }
    return canonical.content_hash(traces)


def compare(traces, manifest, settings):
    name = traces[0].algorithm
    assert manifest["samples"] == 32 * specs.CLRS_30_ALGS_SETTINGS[name]["num_samples_multiplier"]
    settings = {**settings, "length": manifest["length"], "seed": manifest["seed"], "num_samples": manifest["samples"]}
    sampler, _ = clrs.build_sampler(name, track_max_steps=False, **settings)
    feedback = sampler.next()
    stages = {"inputs": feedback.features.inputs, "hints": feedback.features.hints, "outputs": feedback.outputs}
    for b, trace in enumerate(traces):
        assert trace.length == feedback.features.lengths[b]
        for stage, probes in stages.items():
            ours = getattr(trace, stage)
            for probe in probes:
                theirs = probe.data[: trace.length, b] if stage == "hints" else probe.data[b]
                np.testing.assert_array_equal(ours[probe.name], theirs, err_msg=f"{name} sample {b} {probe.name}")


def main():
    found = json.loads(FILE.read_text()) if FILE.exists() else {}
    for name in sys.argv[1:] or canonical.CLRS30:
        for set_name in canonical.SETS:
            for split in ("val", "test"):
                key = (set_name, split, name)
                if set_name == "clrs30-v2" and ("clrs30-v1", split, name) not in canonical.PARAMS:
                    continue
                traces, manifest = canonical.canonical(*key)
                compare(traces, manifest, canonical.PARAMS.get(key, {}))
                found["/".join(key)] = {"sha256": manifest["sha256"]}
                if nar.datasets.get(name).category == "geometry":
                    found["/".join(key)]["rounded"] = rounded_hash(traces)
                FILE.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n")
                print("/".join(key), manifest["sha256"], flush=True)


if __name__ == "__main__":
    main()
