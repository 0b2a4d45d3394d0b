"""The tables of docs/speed.md and of README.md's section on speed, made from the result files beside this script.

    python benchmarks/speed_tables.py                              # prints them all
    python benchmarks/speed_tables.py docs/speed.md README.md      # puts them where these pages have a place for them

A place is a pair of comments, `<!-- speed:NAME -->` and `<!-- /speed -->`; what stands between them is replaced.
"""

from __future__ import annotations

import argparse
import pathlib
import re

import clrs30_cost
import cores
import result_files
import scaling
import time_to_score
import train_step

PLACE = re.compile(r"(<!-- speed:(\w+) -->\n).*?(<!-- /speed -->)", flags=re.S)
WORDS = {
    "geometric_mean_cpu": "CPU time of a training step, geometric mean",
    "lowest_cpu": "CPU time of a training step, lowest",
    "lowest_memory": "peak memory of training, lowest",
    "lowest_evaluation_cpu": "CPU time of evaluation per message step, lowest",
}


def table(header, rows):
    """Markdown; no rows: a sentence."""
    if not rows:
        return "Not measured yet.\n"
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def milliseconds(seconds):
    value = seconds * 1000
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"


def compared_steps(result):
    """Every row of train_step.json; ratios are dm-clrs's over ours."""
    order = {name: place for place, name in enumerate(train_step.ALGORITHMS)}
    rows = sorted(
        result["rows"], key=lambda r: (r["what"] == "evaluation", order.get(r["algo"], 99), r["algo"], r["processor"])
    )
    cells = []
    for row in rows:
        unit = "_per_message_step" if row["what"] == "evaluation" else ""
        times = [milliseconds(row[side][f"cpu_seconds{unit}"]) for side in ("ours", "dm_clrs")]
        ratios = [f"{row[f'ratio_{name}']:.1f}x" for name in ("cpu", "wall", "memory")]
        memory = [f"{row[side]['peak_memory_mb']:,.0f} MiB" for side in ("ours", "dm_clrs")]
        what = row["what"] if row["what"] == "training step" else "evaluation, a message step"
        apart = "" if row["together"] else " (dm-clrs earlier)"
        cells.append([f"{what}{apart}", f"`{row['algo']}`", f"`{row['processor']}`", row["nodes"], *times, *ratios[:2],
                      *memory, ratios[2]])  # fmt: skip
    header = ["", "algorithm", "processor", "n", "ours", "dm-clrs", "CPU time", "wall time", "memory, ours",
              "memory, dm-clrs", "memory"]  # fmt: skip
    return table(header, cells)


def goals(result):
    """The summary of train_step.json beside the goals."""
    found = result.get("summary", {})
    rows = [
        [words, f"{train_step.GOALS[name]}x", f"**{found[name]:.2f}x**", "yes" if found["reached"][name] else "no"]
        for name, words in WORDS.items()
        if name in found
    ]
    measured = f"\n{found['pairs']} of {found['pairs_wanted']} pairs are measured.\n" if rows else ""
    return table(["dm-clrs's over ours", "goal", "measured", "reached"], rows) + measured


def setting(result):
    """Where and with what train_step.json was measured."""
    found = dict.fromkeys(
        f"nar {v['nar']}{' ' + v['commit'] if v.get('commit') else ''}, torch {v['torch']}; {v['peer']}; "
        f"{row['cores']} core{'s' if row['cores'] > 1 else ''} of {v['cpu']}, {row['date']}"
        for row in result["rows"]
        for v in [row["versions"]]
    )
    return "".join(f"- {line}\n" for line in found) or "Not measured yet.\n"


def several_cores(result):
    """What cores.json found: a run's steps with one process and with several."""
    rows = [
        [f"`{row['algo']}`", f"`{row['processor']}`", row["cores"], milliseconds(row["seconds_per_step"]),
         f"{row['whole_run_seconds'] / 60:.1f} min", f"{row.get('faster_than_one', 1):.2f}x", row["versions"]["cpu"]]
        for row in sorted(result["rows"], key=lambda row: (row["algo"], row["processor"], row["cores"]))
    ]  # fmt: skip
    header = ["algorithm", "processor", "cores", "a step, wall time", "10,000 steps", "faster by", "CPU"]
    return table(header, rows)


