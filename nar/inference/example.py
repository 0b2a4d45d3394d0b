"""One graph of a run, drawn: the algorithm's trace beside the model's, as RUN/example.svg, in words as RUN/example.txt,
and step by step, for the page, as RUN/example_steps.json: what marks mean ("key") and pictures by title ("frames").

The graph is the same for every run of an algorithm and size, so that the pictures of two processors can be compared.
"""

import contextlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nar.inference.prediction import Prediction
from nar.inference.solver import Solver
from nar.model.reasoner import Reasoner
from nar.system import files
from nar.text_format import unquoted
from nar.traces.algorithm import Algorithm
from nar.traces.drawing import figure
from nar.traces.drawing.text import number
from nar.traces.spec import Type

SEED = 4  # of the input, which belongs to none of the test sets
LARGEST = 16  # nodes that can still be read
LARGEST_TABLE = 7  # nodes of an algorithm whose hints are tables, which are drawn cell by cell
STEPS = 14  # of a rollout that are drawn one by one
BYTES = 150_000  # a picture that is larger is drawn again with fewer moments, then with half the nodes
_LOG = logging.getLogger(__name__)


def write(reasoner: Reasoner, algorithm: Algorithm, run_dir: str | Path, size: int) -> Path | None:
    """Draw how the reasoner does on one input of about `size` nodes; returns the picture, or None if there is none.

    Nothing that goes wrong here stops the caller, whose run is worth more than its picture: it is logged.
    """
    path = Path(run_dir) / "example.svg"
    try:
        for nodes, moments in ((size, 3), (size, 2), (size // 2, 2)):
            prediction = predict_one(reasoner, algorithm, nodes)
            prediction.draw(path, moments=moments)
            if path.stat().st_size <= BYTES:
                files.write_text(path.with_suffix(".txt"), in_words(prediction))
                write_steps(prediction, path.with_name("example_steps.json"))
                return path
        path.unlink()
        _LOG.warning("no example of %s: its picture would be larger than %d kB", algorithm.name, BYTES // 1000)
    except Exception as error:
        with contextlib.suppress(OSError):
            path.unlink()
        _LOG.warning("no example of %s: %s: %s", algorithm.name, type(error).__name__, error)
    return None


def write_steps(prediction: Prediction, path: Path) -> None:
    """Every step as a picture of its own; of long rollouts, and where they would be too large together, fewer."""
    found = _steps(prediction, 2)
    largest = max(map(len, found["frames"].values()))
    if (most := min(STEPS, 2 * BYTES // (largest + 1000) - 3)) > 2:  # beside key, inputs and outputs
        found = _steps(prediction, most)
    files.write_text(path, json.dumps(found, ensure_ascii=False))


def _steps(prediction: Prediction, most: int) -> dict[str, Any]:
    key, frames = prediction.frames(most)
    return {"key": _svg(key), "frames": {title: _svg(page) for title, page in frames.items()}}


def _svg(page: Figure) -> str:
    return figure.encoded(page, ".svg").decode()


def predict_one(reasoner: Reasoner, algorithm: Algorithm, size: int) -> Prediction:
    """The prediction that is drawn: on the first input of the sampler from which there is something to see."""
    rng = np.random.RandomState(SEED)
    size = min(size, LARGEST)
    for _ in range(20):
        trace = algorithm.run(**algorithm.sample(rng, max(size, algorithm.min_nodes)))
        if type(figure.kind_of(trace)).__name__ == "TablePanels" and size > LARGEST_TABLE:
            size = max(LARGEST_TABLE, algorithm.min_nodes)
            continue
        if trace.length > 2:  # else the source reaches nobody
            break
    return Solver(reasoner).run(trace, algorithm=algorithm.name)


def in_words(prediction: Prediction) -> str:
    """The text that stands for the picture: what it shows, and what there is to see."""
    title = (
        f"{prediction.algorithm} on {len(prediction.nodes)} nodes, {prediction.steps} steps: the algorithm's trace "
        "beside the model's, red where they differ."
    )
    return " ".join([title, *prediction.summary(), *_weights(prediction)]) + "\n"


def _weights(prediction: Prediction) -> list[str]:
    """The weights of the graph's edges, which a crowded picture leaves out."""
    trace, nodes = prediction.true_trace, prediction.nodes
    if "A" not in trace.spec.inputs or trace.spec["A"].type is not Type.SCALAR:
        return []
    A = np.asarray(trace.compact["A"])
    pairs = np.argwhere(np.triu(A, 1) if np.array_equal(A, A.T) else A)
    names = [unquoted(node) for node in nodes]
    listed = ", ".join(f"{names[u]} to {names[v]} {number(float(A[u, v]))}" for u, v in pairs if u != v)
    return [f"Weights of edges: {listed}."]
