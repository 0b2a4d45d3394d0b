"""Neural algorithmic reasoning on graphs.

The files follow the flow of the data:

    spec, trace, runs              what an algorithm reads, writes down at each step and returns (numpy and numba only)
    algorithm, record              an algorithm, and how its compiled steps are recorded
    graphs, families, weights, arrays, strings, points   inputs: sampled, checked, in the form that is recorded
    protocol                       the sizes that the benchmark trains and tests on
    archive, text, text_..., pyg   traces as .npz, as CLRS-Text, as PyTorch Geometric data
    show, drawing, layout, ..._panels, svg   traces to look at
    batch, fixed, workers, feed    traces of one size as tensors; processes that draw them ahead; their way to a GPU
    encode                         probes to features
    neighbourhood, aggregate       who sends to whom, and what becomes of the messages
    process                        the contract of a processor; the processors themselves: nar.processors
    aggregators, recurrent, monoid, semiring   what becomes of messages beyond maximum, sum and mean
    asynchrony, delivery, message_layer   what a processor loses, or not, when messages arrive one by one
    units, edge_pointers, reconstruct   options: comparisons, hard minima, log n; repaired edge pointers; ReNAR
    check, check_..., trial, verdict, dry_run   what must hold of a processor, run on your own, and what its step costs
    decode, values                 features to hints and outputs, and these as they are fed back or scored
    reasoner, rollout              the model, and its steps: encode, process, decode, again
    termination, halting           when a rollout ends without being told, and how that is learned
    loss, probe_loss, metric       what is minimised, what is reported
    fused, cpu..., gpu, triton..., mapped   the hot operations as kernels
    config, device, checkpoint     settings, hardware, files
    tasks, learner, recorded, memory             data of a run; one seed, several, replayed on a GPU
    parallel, crew                               several processes: of torchrun, one per CPU core
    run, run_directory, trackers   a run on its way, and what it leaves behind
    train, sweep...                training runs, and many of them
    evaluate, axes, peak_memory    scores, along every axis
    predict, arguments, naming, prediction   answers on a graph of your own, in its own names
    comparison, example            a predicted trace drawn beside the algorithm's
    export                         reasoners to share
    results, statistics, study, labels, comparability, published   many runs, and what may be compared
    report..., study_..., markdown what runs looked like, in text
    page..., figures...            the same as a page with figures
    references, reference_steps, reference_audit   reasoners whose weights are set, not learned, and exact
    faithfulness, faithfulness_...   does a reasoner follow the algorithm, or only its answers?
    names, console, interrupt, cli, ..._command   the command line

    >>> import nar
    >>> bellman_ford = nar.datasets.get("bellman_ford")

Names are loaded when first used, so that `import nar.datasets` needs neither PyTorch nor time.
"""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nar import datasets, processors
    from nar.config import Config
    from nar.inference.prediction import Prediction
    from nar.inference.solver import Solver, load
    from nar.model.reasoner import Reasoner
    from nar.nn.processor import Processor, Readout, Step
    from nar.traces.algorithm import Algorithm
    from nar.traces.spec import Probe, Spec
from nar.traces.trace import Trace

__all__ = [
    "Algorithm", "Config", "Prediction", "Probe", "Processor", "Readout", "Reasoner", "Solver", "Spec", "Step", "Trace",
    "datasets", "load", "processors",
]  # fmt: skip

_HOMES = {
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

try:
    __version__ = importlib.metadata.version("neural-algorithmic-reasoning")
except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    if name in ("datasets", "processors"):
        return importlib.import_module(f"nar.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'nar' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