def growth(result):
    """The fitted exponents of scaling.json."""

    def exponent(found, name):
        if found[f"{name}_exponent"] is None:
            return "–"
        error = found[f"{name}_error"]
        return f"{found['axis']}^{found[f'{name}_exponent']:.2f}" + (f" ± {error:.2f}" if error is not None else "")

    rows = [
        [found["what"], f"`{found['algo']}`", f"`{found['processor']}`", found["device"], f"{found['largest']:,.4g}",
         exponent(found, "time"), exponent(found, "memory")]
        for found in result.get("exponents", [])
        if found["points"]
    ]  # fmt: skip
    rows.sort(key=lambda row: (row[5].startswith("T"), row[3], row[0] != "training", row[2]))
    return table(["", "algorithm", "processor", "device", "largest n or T", "time grows as", "memory grows as"], rows)


def points(result):
    """What scaling.json has measured at the largest sizes, and why it stops there."""
    rows = []
    for row in result["rows"]:
        if row["axis"] != "n":
            continue
        name = [row["what"], f"`{row['processor']}`", row["device"], row["nodes"]]
        if "stopped" in row:
            rows.append([*name, row["stopped"], "–"])
        else:
            rows.append([*name, milliseconds(row["seconds_per_message_step"]), f"{row['peak_mb']:,.4g} MiB"])
    return table(["", "processor", "device", "n", "a message step", "memory"], rows)


def whole_table(result):
    """The totals of clrs30_cost.json."""
    rows = []
    for found in result.get("totals", []):
        on_cpu = found["device"] == "cpu"
        rows.append(
            [
                f"`{found['processor']}`",
                found["device_name"] + (", one core" if on_cpu else ""),
                found["seeds_together"],
                f"{found['algorithms']} of {len(clrs30_cost.CLRS30)}",
                f"{found['hours']:,.0f} CPU-hours" if on_cpu else f"{found['minutes']:,.1f} GPU-minutes",
                f"{found['hours_per_run']:.2f} CPU-hours"
                if on_cpu
                else f"{found['hours_per_run'] * 60:.2f} GPU-minutes",
            ]
        )
    header = ["processor", "device", "seeds together", "algorithms measured", "whole table", "one run"]
    return table(header, rows)


def algorithms(result):
    """Every algorithm of clrs30_cost.json: a training step, and its five runs."""
    rows = []
    for row in sorted(result["rows"], key=lambda row: (row["device"], row["seeds_together"], row["algo"])):
        cost = clrs30_cost.cost_of(row)
        runs = f"{cost['total'] / 3600:.1f} CPU-h" if row["device"] == "cpu" else f"{cost['total'] / 60:.2f} GPU-min"
        rows.append([f"`{row['algo']}`", row["device"], row["seeds_together"], milliseconds(cost["seconds_per_step"]),
                     milliseconds(cost["draw_seconds_per_step"]), runs])  # fmt: skip
    header = ["algorithm", "device", "seeds together", "a training step", "drawing its batch", "five runs"]
    return table(header, rows)


TABLES = {
    "goals": (goals, train_step.OUTPUT),
    "train_step": (compared_steps, train_step.OUTPUT),
    "setting": (setting, train_step.OUTPUT),
    "time_to_score": (time_to_score.made, time_to_score.OUTPUT),
    "cores": (several_cores, cores.OUTPUT),
    "growth": (growth, scaling.OUTPUT),
    "scaling": (points, scaling.OUTPUT),
    "clrs30_cost": (whole_table, clrs30_cost.OUTPUT),
    "clrs30_algorithms": (algorithms, clrs30_cost.OUTPUT),
}


def made(name):
    """The table of this name, from its file as it is now; KeyError where there is none."""
    make, path = TABLES[name]
    return make(result_files.load(path))


def filled(page):
    """The page with every place in it filled."""
    return PLACE.sub(lambda place: place[1] + made(place[2]) + place[3], page)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", type=pathlib.Path, help="pages to put the tables into")
    pages = parser.parse_args().pages
    for page in pages:
        page.write_text(filled(page.read_text()))
    if not pages:
        print("\n".join(f"<!-- speed:{name} -->\n{made(name)}<!-- /speed -->\n" for name in TABLES))


if __name__ == "__main__":
    main()
