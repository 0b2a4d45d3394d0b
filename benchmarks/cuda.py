"""The fused CUDA kernels against what the device can do at all, against plain PyTorch, and against torch.compile of it.

Long because every kernel stands here with its inputs, its plain twin and the bytes and FLOP that it cannot avoid.

    python benchmarks/cuda.py                       # everything; continues where it was stopped
    python benchmarks/cuda.py --what max_plus --nodes 64 --again

First the ceilings, measured in the same run: a large copy (bytes per second), large matrix products in TF32, bf16 and
plain float32 (FLOP per second). Then every kernel, forward alone (no gradients) and forward with backward, float32 with
TF32 products and bf16, for one model and for `--stack` stacked ones, batch 32 and hidden size 128: medians of CUDA
events. A kernel's floor is the larger of two times: the bytes it cannot avoid at the speed of the copy, and the
arithmetic it cannot avoid at the speed of the products. `share` is floor / time.

    message_pool     bytes: channels, senders, receivers, result, and their gradients; products of L1 and L2, of which
                     the maximum's gradient needs N F F where a dense one needs N N F F
    pointer_scores   additions and maxima run at the rate of plain float32 products, 2 FLOP each at least
    max_plus         likewise: one addition and one maximum per (i, j, k, f)

Last, training steps per second (data on the device; all seeds of a stack counted). Claim (nar's aim for an H200): at 64
nodes every kernel has a share of at least 0.5. Written to benchmarks/cuda.json after every measurement.
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import statistics
import sys
import time

import measuring
import result_files

OUTPUT = pathlib.Path(__file__).with_suffix(".json")
IDENTITY = ("what", "pass", "nodes", "batch", "hidden", "dtype", "stack", "route", "device")
KERNELS = ("message_pool", "pointer_scores", "max_plus")
ROUTES = ("ours", "plain", "compiled")
CHANNELS, TRIPLET_WIDTH = 4, 8  # raw edge channels of a typical algorithm; width of triplets
TRAINING = (("bellman_ford", "mpnn"), ("bellman_ford", "triplet_gmpnn"))


def seconds(call, device, repeats):
    """Median seconds of a call after warm-ups, in which things are compiled and block sizes chosen."""
    import torch

    for _ in range(min(3, repeats)):
        call()
    found = []
    for _ in range(repeats):
        if device.type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            call()
            end.record()
            end.synchronize()
            found.append(start.elapsed_time(end) / 1000)
        else:
            begin = time.perf_counter()
            call()
            found.append(time.perf_counter() - begin)
    return statistics.median(found)


def ceilings(device, repeats, side, copied):
    """Bytes and FLOP per second: a copy of `copied` bytes, products of matrices [side, side]."""
    import torch

    source = torch.empty(copied // 4, device=device)
    target = torch.empty_like(source)
    found = {"copy": 2 * copied / seconds(lambda: target.copy_(source), device, repeats)}
    before = torch.get_float32_matmul_precision()
    for name, dtype, precision in (
        ("float32", torch.float32, "highest"),
        ("tf32", torch.float32, "high"),
        ("bfloat16", torch.bfloat16, "high"),
    ):
        torch.set_float32_matmul_precision(precision)
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        out = torch.empty_like(a)
        found[name] = 2 * side**3 / seconds(lambda a=a, b=b, out=out: torch.mm(a, b, out=out), device, repeats)
    torch.set_float32_matmul_precision(before)
    return found


def plain_message_pool(channels, edge, senders, receivers, weight1, bias1, weight2, bias2):
    import torch

    parts = channels @ edge + senders.unsqueeze(2) + receivers.unsqueeze(1)
    hidden = torch.relu(torch.nn.functional.linear(torch.relu(parts), weight1, bias1))
    return torch.nn.functional.linear(hidden, weight2, bias2).amax(1)


def plain_pointer_scores(channels, edge, own, other, weigh):
    import torch

    gap = torch.relu(channels @ edge + other.unsqueeze(2) - own.unsqueeze(1))
    return torch.matmul(gap, weigh).transpose(1, 2) + torch.matmul(own, weigh).unsqueeze(-1)


def plain_max_plus(left, right):
    import torch

    best = left[:, 0].unsqueeze(2) + right[:, 0].unsqueeze(1)
    for i in range(1, left.shape[1]):
        best = torch.maximum(best, left[:, i].unsqueeze(2) + right[:, i].unsqueeze(1))
    return best


def ours(what):
    """nar's own operation with the arguments of the plain one; the plain one where the kernels cannot run."""
    from nar.kernels.triton import dispatch

    def message_pool(channels, edge, senders, receivers, weight1, bias1, weight2, bias2):
        return dispatch.message_pool(channels, edge, senders, receivers, (weight1, bias1), (weight2, bias2), None)

    def pointer_scores(channels, edge, own, other, weigh):
        return dispatch.pointer_scores(channels, edge, None, own, other, weigh)

    return {"message_pool": message_pool, "pointer_scores": pointer_scores, "max_plus": dispatch.max_plus}[what]


