"""What every processor costs: parameters, CPU time and memory of a step at 16, 64 and 256 nodes, and their growth.

    python benchmarks/processors.py                      # all; continues where it was stopped
    python benchmarks/processors.py gat lcm --again      # these two, anew

Each processor runs in a process of its own, on one thread, with a limit on memory: one graph, hidden size 128, float32,
the graph's edges being about a third of all pairs. A *step* is one forward pass and readout without gradients, as in
evaluation; a *training step* the same with gradients, forward and backward. Times are medians of CPU seconds; memory is
what the process held at most beyond what it held before, model and inputs included. The exponent k of N^k is fitted to
the CPU times of a step from 64 to 256 nodes, and beside it stands the one counted from operations
(nar/analysis/contract/cost.py), which lower terms and caches cannot disturb. Written to benchmarks/processors.json
after every processor, and as a table to benchmarks/processors.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"

SIZES = (16, 64, 256)
HIDDEN = 128
CALLS = 15  # of one measurement, at most
SECONDS = 1.5  # of one measurement, after which no further call is begun
OUTPUT = pathlib.Path(__file__).with_suffix(".json")


def peak_mb():
    """The most that this process has held since `forget_peak`, in MiB."""
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) / 1024


def forget_peak():
    with open("/proc/self/clear_refs", "w") as control:
        control.write("5")


def measured(call):
    """Median CPU seconds of `call`, after one that warms up."""
    call()
    times, began = [], time.process_time()
    while not times or (len(times) < CALLS and time.process_time() - began < SECONDS):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return statistics.median(times)


def worker(name, sizes, limit_gb):
    """Measures one processor and prints a line of JSON per size."""
    import torch

    from nar import processors
    from nar.analysis.contract import cost, fixture

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_DATA, (int(limit_gb * 2**30), resource.RLIM_INFINITY))
    torch.manual_seed(0)
    processor = processors.build(name, HIDDEN)
    try:
        counted = cost.exponent(processors.build(name, 16), cost.COST_FROM[0])
    except Exception:  # its work depends on the data
        counted = None
    about = {"parameters": sum(p.numel() for p in processor.parameters()), "cost": processor.cost, "counted": counted}
    print(json.dumps(about), flush=True)
    small = fixture.run_steps(
        processor, [fixture.inputs(graphs=1, nodes=2, features=HIDDEN, dtype=torch.float32)]
    ).visible()
    if any(t.requires_grad for t in small):  # kernels are loaded before memory is measured
        torch.stack([t.sum() for t in small if t.requires_grad]).sum().backward()
    for nodes in sizes:
        row = {"nodes": nodes}
        try:
            forget_peak()
            before = peak_mb()
            x = fixture.inputs(graphs=1, nodes=nodes, features=HIDDEN, dtype=torch.float32)

            def forward(x=x):
                return fixture.run_steps(processor, [x])

            processor.eval()
            with torch.no_grad():
                row["step_seconds"] = measured(forward)
            row["step_mb"] = peak_mb() - before
            forget_peak()
            processor.train()

            def train(forward=forward):
                processor.zero_grad(set_to_none=True)
                result = forward()
                value = sum(t.sum() for t in result.seen() if t.requires_grad)
                if isinstance(value, torch.Tensor):
                    value.backward()

            row["training_seconds"] = measured(train)
            row["training_mb"] = peak_mb() - before
        except (RuntimeError, MemoryError) as error:
            if not isinstance(error, MemoryError) and "alloc" not in str(error):
                raise
            row["stopped"] = f"needs more than {limit_gb:g} GiB"
        print(json.dumps(row), flush=True)
        if "stopped" in row:
            return


def measure(name, sizes, limit_gb, timeout):
    """The row of one processor, from a process of its own."""
    command = [sys.executable, __file__, "--worker", name, "--memory", str(limit_gb), "--sizes", *map(str, sizes)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, errors = process.communicate(timeout=timeout)
        stopped = None
    except subprocess.TimeoutExpired:
        process.kill()
        out, errors = process.communicate()
        stopped = f"takes longer than {timeout} s"
    if process.returncode < 0 and not stopped:
        stopped = f"needs more than {limit_gb:g} GiB"  # killed by the system
    if process.returncode > 0:
        raise SystemExit(f"{name}: the measurement failed:\n{errors[-3000:]}")
    lines = [json.loads(line) for line in out.splitlines()]
    if not lines:
        raise SystemExit(f"{name}: {stopped}, before anything was measured")
    about, rows = lines[0], lines[1:]
    if stopped:
        rows.append({"nodes": sizes[min(len(rows), len(sizes) - 1)], "stopped": stopped})
    times = [(row["nodes"], row["step_seconds"]) for row in rows if "step_seconds" in row and row["nodes"] >= 64]
    return about | {"sizes": rows, "fitted": slope(times)}


def slope(points):
    """k of the least-squares line log t = k log n + c; None below two points."""
    if len(points) < 2:
        return None
    xs, ys = zip(*((math.log(n), math.log(t)) for n, t in points), strict=True)
    mx, my = statistics.fmean(xs), statistics.fmean(ys)
    return sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True)) / sum((x - mx) ** 2 for x in xs)


def rounded(value):
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return [rounded(v) for v in value] if isinstance(value, list) else value


def table(rows):
    """The rows as Markdown."""
    lines = [
        "# What every processor costs",
        "",
        "One graph, hidden size 128, float32, one CPU core; CPU time (median) and memory of one step, evaluation /",
        "training. `python benchmarks/processors.py` measures it and says how.",
        "",
        "| processor | parameters | " + " | ".join(f"n = {n}, ms" for n in SIZES) + " | "
        + " | ".join(f"n = {n}, MiB" for n in SIZES) + " | time grows | operations grow | declared |",
        "|---" * (2 * len(SIZES) + 5) + "|",
    ]  # fmt: skip
    for name, row in sorted(rows.items()):
        by_size = {size["nodes"]: size for size in row["sizes"]}

        def cells(kind, scale, by_size=by_size):
            for n in SIZES:
                found = by_size.get(n, {})
                values = [found.get(f"{what}_{kind}") for what in ("step", "training")]
                text = " / ".join("–" if v is None else f"{v * scale:.3g}" for v in values)
                yield found["stopped"] if "stopped" in found and values[0] is None else text

        grows = [f"N^{k:.2f}" if k is not None else "–" for k in (row["fitted"], row["counted"])]
        cell = " | ".join([*cells("seconds", 1000), *cells("mb", 1), *grows])
        lines.append(f"| `{name}` | {row['parameters']:,} | {cell} | {row['cost']} |")
    return "\n".join(lines) + "\n"


def main():
    from traces import cpu

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="processors; default: all of the table")
    parser.add_argument("--again", action="store_true", help="measure those anew that are recorded")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--memory", type=float, default=8, help="GiB that a processor may use")
    parser.add_argument("--timeout", type=float, default=120, help="seconds that a processor may take")
    parser.add_argument("--output", type=pathlib.Path, default=OUTPUT)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return worker(options.worker, options.sizes, options.memory)
    import torch

    from nar import processors
    from nar.results.run_directory import provenance

    names = options.names or processors.names()
    for name in names:
        processors.find(name)
    result = json.loads(options.output.read_text()) if options.output.is_file() else {"rows": {}}
    made = provenance(torch.device("cpu"))
    for name in names:
        if name in result["rows"] and not options.again:
            continue
        row = measure(name, options.sizes, options.memory, options.timeout)
        row |= {"nar": made["nar"], "commit": made["commit"], "torch": made["torch"], "date": time.strftime("%Y-%m-%d")}
        result["rows"][name] = rounded(row)
        result |= {
            "command": "python benchmarks/processors.py",
            "unit": "CPU seconds; MiB beyond what the process held before",
            "hidden": HIDDEN,
            "memory_limit_gib": options.memory,
            "cpu": cpu(),
        }
        options.output.with_suffix(".tmp").write_text(json.dumps(result, indent=1) + "\n")
        options.output.with_suffix(".tmp").replace(options.output)
        options.output.with_suffix(".md").write_text(table(result["rows"]))
        print(table({name: result["rows"][name]}).splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
