"""Charts and numbers of reports: where values lie on axes, what is drawn and told, how series differ."""

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
from made_up_runs import collect, detailed_run, everything

from nar.reports import blocks, report
from nar.reports.charts import axis as axes
from nar.reports.charts import chart, coincidence, shapes
from nar.reports.number_format import number, score_text, with_interval
from nar.reports.rendering import html
from nar.reports.sections import errors, hints
from nar.results.statistics import Interval


def test_survival_counts_graphs_before_their_first_error():
    steps = [1, 3, 3, None]
    assert errors.survival(steps, 5) == [(0, 1.0), (1, 0.75), (3, 0.25), (5, 0.25)]
    stairs = [(0, 1.0), (1, 1.0), (1, 0.75), (3, 0.75), (3, 0.25), (5, 0.25)]
    assert errors.survival(steps, 5, at=[1, 3, 5]) == stairs
    assert errors.survival(steps, 5, at=[1, 2, 3, 7]) == [*stairs[:3], (2, 0.75), *stairs[3:]]  # those of another line


def line_shapes(*lines, **options):
    """The shapes of lines through these values at x = 0, 1, 2, ..., on an axis from 0 to 100."""
    drawn = chart.Chart(axes.step_axis([5], first=0), axes.percent_axis("y", [0.0]))
    for k, values in enumerate(lines):
        drawn.line(list(enumerate(values)), shapes.named_style(k), markers=True, **options)
    return drawn.shapes, drawn.panel("title")


def test_lines_that_coincide_are_striped_where_they_do():
    found, _ = line_shapes([100, 100, 100, 50], [100, 100, 80, 50], [100, 100, 100, 100])
    lines = [(shape.classes, shape.dash, shape.path.count("L")) for shape in found if "line" in shape.classes]
    assert lines == [
        ("c0 line", None, 3),
        ("c1 line", None, 2), ("c1 line striped", "5 5", 1),
        ("c2 line", None, 1), ("c2 line striped", "5 5", 1), ("c2 line striped", "5 10", 1),
    ]  # fmt: skip
    dots = [shape.classes for shape in found if "dot" in shape.classes]
    assert {name: dots.count(f"{name} dot") for name in ("c0", "c1", "c2")} == {
        "c0": 4,
        "c1": 3,
        "c2": 1,
    }  # on others: every second, third


def test_lines_apart_broken_and_faint_are_not_striped():
    for lines in ([[100, 90], [80, 70]], [[50, math.nan, 50], [60, 50, 40]], [[0, 100], [100, 0]]):
        assert not [shape for shape in line_shapes(*lines)[0] if shape.dash]
    assert not [shape for shape in line_shapes([50, 50], [50, 50], faint=True)[0] if shape.dash]
    found, _ = line_shapes([50, math.nan, math.nan, 70, 80])
    assert re.sub(r"[\d. ]", "", found[0].path) == "MML"


def test_stairs_of_two_sizes_are_striped_where_both_stand(tmp_path):
    """Upright parts coincide where they overlap; a figure says what stripes are."""
    _, panel = line_shapes([100, 100], [100, 100])
    drawn = coincidence.DrawnLines()
    assert drawn.add([(1, 0), (1, 100)]) == [(0, [(1, 0), (1, 100)])]
    assert drawn.add([(1, 50), (1, 70)]) == [(1, [(1, 50), (1, 70)])]
    assert drawn.add([(1, 100), (1, 120)]) == [(0, [(1, 100), (1, 120)])]
    figure = blocks.Figure("name", [panel], "", [], [])
    assert "striped" in figure.remarks
    assert blocks.Figure("name", [line_shapes([1, 2])[1]], "", [], []).remarks == ""


def test_spread_over_seeds_of_unequal_length_and_with_gaps():
    found = hints.spread([[0.5, None, 0.25], [1.0, float("nan")]])
    assert found[0] == (0.75, 0.5, 1.0)
    assert all(value != value for value in found[1])
    assert found[2] == (0.25, 0.25, 0.25)


