"""One graph of a run, drawn: the algorithm's trace beside the model's, as RUN/example.svg, in words as RUN/example.txt.

The graph is the same for every run of an algorithm and size, so that the pictures of two processors can be compared.
"""

import contextlib
import logging
from pathlib import Path

import numpy as np

from nar.inference.prediction import Prediction
from nar.inference.solver import Solver
from nar.model.reasoner import Reasoner
from nar.system import files
from nar.traces.algorithm import Algorithm
from nar.traces.drawing import figure

SEED = 4  # of the input, which belongs to none of the test sets
LARGEST = 16  # nodes that can still be read
LARGEST_TABLE = 7  # nodes of an algorithm whose hints are tables, which are drawn cell by cell
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
                return path
        path.unlink()
        _LOG.warning("no example of %s: its picture would be larger than %d kB", algorithm.name, BYTES // 1000)
    except Exception as error:
        with contextlib.suppress(OSError):
            path.unlink()
        _LOG.warning("no example of %s: %s: %s", algorithm.name, type(error).__name__, error)
    return None


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
    return " ".join([title, *prediction.summary()]) + "\n"
