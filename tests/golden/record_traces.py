"""Record golden traces from dm-clrs, in an environment that has dm-clrs 2.0.3:

    python tests/golden/record_traces.py [ALGORITHM ...]

Writes traces_<algorithm>.npz beside this file. Each holds `about` (JSON: generator, versions, cases) and, for every
case and probe, an array `<case>/<stage>/<probe>` as dm-clrs's sampler batches it: [B, ...] and, for hints,
[T, B, ...], in the smallest type that loses nothing.
"""

import importlib.metadata
import inspect
import json
import pathlib
import sys

import clrs
import numpy as np
from clrs._src import samplers, specs

ALGORITHMS = (*specs.CLRS_30_ALGS, "find_maximum_subarray")
ONCE_AT_64 = ("bellman_ford", "bfs")
TRAIN_P = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def cases(name):
    """Sampler settings by case: several sizes, seeds and parameters; several samples, so that draws must line up."""
    accepts = inspect.signature(samplers.SAMPLERS[name]._sample_data).parameters
    found = {f"n{n}_seed{seed}": {"length": n, "seed": seed, "num_samples": 3} for n in (4, 9) for seed in (0, 1)}
    found["n16_seed2"] = {"length": 16, "seed": 2, "num_samples": 2}
    if "p" in accepts:
        found["n9_train_p"] = {"length": 9, "seed": 3, "num_samples": 6, "p": TRAIN_P}
    if "low" in accepts:
        found["n9_low_high"] = {"length": 9, "seed": 4, "num_samples": 2, "low": 1.0, "high": 5.0}
    if "length_needle" in accepts:
        found["n20_train"] = {"length": 20, "seed": 5, "num_samples": 4, "length_needle": -8}
        found["n80_seed3"] = {"length": 80, "seed": 3, "num_samples": 1, "length_needle": 16}
    if name in ONCE_AT_64:
        found["n64_seed3"] = {"length": 64, "seed": 3, "num_samples": 1}
    return found


def smallest(array):
    """The same numbers in the first type of the list that holds them."""
    for dtype in (np.int8, np.int16, np.float64):
        if np.array_equal(array.astype(dtype), array):
            return array.astype(dtype)
    raise AssertionError("NaN in a trace")


def main():
    for name in sys.argv[1:] or ALGORITHMS:
        arrays = {}
        for case, settings in cases(name).items():
            sampler, _ = clrs.build_sampler(name, **settings)
            features, outputs = sampler.next()
            stages = {"input": features.inputs, "hint": features.hints, "output": outputs}
            for stage, probes in stages.items():
                for probe in probes:
                    arrays[f"{case}/{stage}/{probe.name}"] = smallest(np.asarray(probe.data))
            arrays[f"{case}/lengths"] = smallest(np.asarray(features.lengths))
        about = {
            "generator": f"dm-clrs {importlib.metadata.version('dm-clrs')}",
            "numpy": np.__version__,
            "algorithm": name,
            "spec": {probe: [str(getattr(a, "value", a)) for a in kinds] for probe, kinds in clrs.SPECS[name].items()},
            "cases": cases(name),
        }
        file = pathlib.Path(__file__).with_name(f"traces_{name}.npz")
        np.savez_compressed(file, about=np.array(json.dumps(about)), **arrays)
        print(f"{file.name}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