@pytest.mark.parametrize(
    ("axis", "value", "place"),
    [
        (axes.Axis("x", 0, 10, []), 2.5, 0.25),
        (axes.Axis("x", 1, 100, [], log=True), 10, 0.5),
        (axes.Axis("y", 3, -1, []), 0, 0.75),  # the first row above
        (axes.Axis("y", 3, -1, []), 3, 0.0),
        (axes.Axis("x", 0, 10, []), 11, 1.0),
    ],
)
def test_places_on_axes(axis, value, place):
    assert axis.place(value) == pytest.approx(place)


@pytest.mark.parametrize(
    ("shares", "low"), [([0.99, 0.91], 90), ([0.899], 80), ([0.9], 80), ([0.62], 50), ([0.3], 0), ([], 0)]
)
def test_percent_axes_begin_below_the_least(shares, low):
    axis = axes.percent_axis("score (%)", shares)
    assert (axis.low, axis.high, axis.ticks[0][0], axis.ticks[-1][0]) == (low, 100, low, 100)


@pytest.mark.parametrize("values", [[0.5], [1e-9, 3.0], [12, 14], [600, 380], [1e-5], [0, -1], [1, 1e9]])
def test_log_axes_always_have_ticks_within(values):
    axis = axes.log_axis("x", values)
    assert 1 <= len(axis.ticks) <= 9
    assert all(axis.low <= tick <= axis.high for tick, _ in axis.ticks)
    assert len({label for _, label in axis.ticks}) == len(axis.ticks)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (float("nan"), "–"), (414468, "414,468"), (0.12345, "0.123"), (1234.5, "1,234"), (1.5e-5, "1.50e-5"),
     (0, "0"), (3.0, "3")],
)  # fmt: skip
def test_numbers(value, text):
    assert number(value) == text


def test_intervals_are_written_as_mean_and_brackets():
    assert with_interval(Interval(0.9735, 0.9697, 0.981, 3)) == "97.35 [96.97, 98.10]"
    assert with_interval(Interval(0.5, None, None, 1)) == "50.00"


def test_series_differ_by_more_than_their_colour():
    styles = [shapes.named_style(k) for k in range(28)]
    assert len({(s.marker, s.dash) for s in styles}) == len(set(styles)) == 28
    sizes = [shapes.ordered_style(k, 6) for k in range(6)]
    assert len({s.color for s in sizes}) == len({s.marker for s in sizes}) == 6


