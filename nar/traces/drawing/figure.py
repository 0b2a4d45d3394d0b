"""Pictures of a trace: a figure of small panels, one per moment, or an animation; `nar show` writes them.

What is drawn follows from the spec alone, so that a new algorithm has its picture:

    inputs with `adj`                  the graph (graph_panels.py)
    the same, hints on pairs of nodes  tables (table_panels.py): pointers, or masks where no edge is
    inputs `x` and `y`                 points in the plane (graph_panels.py)
    hints on edges otherwise           tables
    everything else                    a row of boxes (box_panels.py)

matplotlib's Figure is used without pyplot: no window, no global state.
"""

import io
import math
import os
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from nar.system import files
from nar.traces.drawing.box_panels import BoxPanels
from nar.traces.drawing.graph_panels import GraphPanels, relates_any_nodes
from nar.traces.drawing.panels import CHANGED, Moment, Panels
from nar.traces.drawing.table_panels import TablePanels
from nar.traces.drawing.text import hints_at
from nar.traces.spec import POINTERS, Location, Stage, Type
from nar.traces.trace import Trace

FORMATS = {".png": "Software", ".svg": "Date", ".pdf": "CreationDate"}  # endings, and what is not written: it varies
_STYLE: Any = {
    "font.size": 9, "svg.fonttype": "none", "font.family": "DejaVu Sans", "svg.hashsalt": "nar",
    "text.parse_math": False,  # names of nodes may have dollar signs
}  # fmt: skip
_NOISE = (  # what draws nothing in an SVG
    r"<\?xml.*?\?>", r"<!DOCTYPE.*?>", r"<!--.*?-->", r"<metadata>.*?</metadata>",
    r"<clipPath.*?</clipPath>", r' clip-path="[^"]*"',  # nothing drawn here leaves its panel
    r' id="[a-zA-Z.]+_\d+"', r' transform="rotate\(-?0 [^)]*\)"',
)  # fmt: skip
_GAP = 0.12  # inches between panels and around them
_ANIMATED = 120  # frames at most, inputs and outputs included


