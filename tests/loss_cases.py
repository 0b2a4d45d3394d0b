"""Short trainings whose losses are on record (golden/losses.json): every optional path of the engine once.

A case is trained by the learner that `nar train` uses, on one thread, and then validated as a run is. Everything is
drawn in the type that is computed in: float64 gives the same losses on every machine, up to its rounding.
"""

import dataclasses

import torch

from nar import datasets
from nar.config import Config
from nar.evaluation.evaluate import evaluate
from nar.model.reasoner import Reasoner
from nar.training.learner import Learner, SingleLearner, StackedLearner
from nar.training.tasks import training_batch, validation_set

SMALL = {
    "hidden": 16, "triplet_features": 4, "batch_size": 4, "train_sizes": (5, 4, 6), "val_size": 6, "val_samples": 4,
    "seed": 7, "learning_rate": 3e-3,
}  # fmt: skip
LONG, SHORT, SHORTEST = 20, 3, 2  # training steps
FLOATS = {"float64": torch.float64, "float32": torch.float32}


@dataclasses.dataclass(frozen=True)
class Case:
    """One training: its settings, steps, number type, and how many seeds are computed together (0: one, alone)."""

    settings: dict
    steps: int = SHORT
    dtype: str = "float64"
    stacked: int = 0

    @property
    def config(self) -> Config:
        found = SMALL | self.settings
        if not found["processor"].startswith("triplet"):
            del found["triplet_features"]
        if found["algo"] in ("kmp_matcher", "naive_string_matcher"):
            del found["train_sizes"], found["val_size"]
        return Config(**found)


def _cases() -> dict[str, Case]:
    found = {}
    for dtype in FLOATS:
        for algo in ("bellman_ford", "insertion_sort", "floyd_warshall"):
            for processor in ("mpnn", "triplet_gmpnn", "pgn", "rnar"):
                case = Case({"algo": algo, "processor": processor}, LONG, dtype)
                found[f"{algo} {processor} {dtype}"] = case
    for name, settings in OPTIONS.items():
        found[name] = Case({"algo": "bellman_ford", "processor": "triplet_gmpnn"} | settings)
    for algo, processor, halting in (
        ("bfs", "mpnn", "none"), ("insertion_sort", "triplet_gmpnn", "none"), ("bellman_ford", "mpnn", "supervised"),
    ):  # fmt: skip
        settings = {"algo": algo, "processor": processor, "halting": halting}
        found[f"two seeds as one: {algo}"] = Case(settings, stacked=2)
    for algo in ALGORITHMS:
        found[f"algorithm {algo}"] = Case({"algo": algo, "processor": "triplet_gmpnn"}, SHORTEST)
    for processor in PROCESSORS:
        found[f"processor {processor}"] = Case({"algo": "bellman_ford", "processor": processor}, SHORTEST)
    return found


