"""Settings of the test distribution beside size: graph family, density, law of weights (ties), and scale.

A setting is a small dict, one key per axis that is varied; {} is the algorithm's own distribution:

    {"family": "barabasi_albert"}    graphs of a family of nar/traces/inputs/families.py, or "erdos_renyi"; or a short
    {"density": 0.3}                 random graphs with this share of all pairs of nodes joined, on average
    {"weights": "ties"}              the law of the weights: one of nar/traces/inputs/weights.py, or "ties" (TIES)
    {"scale": 1000.0}                all weights, keys or coordinates times this number
    {"family": "grid", "scale": 0.001}

`parameters` turns one into parameters of an algorithm's sampler. An axis fits an algorithm whose sampler takes what
it needs: no graph algorithm without weights has a scale, strings have neither edges nor numbers. No torch here.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nar.lookup import suggest
from nar.traces.algorithm import Algorithm
from nar.traces.inputs import families, weights
from nar.traces.inputs.options import number

AXES = ("family", "density", "weights", "scale")
RANDOM = families.RANDOM  # the one family that takes p, an edge probability: nar/traces/inputs/graphs.py

# Eighths from 1/8 to 1: about as large as the protocol's weights, and sums of them are exact in float32, so that
# equally long paths are equal for the model, too.
TIES = {"law": "integer", "scale": 1 / 8}

_LACKS = {
    "family": "it draws no graphs of a family",
    "density": "it draws no random graphs of a given density",
    "weights": "it has no edge weights",
    "scale": "its inputs have no scale",
}


def canonical(setting: Mapping[str, Any] | None) -> dict[str, Any]:
    """The setting with full names, plain numbers and its axes in the order of AXES; ValueError where it cannot be."""
    found = dict(setting or {})
    for axis in found:
        if axis not in AXES:
            raise ValueError(suggest("axis", str(axis), AXES, "axes of a setting"))
    if "family" in found:
        name = families.full_name(found["family"])
        if name not in (RANDOM, *families.TABLE):
            raise ValueError(suggest("family", str(name), [RANDOM, *families.TABLE], "nar/traces/inputs/families.py"))
        found["family"] = name
    if "density" in found:
        found["density"] = number("density", found["density"], 0, 1)
    laws = ["ties", "uniform", *weights.LAWS]
    if "weights" in found and found["weights"] not in laws:
        raise ValueError(suggest("weights", str(found["weights"]), laws, "nar/traces/inputs/weights.py"))
    if "scale" in found:
        found["scale"] = number("scale", found["scale"], 1 / weights.LARGEST, weights.LARGEST)
    if "density" in found and found.get("family", RANDOM) != RANDOM:
        raise ValueError(f"density fits the family {RANDOM} alone, others have their own; got {found['family']!r}")
    return {axis: found[axis] for axis in AXES if axis in found}


def misfit(algorithm: Algorithm, setting: Mapping[str, Any] | None) -> str | None:
    """Why this (possible) setting does not fit the algorithm, in a sentence without a full stop; None where it fits."""
    takes = algorithm.params.keys()
    fits = {
        "family": "family" in takes,
        "density": "p" in takes,
        "weights": "law" in takes,
        "scale": bool({"scale", "radius"} & takes) or {"low", "high"} <= takes,
    }
    for axis in canonical(setting):
        if not fits[axis]:
            others = ", ".join(a for a in AXES if fits[a])
            return f"{axis} does not fit {algorithm.name}: {_LACKS[axis]} (beside size it has {others or 'no axis'})"
    return None


def parameters(
    algorithm: Algorithm, setting: Mapping[str, Any] | None, base: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Parameters for `algorithm.sample` that draw this setting; ValueError where it does not fit the algorithm.

    `base`: parameters from which the setting departs (`algorithm.train_params`, say); what the setting says counts
    more, and p and options that belong to another family than the setting's are dropped.
    """
    setting = canonical(setting)
    if (reason := misfit(algorithm, setting)) is not None:
        raise ValueError(reason)
    found = dict(base or {})
    if "family" in setting:
        found.pop("options", None)
        if setting["family"] != RANDOM:
            found.pop("p", None)
        found["family"] = setting["family"]
    if "density" in setting:
        # undirected graphs keep the edges that were drawn both ways
        found["p"] = (math.sqrt(setting["density"]) if _undirected(algorithm) else setting["density"],)
        # SALSA-CLRS's algorithms draw another family by default. Communities take p, too: the density inside of each.
        if found.get("family", algorithm.params.get("family")) in families.TABLE:
            found["family"] = RANDOM
    if "weights" in setting:
        found = {name: value for name, value in found.items() if name not in ("low", "high")}  # limits of another law
        found |= TIES if setting["weights"] == "ties" else {"law": setting["weights"]}
    if "scale" in setting:
        found |= _scaled(algorithm.params | found, setting["scale"])
    return found


def settings(axes: Mapping[str, Sequence[Any]], *, cross: bool = False) -> list[dict[str, Any]]:
    """The settings of an evaluation: each axis varied alone, or with `cross` every combination.

    `axes`: the values of each axis, for example {"family": ("er", "grid"), "scale": (0.001, 1000)}. A density goes
    with the family erdos_renyi alone; the others, which have their own, are combined with the rest.
    """
    alone = [canonical({axis: value}) for axis in axes for value in axes[axis]]  # values are checked one by one
    if cross:
        varied = [[(axis, setting[axis]) for setting in alone if axis in setting] for axis in AXES]
        alone = [dict(pairs) for pairs in itertools.product(*(values for values in varied if values)) if pairs]
        for setting in alone:
            if setting.get("family", RANDOM) != RANDOM:
                setting.pop("density", None)
    unique: list[dict[str, Any]] = []
    for setting in alone:
        if setting not in unique:
            unique.append(setting)
    return unique


def described(setting: Mapping[str, Any] | None) -> str:
    """A setting in words, for tables: "family grid, scale 0.001"; "own" for the algorithm's own distribution."""
    short = {axis: f"{value:g}" if isinstance(value, float) else value for axis, value in (setting or {}).items()}
    return ", ".join(f"{axis} {value}" for axis, value in short.items()) or "own"


def _scaled(params: Mapping[str, Any], scale: float) -> dict[str, Any]:
    """What draws the same numbers times `scale`."""
    if "scale" in params:  # weights of edges
        return {"scale": params["scale"] * scale}
    if "radius" in params:  # points of a disk; a cross product of differences grows with the square
        lengths = {name: params[name] * scale for name in ("origin_x", "origin_y", "radius") if name in params}
        areas = {name: params[name] * scale**2 for name in ("collineararity_eps",) if name in params}
        return lengths | areas
    return {"low": params["low"] * scale, "high": params["high"] * scale}


def _undirected(algorithm: Algorithm) -> bool:
    """Are the algorithm's random graphs symmetric? A directed one of this size is not, as good as never."""
    family = {"family": RANDOM} if "family" in algorithm.params else {}
    A = algorithm.sample(np.random.RandomState(0), max(16, algorithm.min_nodes), p=(0.5,), **family).get("A")
    return A is not None and np.array_equal(A, A.T)