def figure(trace: Trace, panels: int = 12) -> Figure:
    """Inputs, up to `panels` - 2 steps (evenly spaced, the first and the last among them) and outputs.

    Red is what changed since the panel before. Tables, of which one moment may have several, count as panels.
    """
    if panels < 4:
        raise ValueError(f"panels must be at least 4 (inputs, first step, last step, outputs), got {panels}")
    with style():
        kind = kind_of(trace)
        steps = selected(trace.length, max(min(4, panels - 2), panels // len(kind.slots) - 2))
        return compose(kind, moments(trace, steps))


def animate(trace: Trace, path: str | os.PathLike, frames: int = _ANIMATED, seconds: float = 0.8) -> None:
    """Write a GIF with one frame per step, inputs first and outputs last, each shown for `seconds`.

    Of longer traces, `frames` - 2 steps are selected as for `figure`. Inputs, last step and outputs stay longer.
    """
    if frames < 3:
        raise ValueError(f"frames must be at least 3 (inputs, a step, outputs), got {frames}")
    images = []
    with style():
        kind = kind_of(trace)
        shown = moments(trace, selected(trace.length, frames - 2))
        for moment in shown:
            page = compose(kind, [moment], one_size=shown)
            page.set_dpi(110)
            canvas = FigureCanvasAgg(page)
            canvas.draw()
            image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
            images.append(image.quantize(64, dither=Image.Dither.NONE))
    pauses = [1000 * seconds] * len(images)
    for k in (0, -2, -1):
        pauses[k] *= 2
    options = {"save_all": True, "append_images": images[1:], "duration": pauses, "loop": 0}
    files.write(Path(path), lambda out: images[0].save(out, format="GIF", **options))


def selected(length: int, most: int) -> list[int]:
    """Up to `most` moments of a trace, evenly spaced, the first and the last among them (of one only: the last)."""
    if length <= most:
        return list(range(length))
    if most == 1:
        return [length - 1]
    return [round(k * (length - 1) / (most - 1)) for k in range(most)]


def moments(trace: Trace, steps: list[int]) -> list[Moment]:
    """Inputs, these steps, outputs; every step knows what changed since the one before it in the list."""
    inputs, outputs = (
        {name: np.asarray(trace.compact[name]) for name in probes} for probes in (trace.spec.inputs, trace.spec.outputs)
    )
    hints = [hints_at(trace, t) for t in steps]
    titles = [f"step {t + 1} of {trace.length}" for t in steps]
    shown = [Moment(*parts) for parts in zip(titles, hints, [None, *hints], strict=False)]
    return [Moment("inputs", inputs), *shown, Moment("outputs", outputs)]


def kind_of(trace: Trace) -> Panels:
    """How this spec is drawn."""
    spec = trace.spec
    edge_hints = [p for p in spec.hints.values() if p.location is Location.EDGE and p.type is not Type.MASK_ONE]
    if "adj" in spec.inputs and spec["adj"].location is Location.EDGE:
        masks = [name for name, p in spec.hints.items() if p.location is Location.EDGE and p.type is Type.MASK]
        table = any(p.type in POINTERS for p in edge_hints) or any(relates_any_nodes(trace, name) for name in masks)
        return TablePanels(trace) if table else GraphPanels(trace)
    if {"x", "y"} <= {name for name, p in spec.inputs.items() if p.location is Location.NODE}:
        return GraphPanels(trace)
    on_edges = {p.stage for p in spec.values() if p.location is Location.EDGE}
    table = edge_hints or Stage.OUTPUT in on_edges or on_edges == {Stage.INPUT, Stage.HINT}  # inputs alone fill none
    return TablePanels(trace) if table else BoxPanels(trace)


def compose(
    kind: Panels,
    shown: list[Moment],
    one_size: list[Moment] | None = None,
    above: Sequence[str] = (),
    header: bool = True,
    title: bool = True,
) -> Figure:
    """All panels on one page, by rows; title, legend, `above` and notes above (`header`). Without panels, only that.
    `one_size`: panels are as high as these need. Lengths are inches, and so are the panels' units."""
    width, heights = kind.size(one_size or shown)
    slots = len(kind.slots)
    across = min(max(1, len(shown)), max(1, kind.across // slots))
    down = math.ceil(len(shown) / across)
    page_width = max(5.6 if title else 0.0, across * slots * (width + _GAP) + _GAP)
    handles, notes = kind.legend()
    if kind.trace.length > 1 or kind.red != Panels.red:
        handles[f"red: {kind.red}"] = Line2D([], [], color=CHANGED, lw=2.2)
    columns = max(1, min(len(handles), int(page_width / (max(map(len, handles), default=0) * 0.073 + 0.75))))
    rows = math.ceil(len(handles) / columns)
    letters = int((page_width - 2 * _GAP) / 0.074)
    notes = [line for note in (*above, *notes, *kind.notes) for line in textwrap.wrap(note, letters)]
    head = 0.34 * title + 0.08  # above the legend
    top = (head + 0.2 * rows + 0.17 * len(notes) + 0.1) * header
    tall = [max(heights if one_size else heights[row * across : (row + 1) * across]) for row in range(down)]
    page_height = top + sum(tall) + down * _GAP

    page = Figure(figsize=(page_width, page_height), dpi=150, facecolor="white")
    if header and title:
        page.text(_GAP / page_width, 1 - 0.1 / page_height, kind.title, va="top", fontsize=12, fontweight="bold")
    for k, line in enumerate(notes if header else ()):
        y = 1 - (head + 0.2 * rows + 0.17 * k) / page_height
        page.text(_GAP / page_width, y, line, va="top", fontsize=8.5, color="#444444")
    if handles and header:
        page.legend(
            list(handles.values()), list(handles), loc="upper left",
            bbox_to_anchor=(0, 1 - (head - 0.08) / page_height),
            ncols=columns, fontsize=8.5, frameon=False, borderaxespad=0.1, handlelength=1.8, columnspacing=1.4,
            labelspacing=0.35,
        )  # fmt: skip
    for k, moment in enumerate(shown):
        row, column = divmod(k, across)
        for slot in range(slots):
            left, height = _GAP + (column * slots + slot) * (width + _GAP), tall[row]
            bottom = page_height - top - sum(tall[: row + 1]) - row * _GAP
            box = (left / page_width, bottom / page_height, width / page_width, height / page_height)
            axes = page.add_axes(box, xlim=(0, width), ylim=(0, height))
            axes.set_axis_off()
            bold = len(kind.heading(Moment(moment.title, {}), width))  # lines of the title
            for line, text in enumerate(kind.heading(moment, width) if slot == 0 else ()):
                weight = "bold" if line < bold else "normal"
                axes.text(0.03, height - 0.04 - 0.15 * line, text, va="top", fontsize=8.5, fontweight=weight)
            kind.draw(axes, moment, kind.slots[slot], width, height)
    return page


def save(page: Figure, path: str | os.PathLike) -> None:
    """Write a figure as .png, .svg (small, its type kept as type) or .pdf; the same picture gives the same bytes."""
    file = Path(path)
    if file.suffix not in FORMATS:
        raise ValueError(f"a figure is written to a file ending in {', '.join(FORMATS)}, got {os.fspath(path)!r}")
    data = encoded(page, file.suffix)
    file.parent.mkdir(parents=True, exist_ok=True)
    files.write(file, lambda out: out.write(data))


def encoded(page: Figure, ending: str) -> bytes:
    """What `save` writes."""
    content = io.BytesIO()
    with style():
        page.savefig(content, format=ending[1:], metadata={FORMATS[ending]: None})
    data = content.getvalue()
    return compact_svg(data.decode()).encode() if ending == ".svg" else data


def style() -> Any:
    """matplotlib's settings for these pictures, in a `with`: whatever the caller has set stays out of them."""
    return matplotlib.style.context(["default", _STYLE])


def compact_svg(text: str) -> str:
    """matplotlib's SVG in half of the bytes, to be kept beside results and put into pages: the same picture.

    Coordinates are rounded to a tenth of a point, styles that repeat become classes, what draws nothing goes.
    """
    for pattern in _NOISE:
        text = re.sub(pattern, "", text, flags=re.S)
    text = re.sub(r"<(?:path|text|g|use)\b[^>]*>", _shortened, text)  # in tags: what is written stays as it is
    text = re.sub(r">[ \n]+<", "><", text)
    text = text.replace("font-family: 'DejaVu Sans'", "font-family: 'DejaVu Sans', Verdana, sans-serif")  # as wide
    text = re.sub(r"(?<=>)[^<]*  [^<]*", lambda written: written[0].replace("  ", "\u00a0 "), text)  # wide spaces stay
    styles = re.findall(r' style="([^"]*)"', text)
    classes = {style: f"s{k}" for k, style in enumerate(dict.fromkeys(styles)) if styles.count(style) > 1}
    for style, name in classes.items():
        text = text.replace(f' style="{style}"', f' class="{name}"')
    rules = "".join(f".{name}{{{style}}}" for style, name in classes.items())
    return text.strip().replace("</style>", f"{rules}</style>", 1) + "\n"


def _shortened(tag: re.Match[str]) -> str:
    text = re.sub(r"-?\d+\.\d\d+", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), tag[0])
    return re.sub(r"[ \n]*([MLCQz])[ \n]*(?=[-\d\"MLCQz])", r"\1", re.sub(r'[ \n]+"', '"', text)).replace("\n", " ")