FLOYD, SORT, DFS = {"algo": "floyd_warshall"}, {"algo": "insertion_sort"}, {"algo": "dfs"}
OPTIONS = {
    "reconstruction plain": FLOYD | {"reconstruction": "plain"},
    "reconstruction plain, mpnn": {"reconstruction": "plain", "processor": "mpnn"},
    "reconstruction masked": {"reconstruction": "masked"},
    "reconstruction masked, sorting": SORT | {"reconstruction": "masked", "reconstruction_mask": 0.5},
    "reconstruction without weight": {"reconstruction": "plain", "reconstruction_weight": 0.0},
    "halting supervised": {"halting": "supervised"},
    "halting ponder": {"halting": "ponder"},
    "halting ponder, sorting": SORT | {"halting": "ponder"},
    "edge pointer repair": FLOYD | {"edge_pointer_repair": True},
    "edge pointer repair, mpnn": FLOYD | {"edge_pointer_repair": True, "processor": "mpnn"},
    "hints fed back hard": {"hint_feedback": "hard"},
    "hints fed back straight through": {"hint_feedback": "straight_through"},
    "hints fed back straight through, edges": FLOYD | {"hint_feedback": "straight_through"},
    "hints fed back hard in evaluation": SORT | {"hint_feedback": "hard_on_eval"},
    "teacher forcing": {"teacher_forcing": 0.5},
    "teacher forcing, edges": FLOYD | {"teacher_forcing": 0.5},
    "hints decoded only": {"hint_mode": "decoded_only"},
    "hints decoded only, edges": FLOYD | {"hint_mode": "decoded_only"},
    "no hints": {"hint_mode": "none"},
    "little memory": {"memory": "small"},
    "little memory, edges": FLOYD | {"memory": "small"},
    "two algorithms": {"algo": ("bfs", "insertion_sort")},
    "two algorithms, all heads": {"algo": ("bfs", "dfs"), "halting": "supervised", "reconstruction": "plain"},
    "comparison units": {"comparison_units": 4},
    "comparison units, sorting": SORT | {"comparison_units": 4},
    "additive pointers": {"pointer_head": "additive"},
    "log n": SORT | {"log_n_scale": True},
    "dropout": {"dropout": 0.3},
    "two message passing steps": {"message_passing_steps": 2},
    "encoders alike": {"encoder_init": "default"},
    "even positions": SORT | {"random_pos": False},
    "no layer norm": {"layer_norm": False},
    "a short gradient": {"grad_clip": 0.05},
    "gradients of any length": {"grad_clip": 0.0},
}  # fmt: skip
# All but the convex hulls (their sines and cosines are not the same on every machine) and those above.
ALGORITHMS = (
    "activity_selector", "articulation_points", "binary_search", "bridges", "bubble_sort", "dag_shortest_paths", "dfs",
    "dijkstra", "dominators", "eccentricity", "find_maximum_subarray_kadane", "heapsort", "kmp_matcher", "lcs_length",
    "liveness", "matrix_chain_order", "maximal_independent_set", "minimum", "mst_kruskal", "mst_prim",
    "naive_string_matcher", "optimal_bst", "quickselect", "quicksort", "segments_intersect",
    "strongly_connected_components", "task_scheduling", "topological_sort",
)  # fmt: skip
# Of every kind of network those that go ways of their own through the engine.
PROCESSORS = (
    "deepsets", "discrete", "finite_state", "forgetnet", "g_forgetnet", "gat", "gatv2_full", "gin", "gmpnn",
    "gpgn_mask", "l2_max", "l3_tropical", "lcm", "lcm_masked", "memnet_full", "memnet_masked", "pivotal_attention",
    "pna", "ppgn", "pyg_gatv2", "pyg_gine", "relational_transformer", "rnar_gru", "rnar_masked", "transformer",
    "transformer_masked", "triplet_mpnn", "triplet_pgn_mask",
)  # fmt: skip
CASES = _cases()


def train(case: Case) -> dict[str, list[float]]:
    """The losses of every step, task after task and seed after seed, and what is scored in validation afterwards."""
    torch.set_num_threads(1)
    base = case.config
    configs = [dataclasses.replace(base, seed=base.seed + k) for k in range(case.stacked)] or [base]
    algorithms = [datasets.get(name) for name in base.algo]
    before = torch.get_default_dtype(), torch.get_float32_matmul_precision()
    torch.set_default_dtype(FLOATS[case.dtype])
    torch.set_float32_matmul_precision("highest")  # whatever an earlier training in this process has chosen
    try:
        reasoners = [Reasoner.from_config(config).train() for config in configs]
        learner: Learner
        if case.stacked:
            learner = StackedLearner(reasoners, configs)
        else:
            learner = SingleLearner(reasoners[0], base, recompute=base.memory == "small")
        losses = []
        for step in range(case.steps):
            for task, algorithm in enumerate(algorithms):
                batches = [training_batch(algorithm, config, step) for config in configs]
                losses += learner.step(batches, step, task=task, progress=step / case.steps).tolist()
        scores = [
            evaluate(reasoner, algorithm, batches=validation_set(algorithm, base), loss=True, validity=False)
            for reasoner in reasoners
            for algorithm in algorithms
        ]
    finally:
        torch.set_default_dtype(before[0])
        torch.set_float32_matmul_precision(before[1])
    assert {p.dtype for reasoner in reasoners for p in reasoner.parameters()} == {FLOATS[case.dtype]}
    return {"losses": losses, "validation": [number for s in scores for number in (s.loss, s.score)]}
