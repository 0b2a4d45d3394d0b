"""What evaluations cost: seconds and memory against size."""

from collections.abc import Iterator
from statistics import median

from nar.reports.blocks import Figure, Section, Table
from nar.reports.charts.axis import log_axis, size_axis
from nar.reports.charts.chart import Chart, Panel
from nar.reports.context import ReportContext, portions
from nar.reports.number_format import number


def section(context: ReportContext) -> Section | None:
    if not any(group.values("seconds") for group in context.groups):
        return None
    rows = []
    for group in context.groups:
        per_graph = dict(_costs(context, group.algorithm, group.label, "seconds")).get(group.size)
        seconds, memory = (group.interval(name) for name in ("seconds", "peak_memory_mb"))
        rows.append((
            group.algorithm, group.label, str(group.size), f"{group.samples:,}",
            number(seconds.mean if seconds else None), number(1000 * per_graph if per_graph is not None else None),
            number(memory.mean if memory else None),
        ))  # fmt: skip
    devices = sorted({str(run.results["provenance"].get("device", "unknown")) for run in context.study.runs})
    caption = (
        "Wall time of the rollouts of one graph, outputs decided, without drawing the data and scoring; median over "
        f"seeds. Measured while evaluating on {', '.join(devices)}, whatever else the machine did: an order of "
        "magnitude, not a benchmark."
    )
    header = ("algorithm", "network", "n", "graphs", "seconds", "ms per graph", "peak MB")
    panels = [panel for algorithm in context.algorithms for panel in _panels(context, algorithm)]
    figure = Figure("cost", panels, caption, context.legend(), [Table("Cost", header, rows, (0, 1))])
    return Section("cost", "Cost", [figure])


def _panels(context: ReportContext, algorithm: str) -> Iterator[Panel]:
    shown = {"seconds": "seconds per graph (log scale)", "peak_memory_mb": "peak memory in MB (log scale)"}
    for name, about in shown.items():
        lines = {label: _costs(context, algorithm, label, name) for label in context.labels_of(algorithm)}
        lines = {label: line for label, line in lines.items() if line}
        for title, portion in portions(about, list(lines)):
            y = log_axis(about, [value for label in portion for _, value in lines[label]])
            chart = Chart(size_axis(context.sizes(algorithm)), y)
            for label in portion:
                chart.line(lines[label], context.styles[label], markers=True)
                chart.tell(label, lines[label])
            yield chart.panel(title, algorithm)


def _costs(context: ReportContext, algorithm: str, label: str, name: str) -> list[tuple[float, float]]:
    """(size, median over seeds), seconds by graph."""
    found = []
    for group in context.plain(algorithm, label):
        graphs = group.samples if name == "seconds" else 1
        if costs := [value / graphs for value in group.values(name) if value > 0]:
            found.append((float(group.size), median(costs)))
    return found
