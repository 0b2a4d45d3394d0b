"""Rows of the files of the speed benchmarks, whose numbers are given or plain to see."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # scripts beside each other, not a package

import train_step


def compared(algo="bfs", processor="mpnn", what="training step", nodes=16, cpu=6.0, memory=4.0, **more):
    """A row of train_step.json, ours at 0.1 s and 500 MiB."""
    ours = {name: 0.1 for name in train_step.TIMES} | {"peak_memory_mb": 500.0, "calls": 25}
    theirs = {name: 0.1 * cpu for name in train_step.TIMES} | {"peak_memory_mb": 500.0 * memory, "calls": 3}
    versions = {"nar": "0.1", "torch": "2.13", "peer": "dm-clrs 2.0.3"}
    about = {"what": what, "algo": algo, "processor": processor, "nodes": nodes, "batch": 32, "hidden": 128, "cores": 1}
    ratios = {"ratio_cpu": cpu, "ratio_wall": cpu + 1, "ratio_memory": memory}
    measured = {"ours": ours, "dm_clrs": theirs, "rounds": 2, "together": True}
    return about | ratios | measured | {"versions": versions, "date": "2026-01-01"} | more


def scaling_rows():
    key = {"algo": "bfs", "processor": "mpnn", "device": "cpu", "hidden": 128, "batch": 1, "steps": 4}
    by_n = [
        key | {"axis": "n", "what": "evaluation", "nodes": n, "steps_mean": 4.0, "seconds": 9.0, "calls": 2}
        | {"seconds_per_message_step": 2e-5 * n**2, "peak_mb": 0.5 * n}
        for n in (16, 32, 64, 128)
    ]  # fmt: skip
    by_n.append(key | {"axis": "n", "what": "evaluation", "nodes": 256, "stopped": "needs more than 8 GiB"})
    by_steps = [
        key | {"axis": "T", "what": "training", "nodes": 16, "steps_mean": t, "seconds": 0.1 * t, "peak_mb": 7.0}
        | {"seconds_per_message_step": 0.1, "calls": 2}
        for t in (2.0, 4.0, 8.0)
    ]  # fmt: skip
    return by_n + by_steps


def cost_row(algo="bfs", device="cpu", together=1, **more):
    sizes = [{"nodes": n, "seconds": s, "draw_seconds": 0.01} for n, s in ((4, 0.1), (16, 0.3))]
    return {
        "algo": algo, "processor": "triplet_gmpnn", "hidden": 128, "batch": 32, "device": device, "sizes": sizes,
        "seeds_together": together, "seeds_at_once": together, "validation_seconds": 2.0, "evaluation_seconds": 30.0,
        "device_name": "a", **more
    }  # fmt: skip
