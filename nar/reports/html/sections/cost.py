"""What evaluations cost: seconds and memory against size."""

from __future__ import annotations

import numpy as np

from nar.reports.html.axis import log_axis, size_axis
from nar.reports.html.chart import Chart
from nar.reports.html.context import View, chunks, interval, part, values
from nar.reports.html.elements import (
    Markup,
    details,
    figure,
    number,
    table,
)
from nar.reports.html.legend import legend, swatch


def section(view: View) -> Markup | None:
    """Seconds per graph and peak memory against size."""
    cells = [cell for cell in view.cells if values(cell, "seconds")]
    if not cells:
        return None
    groups = []
    for algorithm in view.algorithms:
        panels = []
        for name, label in (
            ("seconds", "seconds per graph (log scale)"),
            ("peak_memory_mb", "peak memory in MB (log scale)"),
        ):
            shown = [
                one for one in view.labels_of(algorithm) if any(values(c, name) for c in view.plain(algorithm, one))
            ]
            portions = chunks(shown)
            for index, portion in enumerate(portions):
                lines = {one: _costs(view, algorithm, one, name) for one in portion}
                y = log_axis(label, [value for line in lines.values() for _, value in line])
                chart = Chart(size_axis(view.sizes(algorithm)), y)
                for one, line in lines.items():
                    chart.line(line, view.styles[one])
                    chart.tell(one, line)
                panels.append(chart.panel(part(label, index, len(portions)), algorithm))
        groups.append((algorithm, panels))
    rows = []
    for algorithm, one in view.pairs():
        for cell in view.plain(algorithm, one):
            memory = interval(cell, "peak_memory_mb")
            per_graph = dict(_costs(view, algorithm, one, "seconds")).get(cell.size)
            seconds = interval(cell, "seconds")
            rows.append((
                algorithm, one, str(cell.size), f"{cell.samples:,}", number(seconds.mean if seconds else None),
                number(1000 * per_graph if per_graph is not None else None), number(memory.mean if memory else None),
            ))  # fmt: skip
    devices = sorted({str((run.results.get("provenance") or {}).get("device", "unknown")) for run in view.study.runs})
    caption = (
        "Wall time of the rollouts of one graph, outputs decided, without drawing the data and scoring; median over "
        f"seeds. Measured while evaluating on {', '.join(devices)}, whatever else the machine did: an order of "
        "magnitude, not a benchmark."
    )
    header = ("algorithm", "network", "n", "graphs", "seconds", "ms per graph", "peak MB")
    entries = [
        (one, swatch(view.styles[one])) for one in view.labels if any(view.plain(a, one) for a in view.algorithms)
    ]
    return figure(
        groups,
        caption,
        legend(entries),
        details("Every number of this figure", table(header, rows, "Cost", words=(0, 1))),
    )


def _costs(view: View, algorithm: str, label: str, name: str) -> list[tuple[float, float]]:
    """(size, median over seeds), seconds by graph."""
    found = []
    for cell in view.plain(algorithm, label):
        graphs = cell.samples if name == "seconds" else 1
        if costs := [value / graphs for _, value in values(cell, name) if value > 0]:
            found.append((float(cell.size), float(np.median(costs))))
    return found
