"""Makes docs/gallery.md and its pictures: `python docs/make_gallery.py`, from anywhere, in a minute or two on a CPU.

Traces come from the algorithms' own samplers; the model is trained here, on the spot, and is no better than that.
"""

from __future__ import annotations

import sys
from pathlib import Path

import networkx as nx
import numpy as np
import torch
from matplotlib.figure import Figure

import nar
from nar.model.batch import draw
from nar.model.objectives.losses import total_loss
from nar.traces.drawing import figure

HERE = Path(__file__).parent
STEPS = 250  # of training, of 32 graphs with 4 to 16 nodes each


def main() -> None:
    folder = HERE / "gallery"
    folder.mkdir(exist_ok=True)
    parts = [INTRODUCTION, "## Algorithms\n"]
    for name, about, n, seed, params, panels in TRACES:
        algorithm = nar.datasets.get(name)
        trace = algorithm.run(**algorithm.sample(np.random.RandomState(seed), n, **params))
        whole = f"{name} on {trace.nodes} nodes, {trace.length} steps, drawn step by step"
        parts.append(picture(folder / f"{name}.svg", figure.figure(trace, panels), whole, about))
    parts += ["## A model beside its algorithm\n", MODEL]
    solver = nar.Solver(trained("bellman_ford", STEPS))
    for name, about, graph in graphs():
        prediction = solver.run(graph, source=next(iter(graph)))
        alternative = " ".join(prediction.summary())
        page = prediction.draw(moments=3)
        parts.append(picture(folder / f"{name}.svg", page, alternative, about.format(right=prediction.in_words())))
    (HERE / "gallery.md").write_text("\n".join(parts))


INTRODUCTION = """# Gallery

Made by one command, which trains the model of the last pictures on the way:

```bash
python docs/make_gallery.py
```

`nar show NAME` draws an algorithm on an input of your own choice ([seeing.md](seeing.md)); `prediction.draw()` draws a
model beside its algorithm ([using.md](using.md)).
"""

MODEL = f"""An MPNN of 32 features after {STEPS} training steps, on graphs of up to 16 nodes. On the left is what
Bellman-Ford writes down, on the right what the model says at the same step. Red is what differs.
"""

REACHED = "Shortest paths from `s`: blue nodes are reached, arrows point to predecessors."
COMPONENTS = "Depth-first search, first on the graph, then on its transpose."
# name, caption, n, seed, parameters of the sampler, panels
TRACES = [
    ("bellman_ford", REACHED, 8, 10, {"p": 0.65}, 8),
    ("insertion_sort", "The boxes stand in the order of the list; what moved is red.", 6, 1, {}, 8),
    ("lcs_length", "A longest common subsequence: lengths, and where each came from.", 8, 9, {}, 9),
    ("graham_scan", "A convex hull, from the points that are on it so far.", 9, 5, {}, 8),
    ("strongly_connected_components", COMPONENTS, 6, 4, {"p": 0.35}, 8),
]


def graphs():
    """Name, caption and graph of the model's pictures."""
    small = nx.Graph()
    small.add_weighted_edges_from(
        [("a", "b", 0.3), ("b", "c", 0.4), ("a", "c", 0.9), ("c", "d", 0.2), ("d", "e", 0.6), ("b", "e", 0.9)]
    )
    yield "model_small", "Five nodes ({right}): distances drift, the decisions are made all the same.", small
    ladder = nx.ladder_graph(9)
    rng = np.random.RandomState(1)
    for u, v in ladder.edges:
        ladder[u][v]["weight"] = round(0.1 + 0.8 * rng.rand(), 2)
    about = "A ladder of 18 nodes ({right}): paths are longer than in any graph that the model was trained on."
    yield "model_ladder", about, ladder


def trained(name: str, steps: int) -> nar.Reasoner:
    """A small reasoner, trained as in the README; the same one every time."""
    algorithm = nar.datasets.get(name)
    torch.manual_seed(0)
    reasoner = nar.Reasoner.build(name, "mpnn", hidden=32)
    optimizer = torch.optim.Adam(reasoner.parameters(), lr=2e-3)
    sizes = (4, 7, 11, 13, 16)
    for step in range(steps):
        n = sizes[step % len(sizes)]
        batch = draw(algorithm, n, 32, seed=[0, step], random_pos=True, **algorithm.train_params)
        loss = total_loss(batch, reasoner(batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step} of {steps}: loss {loss.item():.2f}", file=sys.stderr)
    return reasoner.eval()


def picture(path: Path, page: Figure, alternative: str, caption: str) -> str:
    """Writes the figure; returns what the page says about it."""
    figure.save(page, path)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB", file=sys.stderr)
    return f"![{alternative}](gallery/{path.name})\n\n{caption}\n"


if __name__ == "__main__":
    main()