def plain(what):
    return {"message_pool": plain_message_pool, "pointer_scores": plain_pointer_scores, "max_plus": plain_max_plus}[
        what
    ]


def shapes(what, batch, nodes, hidden):
    """Shapes of the arguments."""
    pairs, states = (batch, nodes, nodes, CHANNELS), (batch, nodes, hidden)
    if what == "message_pool":
        layer = [(hidden, hidden), (hidden,)]
        return [pairs, (CHANNELS, hidden), states, states, *layer, *layer]
    if what == "pointer_scores":
        return [pairs, (CHANNELS, hidden), states, states, (hidden,)]
    return [(batch, nodes, nodes, TRIPLET_WIDTH)] * 2


def floors(what, task, speeds):
    """Seconds that bytes and arithmetic take at the least, and the larger of both with its name."""
    batch, nodes, hidden, train = (task[k] for k in ("batch", "nodes", "hidden", "pass"))
    train = train == "training"
    size = 2 if task["dtype"] == "bfloat16" else 4
    pairs, models = batch * nodes * nodes, task["stack"]
    ends = batch * nodes * hidden  # numbers in one set of node states
    if what == "message_pool":
        # L1's forward twice (it is computed again), its two backward products; L2 once, and its sparse backward
        products = 2 * hidden * hidden
        flops = pairs * (2 * products + 2 * CHANNELS * hidden)
        if train:
            flops += pairs * (3 * products + 6 * CHANNELS * hidden) + 2 * batch * nodes * hidden * 2 * hidden
        numbers = pairs * CHANNELS + 3 * ends
        numbers += (2 * pairs * CHANNELS + 5 * ends) if train else 0
        bytes_ = size * numbers + (2 * 2 * ends if train else 0)
        speed = speeds["bfloat16" if task["dtype"] == "bfloat16" else "tf32"]
    elif what == "pointer_scores":
        flops = 2 * pairs * hidden * (CHANNELS + 3)
        flops += 2 * pairs * hidden * (3 * CHANNELS + 6) if train else 0
        numbers = pairs * (CHANNELS + 1) + 2 * ends
        numbers += (pairs * (2 * CHANNELS + 1) + 4 * ends) if train else 0
        bytes_, speed = size * numbers, speeds["float32"]
    else:
        entries = pairs * TRIPLET_WIDTH
        flops = 2 * 2 * entries * nodes  # the backward sums N N F numbers per factor, where each belongs
        flops += 2 * 2 * entries if train else 0
        bytes_ = size * entries * (7 if train else 3) + (3 * 2 * entries if train else 0)
        speed = speeds["float32"]
    times = {"bytes": models * bytes_ / speeds["copy"], "arithmetic": models * flops / speed}
    bound = max(times, key=lambda name: times[name])
    return {"floor_bytes": times["bytes"], "floor_arithmetic": times["arithmetic"], "bound": bound}, times[bound]


def measure_kernel(task, speeds, device, repeats):
    """One row: seconds of one route through one kernel, and the share of the ceiling."""
    import torch

    from nar.kernels.triton import dispatch

    dtype = getattr(torch, task["dtype"])
    torch.manual_seed(0)
    models = task["stack"]
    arguments = []
    for shape in shapes(task["what"], task["batch"], task["nodes"], task["hidden"]):
        scale = shape[-1] ** -0.5 if len(shape) == 2 else 1.0
        lead = (models,) if models > 1 else ()
        arguments.append((scale * torch.randn(*lead, *shape, device=device)).to(dtype))
    runnable = dispatch.usable(*(a.view(-1, *a.shape[-3:]) for a in arguments if a.dim() > 2 + (models > 1)))
    function = ours(task["what"]) if task["route"] == "ours" and runnable else plain(task["what"])
    if models > 1:
        function = torch.vmap(function)
    if task["route"] == "compiled":
        function = torch.compile(function, backend="inductor" if device.type == "cuda" else "eager")
    train = task["pass"] == "training"
    arguments = [a.requires_grad_(train) for a in arguments]

    def call():
        if not train:
            with torch.no_grad():
                return function(*arguments)
        value = function(*arguments)
        return torch.autograd.grad(value, arguments, torch.ones_like(value))

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    found = {"seconds": seconds(call, device, repeats)}
    if device.type == "cuda":
        found["peak_memory_mb"] = torch.cuda.max_memory_allocated(device) / 2**20
    parts, floor = floors(task["what"], task, speeds)
    return {**found, **parts, "share": floor / found["seconds"]}