# What is left of linear RGB for eyes without one kind of cones: Machado, Oliveira and Fernandes 2009, severity 1
CONES = {
    "all": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def lab(color, cones):
    """The CIELAB coordinates of "#rrggbb" as these cones see it."""
    rgb = np.array([int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(CONES[cones]) @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in xyz / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("cones", CONES)
@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize(("kind", "count"), [("c", 7), ("o", 6)])
def test_colours_are_told_apart_by_colour_blind_readers(cones, scheme, kind, count):
    css = Path(html.__file__).with_name(("chart.css", "page.css")[scheme]).read_text()
    colors = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", css))
    seen = [lab(colors[f"{kind}{k}"], cones) for k in range(count)]
    assert (
        min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 9
    )  # a just visible difference is 2.3


def test_values_that_are_not_numbers_are_left_out_of_means():
    group = collect(*[detailed_run(seed=seed) for seed in range(3)]).groups[0]
    group.entries[0]["score"] = float("nan")
    group.entries[1]["score"] = None
    assert group.interval("score").n == 1
    assert score_text(group) == f"{100 * group.entries[2]['score']:.2f}"


def drawn(panel, classes):
    """The points of the paths of these classes, in units of the view box."""
    return [
        [tuple(map(float, point)) for point in re.findall(r"(-?[\d.]+) (-?[\d.]+)", shape.path)]
        for shape in panel.shapes
        if shape.classes == classes
    ]


def test_lines_have_gaps_and_become_dotted_where_few_graphs_are_left():
    points = [(0.5, 0.5, 0.5), (math.nan,) * 3, (0.5, 0.25, 0.75), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0)]
    series = ("n = 8", shapes.named_style(0), points, [8, 8, 8, 3, 2])
    panel = hints.rollout_panel([series], axes.Axis("score (%)", 0, 100, [], factor=100), "hint", "")
    assert hints.dotted_legend([panel]) and "50% at 1, 50% at 3, 100% at 4, 100% at 5." in panel.alternative
    band, dotted, solid = (s for s in panel.shapes if s.classes in ("c0 band", "c0 line"))
    assert (dotted.dash, solid.dash) == (shapes.DOTTED, None)
    assert solid.path.count("M") == 2 and dotted.path.count("M") == 1
    width, height = chart.WIDTH - chart.LEFT - chart.RIGHT, chart.HEIGHT - chart.TOP - chart.BOTTOM
    first, third = (chart.LEFT, chart.TOP + height / 2), (chart.LEFT + width / 2, chart.TOP + height / 2)
    fourth, fifth = (chart.LEFT + 0.75 * width, chart.TOP), (chart.LEFT + width, chart.TOP)
    assert drawn(panel, "c0 line") == [[third, fourth, fifth], [first, third]]
    assert band.path.endswith("Z")


def test_means_have_intervals_seeds_and_words():
    one = chart.Chart(axes.size_axis([16, 64]), axes.Axis("score (%)", 0, 100, [], factor=100))
    one.means([(16, {0: 0.25, 1: 0.75}), (64, {1: 1.0})], shapes.named_style(0), "mpnn", 0.0)
    panel = one.panel("score (%)", "bfs")
    assert panel.alternative == "bfs, score (%): score (%) against nodes n (log scale). mpnn: 50% at 16, 100% at 64."
    height = chart.HEIGHT - chart.TOP - chart.BOTTOM
    ((x, low), *_), *_ = drawn(panel, "c0 bar")
    (bar,) = [shape.path for shape in panel.shapes if shape.classes == "c0 bar"]
    assert low == chart.TOP + 0.75 * height and float(bar.split("V")[1]) == chart.TOP + 0.25 * height
    titles = [shape.title for shape in panel.shapes if shape.title]
    assert titles == ["mpnn at 16, seed 0: 25.00", "mpnn at 16, seed 1: 75.00", "mpnn at 16: 50.00 [25.00, 75.00]",
                      "mpnn at 64: 100.00"]  # fmt: skip
    assert chart.LEFT < x < chart.WIDTH / 2


def test_panels_of_a_figures_file_do_not_cover_each_other():
    for figure in report.document(everything()).figures():
        text = html.figure_file(figure)
        width, height = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)"', text).groups())
        boxes = [
            tuple(map(int, box))
            for box in re.findall(r'<svg x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)" viewBox', text)
        ]
        assert len(boxes) == sum(len(panels) for _, panels in figure.shown())
        assert all(x + w <= width and y + h <= height for x, y, w, h in boxes)
        for (x, y, w, h), (u, v, s, t) in itertools.combinations(boxes, 2):
            assert x + w <= u or u + s <= x or y + h <= v or v + t <= y
        for x, y, word in re.findall(r'<text x="(\d+)" y="(\d+)" class="title[^>]*>([^<]*)', text):
            at, line = int(x), int(y)
            assert at + 6 * len(word) < width + 60
            assert not any(x <= at < x + w and y < line < y + h for x, y, w, h in boxes)


def test_a_point_that_stands_alone_is_a_dot():
    one = chart.Chart(axes.size_axis([16, 64]), axes.Axis("score (%)", 0, 100, [], factor=100))
    style = shapes.named_style(0)
    one.line([(16, 50.0)], style)
    assert [shape.classes for shape in one.shapes] == ["c0 line", "c0 dot"]
    one.shapes.clear()
    one.line([(16, 50.0), (24, 60.0), (32, math.nan), (48, 70.0)], style)
    assert [shape.classes for shape in one.shapes].count("c0 dot") == 1
