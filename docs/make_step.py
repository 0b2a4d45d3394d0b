"""Makes docs/step.svg, the picture of docs/step.md: `python docs/make_step.py`, from anywhere.

Everything in it is read off one trace of Dijkstra's algorithm: the hints, the relations among them, and what must be
chosen next. Nothing is trained; who is eligible is what the algorithm's queue says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure

import nar
from nar.model.batch import collate
from nar.model.coders.encoder import dense
from nar.model.options.relations import UNCHANGED, Relations
from nar.traces.spec import Stage

HERE = Path(__file__).parent
NODES, SEED, MOMENT = 5, 31, 1
BLUE, RED, GREY = "#1f5fa8", "#b03030", "#8a8a8a"
SHOWN = ("d_i < d_j", "d_i + A_ij < d_j")


def main() -> None:
    algorithm = nar.datasets.get("dijkstra")
    trace = algorithm.run(**algorithm.sample(np.random.RandomState(SEED), NODES, p=0.6))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "nar", "font.size": 9}):
        page = Figure(figsize=(11.5, 6.2))
        for place, (draw, title) in enumerate((
            (whole, "1. a trace: hints, moment by moment"),
            (moment, f"2. moment {MOMENT} of it, with true hints"),
            (compared, "3. exact order relations of its numbers"),
            (rounds, "4. three rounds of messages, no memory"),
            (choice, "5. who is eligible, which number settles it"),
            (following, f"6. the hints of moment {MOMENT + 1}"),
        )):  # fmt: skip
            below, column = divmod(place, 3)
            axis = page.add_axes((0.01 + 0.335 * column, 0.53 - 0.5 * below, 0.31, 0.41))
            axis.set_title(title, loc="left", fontsize=10, fontweight="bold")
            axis.set_axis_off()
            draw(axis, trace)
        page.savefig(HERE / "step.svg", metadata={"Date": None})


def hint(trace: Any, name: str, t: int) -> np.ndarray:
    return np.asarray(trace.compact[name][t])


def row(axis: Any, y: float, trace: Any, t: int, *, changed: bool = False) -> None:
    """Distances of one moment, blue where a node is in the queue, boxed where it is u; red what changed."""
    d, queue, u = (hint(trace, name, t) for name in ("d", "in_queue", "u"))
    before = hint(trace, "d", t - 1) if t else d
    for j in range(NODES):
        color = RED if changed and d[j] != before[j] else BLUE if queue[j] else "black"
        box = {"boxstyle": "round", "fc": "none", "ec": "black", "lw": 0.8} if j == u else None
        axis.text(j, y, f"{d[j]:.2f}", ha="center", va="center", color=color, bbox=box)


def names(axis: Any, y: float) -> None:
    for j in range(NODES):
        axis.text(j, y, str(j), ha="center", va="center", color=GREY, fontsize=8)


def whole(axis: Any, trace: Any) -> None:
    axis.set(xlim=(-1.4, NODES - 0.4), ylim=(trace.length + 0.4, -1.0))
    axis.text(-1.3, trace.length + 0.2, "d of nodes 0 to 4; blue: in the queue; boxed: u", color=GREY, fontsize=8)
    names(axis, -0.7)
    for t in range(trace.length):
        axis.text(-0.9, t, f"moment {t}", ha="center", va="center", color=GREY, fontsize=8)
        row(axis, t, trace, t)
    axis.axhspan(MOMENT - 0.45, MOMENT + 0.45, color="#fff1c0", zorder=0)


def moment(axis: Any, trace: Any) -> None:
    weights, queue = trace.compact["A"], hint(trace, "in_queue", MOMENT)
    d, u = hint(trace, "d", MOMENT), hint(trace, "u", MOMENT)
    angle = 2 * np.pi * np.arange(NODES) / NODES + np.pi / 2
    x, y = np.cos(angle), np.sin(angle)
    for i, j in zip(*np.nonzero(np.tril(weights, -1)), strict=True):
        ends = [i, j]
        axis.plot(x[ends], y[ends], color="#c8c8c8", lw=1, zorder=0)
        place = {"ha": "center", "va": "center", "fontsize": 7, "color": GREY}
        axis.text(x[ends].mean(), y[ends].mean(), f"{weights[i, j]:.2f}", **place)
    for j in range(NODES):
        box = {"boxstyle": "round", "fc": "white", "ec": BLUE if queue[j] else "#c8c8c8", "lw": 2 if j == u else 1}
        text, color = f"{j}: d {d[j]:.2f}", BLUE if queue[j] else "black"
        axis.text(x[j], y[j], text, ha="center", va="center", bbox=box, color=color)
    axis.set(xlim=(-1.5, 1.5), ylim=(-1.4, 1.4))
    axis.text(-1.5, -1.35, "numbers on edges: A; thick: u", fontsize=8, color=GREY)


def compared(axis: Any, trace: Any) -> None:
    batch = collate([trace], nar.datasets.get("dijkstra"))
    values = dict(batch.inputs) | {name: value[MOMENT] for name, value in batch.hints.items()}
    found = Relations(batch.spec, (Stage.INPUT, Stage.HINT))

    def value(name: str) -> torch.Tensor:
        return torch.zeros(1) if name == UNCHANGED else dense(batch.spec[name], values[name], NODES, torch.float32)

    channels = {}
    for relation, (_, of) in zip(found.of[Stage.HINT], found.channels(Stage.HINT, value), strict=True):
        channels |= {text: of[0, ..., k].numpy() for k, text in enumerate(relation.says)}
    total = sum(found.counts.values())
    for place, text in enumerate(SHOWN):
        left = place * (NODES + 2)
        axis.imshow(1 - channels[text], cmap="gray", vmin=0, vmax=1.4, extent=(left, left + NODES, NODES, 0))
        axis.text(left + NODES / 2, -0.5, text, ha="center", fontsize=8)
        axis.text(left + NODES / 2, NODES + 0.7, "j", ha="center", fontsize=8, color=GREY)
        axis.text(left - 0.5, NODES / 2, "i", ha="center", fontsize=8, color=GREY)
    axis.set(xlim=(-1, 2 * NODES + 2.5), ylim=(NODES + 2.6, -1.2))
    axis.text(0, NODES + 2.2, f"two of {total}; dark: it holds. The numbers are left out.", fontsize=8, color=GREY)


def rounds(axis: Any, trace: Any) -> None:
    axis.set(xlim=(0, 10), ylim=(0, 6))
    for k in range(3):
        box = {"boxstyle": "round,pad=0.4", "fc": "#eef3fa", "ec": BLUE}
        text = f"round {k + 1}\nmaximum of\nmessages\nfrom all"
        axis.text(1.3 + 3.5 * k, 3.9, text, ha="center", va="center", bbox=box, fontsize=8)
        if k:
            axis.annotate("", (0.1 + 3.5 * k, 3.9), (-1.0 + 3.5 * k, 3.9), arrowprops={"arrowstyle": "->"})
    for y, text in ((1.5, "in: relations, masks, pointers"), (0.8, "out: views of nodes and pairs, for the decoders")):
        axis.text(0, y, text, fontsize=8, color=GREY)


def choice(axis: Any, trace: Any) -> None:
    d, queue = hint(trace, "d", MOMENT), hint(trace, "in_queue", MOMENT).astype(bool)
    least, u = d[queue].min(), hint(trace, "u", MOMENT + 1)
    assert queue.sum() > 1 and d[u] == least, "a moment at which the number settles it"
    axis.set(xlim=(-2.2, NODES - 0.4), ylim=(4.8, -0.6))
    names(axis, 0)
    for y, text in ((1, "eligible for u"), (2, "number: d")):
        axis.text(-2.2, y, text, va="center", fontsize=8)
    for j in range(NODES):
        axis.text(j, 1, "yes" if queue[j] else "no", ha="center", va="center", color=BLUE if queue[j] else GREY)
        axis.text(j, 2, f"{d[j]:.2f}", ha="center", va="center", color="black" if queue[j] else "#c8c8c8")
    axis.text(u, 3, "u", ha="center", va="center", bbox={"boxstyle": "round", "fc": "none", "ec": "black", "lw": 1})
    axis.text(-2.2, 3, "the least wins", va="center", fontsize=8)
    axis.text(-2.2, 4.4, "learned: yes and no, and that the least d settles it", fontsize=8, color=GREY)


def following(axis: Any, trace: Any) -> None:
    t, u = MOMENT + 1, int(hint(trace, "u", MOMENT + 1))
    d, before, weights = hint(trace, "d", t), hint(trace, "d", MOMENT), trace.compact["A"]
    axis.set(xlim=(-0.6, NODES - 0.4), ylim=(4.8, -0.6))
    names(axis, 0)
    row(axis, 1, trace, t, changed=True)
    changed = np.flatnonzero(d != before)
    assert len(changed), "a moment after which a distance changes"
    for line, j in enumerate(changed[:2]):
        text = f"d_{j} = d_{u} + A_{u}{j} = {before[u]:.2f} + {weights[u, j]:.2f}, a candidate"
        assert np.isclose(d[j], before[u] + weights[u, j])
        axis.text(-0.5, 2 + line, text, color=RED, fontsize=8, va="center")
    axis.text(-0.5, 4.4, "fed back; one more step reads the outputs off the last ones", fontsize=8, color=GREY)


if __name__ == "__main__":
    main()
