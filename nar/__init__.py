"""Neural algorithmic reasoning on graphs: traces of algorithms, networks that learn to execute them, and reports.

    >>> import nar
    >>> bellman_ford = nar.datasets.get("bellman_ford")
    >>> solver = nar.load("runs/bellman_ford-triplet_gmpnn-seed42")

docs/contributing.md shows how the packages build on each other; the docstring of each says what lives there. The names
below are loaded when first used, so that `import nar` and `import nar.datasets` need neither PyTorch nor time.
"""

import importlib
from typing import TYPE_CHECKING, Any

from nar.version import __version__ as __version__

if TYPE_CHECKING:  # the same names for type checkers and editors
    from nar import datasets as datasets
    from nar import processors as processors
    from nar import recipes as recipes
    from nar.config import Config as Config
    from nar.inference.prediction import Prediction as Prediction
    from nar.inference.solver import Solver as Solver
    from nar.inference.solver import load as load
    from nar.model.reasoner import Reasoner as Reasoner
    from nar.nn.processor import Processor as Processor
    from nar.nn.processor import Readout as Readout
    from nar.nn.processor import Step as Step
    from nar.traces.algorithm import Algorithm as Algorithm
    from nar.traces.inputs import graphs as graphs
    from nar.traces.spec import Probe as Probe
    from nar.traces.spec import Spec as Spec
    from nar.traces.trace import Trace as Trace

_MODULES = {
    "Algorithm": "nar.traces.algorithm",
    "Config": "nar.config",
    "Prediction": "nar.inference.prediction",
    "Probe": "nar.traces.spec",
    "Processor": "nar.nn.processor",
    "Readout": "nar.nn.processor",
    "Reasoner": "nar.model.reasoner",
    "Solver": "nar.inference.solver",
    "Spec": "nar.traces.spec",
    "Step": "nar.nn.processor",
    "Trace": "nar.traces.trace",
    "load": "nar.inference.solver",
}
_FOLDERS = {name: f"nar.{name}" for name in ("datasets", "processors", "recipes")}
_FOLDERS["graphs"] = "nar.traces.inputs.graphs"
__all__ = [*_FOLDERS, *_MODULES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _FOLDERS:
        return importlib.import_module(_FOLDERS[name])
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'nar' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
