"""The second smallest element of a multiset: what learnable commutative monoids can, and sums and maxima cannot.

    python benchmarks/second_minimum.py                            # every aggregator, three seeds
    python benchmarks/second_minimum.py --aggregator lcm --seed 0  # one, a few minutes on one core

The first benchmark of Ong and Velickovic (LoG 2022, arXiv 2212.08541). Integers from 0 to 255 are given as their 8
bits, multisets have 2 to 16 elements in training (uniformly) and 32 in the test; asked are the bits of the second
smallest element, where duplicates count. The score is the share of multisets with all 8 bits right. Published for the
LCM: about 95% at size 32, by the example of PyTorch Geometric.

    Linear(8, F), Linear(F, F), GELU  ->  aggregator  ->  Linear(F, F), GELU, Linear(F, 8)

The network is that example's but for its dropout. The training is ours, to take minutes instead of hours: fresh
multisets in every step instead of 65,536 fixed ones, a learning rate that rises to 3e-3 and falls to zero instead of a
constant 1e-4, a hidden size of 64 instead of 128. No checkpoint is chosen: the model after the last step is tested.

Written to benchmarks/second_minimum.json: scores at sizes within the training range and beyond it, and for how many
multisets of size 32 the answer is still the same when their elements are shuffled.

Shapes: G multisets, S elements, F features.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import platform
import statistics
import time

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from nar.nn.aggregators import Aggregator, MaxAggregator, MeanAggregator, SumAggregator
from nar.nn.monoid import LCMAggregator
from nar.nn.recurrent import GRUAggregator

BITS = 8
SIZES = (16, 32, 64, 128)  # of the test; training has 2 to 16
TEST_SETS, TEST_SEED = 4096, 2**31
RESULT = pathlib.Path(__file__).with_suffix(".json")


AGGREGATORS = {
    "lcm": lambda features: LCMAggregator(features),
    "lcm_associative": lambda features: LCMAggregator(features, associativity=0.1),
    "gru": lambda features: GRUAggregator(features, features),
    "sum": lambda features: SumAggregator(),
    "mean": lambda features: MeanAggregator(),
    "max": lambda features: MaxAggregator(),
}


class Network(nn.Module):
    """Every element on its own, the aggregator, the answer's bits as logits."""

    def __init__(self, aggregator: Aggregator, features: int) -> None:
        super().__init__()
        self.element = nn.Sequential(nn.Linear(BITS, features), nn.Linear(features, features), nn.GELU())
        self.aggregator = aggregator
        self.answer = nn.Sequential(nn.Linear(features, features), nn.GELU(), nn.Linear(features, BITS))

    def forward(self, bits_GSK: Tensor, mask_GS: Tensor | None) -> Tensor:
        return self.answer(self.aggregator.reduce_sequence(self.element(bits_GSK), mask_GS))


def bits(numbers: Tensor) -> Tensor:
    return (numbers.unsqueeze(-1) >> torch.arange(BITS) & 1).float()


def multisets(count: int, smallest: int, largest: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers [G, S], which of them are elements [G, S], and the second smallest element [G]."""
    numbers = torch.randint(2**BITS, (count, largest), generator=generator)
    sizes = torch.randint(smallest, largest + 1, (count, 1), generator=generator)
    mask = torch.arange(largest) < sizes
    return numbers, mask, numbers.masked_fill(~mask, 2**BITS).sort(1).values[:, 1]


def train(network: Network, steps: int, batch: int, lr: float, generator: torch.Generator) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.1)
    network.train()
    for _ in range(steps):
        numbers, mask, answer = multisets(batch, 2, 16, generator)
        loss = binary_cross_entropy_with_logits(network(bits(numbers), mask), bits(answer))
        penalty = getattr(network.aggregator, "penalty", None)
        optimizer.zero_grad(set_to_none=True)
        (loss if penalty is None else loss + penalty).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()


@torch.no_grad()
def test(network: Network) -> dict[str, float]:
    """Score per size, and how often a shuffled multiset of size 32 gets the same answer."""
    network.eval()
    generator = torch.Generator().manual_seed(TEST_SEED)
    found = {}
    for name, smallest, largest in [("2..16", 2, 16), *((str(size), size, size) for size in SIZES)]:
        numbers, mask, answer = multisets(TEST_SETS, smallest, largest, generator)
        right = (network(bits(numbers), mask) > 0) == (bits(answer) > 0)
        found[name] = right.all(1).float().mean().item()
    numbers, _, _ = multisets(TEST_SETS, 32, 32, generator)
    shuffled = numbers[:, torch.randperm(32, generator=generator)]
    same = (network(bits(numbers), None) > 0) == (network(bits(shuffled), None) > 0)
    return found | {"same when shuffled": same.all(1).float().mean().item()}


def measure(name: str, seed: int, hidden: int, steps: int, batch: int, lr: float) -> dict[str, float]:
    torch.manual_seed(seed)
    network = Network(AGGREGATORS[name](hidden), hidden)
    start = time.process_time()
    train(network, steps, batch, lr, torch.Generator().manual_seed(seed))
    return {"seed": seed, "cpu_seconds": round(time.process_time() - start, 1)} | test(network)


def record(path: pathlib.Path, settings: dict, name: str, run: dict[str, float]) -> None:
    """Add a run to those of the same settings that the file has; runs may so be made in any order, side by side."""
    made = {"torch": torch.__version__, "python": platform.python_version(), "threads": 1}
    found = json.loads(path.read_text()) if path.exists() else {}
    results = found["results"] if found.get("settings") == settings else {}
    others = [other for other in results.get(name, []) if other["seed"] != run["seed"]]
    results[name] = sorted([*others, run], key=lambda r: r["seed"])
    results = {name: results[name] for name in AGGREGATORS if name in results}
    path.write_text(json.dumps({"settings": settings, "made_with": made, "results": results}, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aggregator", nargs="+", choices=list(AGGREGATORS), default=list(AGGREGATORS))
    parser.add_argument("--seed", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--hidden", type=int, default=64, help="F")
    parser.add_argument("--steps", type=int, default=20_000, help="training steps")
    parser.add_argument("--batch", type=int, default=128, help="multisets per step")
    parser.add_argument("--lr", type=float, default=3e-3, help="largest learning rate")
    parser.add_argument("--out", type=pathlib.Path, default=RESULT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    settings = {name: getattr(args, name) for name in ("hidden", "steps", "batch", "lr")}
    for name in args.aggregator:
        for seed in args.seed:
            run = measure(name, seed, **settings)
            record(args.out, settings, name, run)
            print(name, json.dumps(run), flush=True)
    for name, runs in json.loads(args.out.read_text())["results"].items():
        means = {key: round(statistics.mean(run[key] for run in runs), 3) for key in runs[0] if key != "seed"}
        print(f"{name:16} {len(runs)} seeds, means", means)


if __name__ == "__main__":
    main()
