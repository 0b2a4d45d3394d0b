"""What the rows of clrs30_cost.json say: how many runs the table has, and what those of one algorithm cost."""

import math
import statistics

IDENTITY = ("algo", "processor", "hidden", "batch", "device", "seeds_together")
STEPS, VALIDATE_EVERY, SEEDS = 10_000, 50, 5


def cost_of(row):
    """Seconds of one algorithm with all its seeds, by part; of the device's time, or of one CPU core's."""
    groups = math.ceil(SEEDS / row["seeds_at_once"])
    step = statistics.fmean(size["seconds"] for size in row["sizes"])
    draw = statistics.fmean(size["draw_seconds"] for size in row["sizes"])
    parts = {
        "training": groups * STEPS * step,
        "drawing": groups * STEPS * draw if row["device"] == "cpu" else 0.0,
        "validation": SEEDS * (STEPS // VALIDATE_EVERY) * row["validation_seconds"],
        "evaluation": SEEDS * row["evaluation_seconds"],
    }
    return {"seconds_per_step": step, "draw_seconds_per_step": draw, **parts, "total": sum(parts.values())}