def measure_training(task, device, repeats):
    """Training steps per second, those of all stacked seeds counted."""
    import numpy as np
    import torch

    from nar import datasets
    from nar.model.batch import collate

    algorithm = datasets.get(task["what"].split()[0])
    seeds = tuple(range(task["stack"]))
    learner, chosen = measuring.learner(
        algorithm, task["what"].split()[1], task["hidden"], seeds=seeds, device=str(device)
    )
    rng = np.random.RandomState(0)
    on = next(learner.reasoners[0].parameters()).device
    batches = [
        collate(
            [
                algorithm.run(**algorithm.sample(rng, task["nodes"], **algorithm.train_params))
                for _ in range(task["batch"])
            ],
            algorithm,
        ).to(on)
        for _ in learner.reasoners
    ]
    step = measuring.trainer(learner)
    for _ in range(4):
        step(*batches)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    begin = time.perf_counter()
    for _ in range(repeats):
        step(*batches)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    spent = (time.perf_counter() - begin) / repeats
    return {
        "seconds": spent,
        "steps_per_second": len(learner.reasoners) / spent,
        "message_steps": batches[0].steps,
        **chosen,
    }


def tasks(options, device):
    """Settings of every row, the cheap and telling ones first."""
    shared = {"batch": options.batch, "hidden": options.hidden, "device": device}
    for nodes in options.nodes:
        for what in [name for name in options.what if name in KERNELS]:
            for stack in dict.fromkeys((1, options.stack)):
                for dtype in ("float32", "bfloat16"):
                    for direction in ("forward", "training"):
                        for route in ROUTES if stack == 1 else ROUTES[:1]:
                            row = {"what": what, "nodes": nodes, "stack": stack, "dtype": dtype, "route": route}
                            yield {**row, "pass": direction, **shared}
    for algorithm, processor in TRAINING:
        for stack in dict.fromkeys((1, options.stack)):
            if "training" in options.what:
                row = {"what": f"{algorithm} {processor}", "nodes": options.nodes[0], "stack": stack, "route": "ours"}
                yield {**row, "pass": "steps", "dtype": "float32", **shared}


def line(row):
    what = f"{row['what']:28} {row['pass']:9} n={row['nodes']:<4} x{row['stack']} {row['dtype']:9} {row['route']:9}"
    if "failed" in row:
        return f"{what} failed: {row['failed']}"
    share = (
        f"{100 * row['share']:5.1f}% of {row['bound']}" if "share" in row else f"{row['steps_per_second']:.1f} steps/s"
    )
    return f"{what} {1000 * row['seconds']:10.3f} ms  {share}"


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--what", nargs="+", default=[*KERNELS, "training"], choices=[*KERNELS, "training"])
    parser.add_argument("--nodes", nargs="+", type=int, default=[16, 64, 256])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--stack", type=int, default=5, help="stacked models, beside one")
    parser.add_argument("--repeats", type=int, default=30, help="measured calls")
    parser.add_argument("--rehearse", action="store_true", help=argparse.SUPPRESS)  # tiny, on the CPU, nothing written
    result_files.add_flags(parser, OUTPUT)
    options = parser.parse_args()
    if options.rehearse:
        options.nodes, options.batch, options.hidden, options.repeats, options.stack = [6], 3, 8, 1, 2
    return options


def main():
    import torch

    options = parse()
    if not (torch.cuda.is_available() or options.rehearse):
        print(
            "no CUDA device: nothing measured (PyTorch finds none; the kernels' tests run under Triton's interpreter)"
        )
        return 0
    device = torch.device("cpu" if options.rehearse else "cuda")
    name = "cpu" if options.rehearse else torch.cuda.get_device_name()
    if not options.rehearse:
        torch.set_float32_matmul_precision("high")
    speeds = ceilings(device, options.repeats, *((64, 2**20) if options.rehearse else (8192, 2**30)))
    result = {"rows": []} if options.rehearse else result_files.load(options.output)
    result["ceilings"] = {**result.get("ceilings", {}), name: speeds}
    versions = {**measuring.made_by(), **measuring.versions()}
    failures = 0
    for task in tasks(options, name):
        if not result_files.wanted(result["rows"], task, versions, IDENTITY, again=options.again, keep=options.keep):
            continue
        try:
            with contextlib.redirect_stdout(sys.stderr):
                if task["what"] in KERNELS:
                    found = measure_kernel(task, speeds, device, options.repeats)
                else:
                    found = measure_training(task, device, options.repeats)
        except Exception as error:  # a route that fails is a finding: the others are still measured
            found = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]}
            failures += task["route"] == "ours"
        row = {**task, **found, "versions": versions}
        print(line(row), flush=True)
        result["rows"] = result_files.put(result["rows"], row, IDENTITY)
        if not options.rehearse:
            result_files.save(options.output, result)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
