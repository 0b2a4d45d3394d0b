"""What evaluations are tested on: traces of a setting, and references that lean to one side."""

import copy

from nar import datasets
from nar.analysis.references import compiled
from nar.evaluation.evaluate import test_set


def traces_of(name, size=9, samples=6, setting=None):
    return list(test_set(datasets.get(name), size, samples, setting)[0])


def leaning(name, toll):
    """A reference with one bias changed: every edge looks longer than it is, and paths of few edges look better."""
    reasoner = copy.deepcopy(compiled.compiled(name))
    reasoner.encoders[name].maps["A"][0].bias.data[compiled.PROGRAMS[name].edges.index("A")] = toll
    return reasoner
