"""What the table of CLRS-30 is made of (benchmarks/clrs30.py): its cells, their flags, their sizes, and their order.

A cell is (algorithm, processor, recipe, seed). A recipe here is a set of flags of `nar train`: the published protocol,
the recipe `step`, and `step` with one ingredient left out or replaced. (A state that is kept and soft hints stand
beside `step-rollout` alone: moments are learned without the one and from decided hints.) What tells most and costs
least comes first.
"""

from __future__ import annotations

from nar import datasets
from nar.evaluation import protocol

RECIPES = {
    "protocol": ["--recipe", "protocol"],
    "step": ["--recipe", "step"],
    "step-plain": (
        "--recipe step --no-trails --no-like-with-like --train-families --train-weights --event-balance 0 "
        "--change-balance 0".split()
    ),
    "step-no-relations": "--recipe step --relations none --no-trails --no-like-with-like".split(),
    "step-relations-beside": ["--recipe", "step", "--relations", "beside"],
    "step-no-candidates": ["--recipe", "step", "--no-candidates"],
    "step-no-selection": ["--recipe", "step", "--no-selection"],
    "step-no-output-step": ["--recipe", "step", "--no-output-step"],
    "step-one-round": ["--recipe", "step", "--option", "rounds=1"],
    "step-rollout": "--recipe step --supervision rollout --history False".split(),
    "step-rollout-history": "--recipe step --supervision rollout --history True".split(),
    "step-rollout-soft": "--recipe step --supervision rollout --history False --hint-feedback soft".split(),
}
ABLATIONS = [name for name in RECIPES if name.startswith("step-")]
# steps of a trace at n = 64, 128, 256, 512 (strings: 80, 160, ...), means of two graphs
LENGTHS = {
    "segments_intersect": (5,),
    "bfs": (3, 3, 3, 3),
    "bellman_ford": (7, 7, 6, 6),
    "binary_search": (7, 8, 9, 10),
    "lcs_length": (43, 85, 172, 345),
    "naive_string_matcher": (46, 89, 222, 558),
    "matrix_chain_order": (48, 113, 205, 461),
    "kmp_matcher": (63, 125, 291, 695),
    "find_maximum_subarray_kadane": (64, 128, 256, 512),
    "floyd_warshall": (64, 128, 256, 512),
    "insertion_sort": (64, 128, 256, 512),
    "minimum": (64, 128, 256, 512),
    "activity_selector": (65, 129, 257, 513),
    "dijkstra": (65, 129, 257, 513),
    "mst_prim": (65, 129, 257, 513),
    "optimal_bst": (65, 129, 257, 513),
    "task_scheduling": (65, 129, 257, 513),
    "dag_shortest_paths": (67, 290, 266, 323),
    "graham_scan": (116, 240, 490, 998),
    "topological_sort": (132, 263, 521, 1034),
    "quickselect": (179, 412, 1018, 1384),
    "dfs": (192, 384, 768, 1536),
    "mst_kruskal": (291, 1316, 5115, 20771),
    "strongly_connected_components": (324, 644, 1284, 2564),
    "articulation_points": (342, 1151, 4042, 16065),
    "bridges": (342, 1151, 4042, 16065),
    "quicksort": (391, 960, 2482, 5117),
    "heapsort": (459, 1047, 2340, 5201),
    "jarvis_march": (878, 2258, 6040, 14108),
    "bubble_sort": (2017, 8129, 32641, 130817),
}
SHORT = (
    "segments_intersect binary_search bfs bellman_ford lcs_length minimum task_scheduling activity_selector "
    "find_maximum_subarray_kadane mst_prim dijkstra insertion_sort"
).split()  # those of which 10,000 rollouts cost least, in their order (clrs30_cost.json)
MIDDLE = "naive_string_matcher matrix_chain_order floyd_warshall graham_scan optimal_bst".split()
NAMED = "mpnn pgn gat deepsets rnar lcm forgetnet g_forgetnet triplet_gmpnn".split()
SIX = "binary_search bellman_ford insertion_sort dijkstra dfs floyd_warshall".split()

Cell = tuple[str, str, str, int]
Task = tuple[Cell, tuple[int, ...] | None]  # a cell and the sizes it is evaluated at; None: by default, as trained

CANONICAL, LARGER = (16, 64), (128, 256, 512)
# Graphs x steps x pairs of nodes of one evaluation: about 4 minutes of a core (2024, AVX-512) with the processor
# `relational`. Where fewer than LEAST graphs would do, LEAST are taken if that is thrice as much at most; else the size
# is left out.
BUDGET = {"cpu": 3e8, "cuda": 3e9}
LEAST, MOST = 2, 32


def sizes_of(algorithm: str, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """These sizes as they are for this algorithm: strings a quarter more, two segments always four ends."""
    return protocol.sizes(datasets.get(algorithm), sizes)


def work(algorithm: str, size: int) -> int:
    """Steps x pairs of nodes of one graph; `size` as it is for this algorithm."""
    place = {sizes_of(algorithm, (n,))[0]: k for k, n in enumerate((64, *LARGER))}
    return LENGTHS[algorithm][0 if len(place) == 1 else place[size]] * size * size


def graphs(algorithm: str, size: int, device: str = "cpu", patience: float = 1.0) -> int:
    """How many graphs larger than the canonical ones are evaluated; 0: none."""
    one, budget = work(algorithm, size), patience * BUDGET.get(device.partition(":")[0], BUDGET["cpu"])
    many = min(MOST, int(budget // one))
    return many if many >= LEAST else LEAST if LEAST * one <= 3 * budget else 0


def _of_all_graphs(algorithm: str) -> int:
    """Work of the whole canonical test."""
    size = protocol.canonical_size(datasets.get(algorithm))
    return protocol.test_samples(datasets.get(algorithm), size) * work(algorithm, size)


ALL = sorted(LENGTHS, key=_of_all_graphs)  # the thirty, those whose canonical test costs least first
FIVE, THREE = range(5), range(3)


def tasks() -> list[Task]:
    """What is made, in order; a cell comes again where it is evaluated at more sizes later."""

    def product(algorithms, processors, recipes, seeds, sizes, *, seeds_outside=True):
        cells = [
            (algorithm, processor, recipe, seed)
            for first in (seeds if seeds_outside else [None])
            for recipe in recipes
            for algorithm in algorithms
            for processor in processors
            for seed in ([first] if seeds_outside else seeds)
        ]
        return [(cell, sizes and sizes_of(cell[0], sizes)) for cell in cells]

    protocol_runs = {"recipes": ["protocol"], "seeds": THREE, "sizes": None, "seeds_outside": False}
    every = (*CANONICAL, *LARGER)
    return [
        *product(SHORT, ["triplet_gmpnn"], **protocol_runs),
        *product(ALL, ["relational"], ["step"], FIVE, CANONICAL),
        *product(ALL, ["relational"], ["step"], range(1), (*CANONICAL, 128, 256)),
        *product(ALL, ["relational"], ["step"], range(1), every),
        *product(SIX, ["relational"], ABLATIONS, THREE, CANONICAL),
        *product(["bellman_ford", "insertion_sort"], NAMED, **protocol_runs),
        *product(SIX, NAMED, ["step", "step-no-relations"], THREE, CANONICAL),
        *product(ALL, ["relational"], ["step"], range(1, 5), every),
        *product(MIDDLE, ["triplet_gmpnn"], **protocol_runs),
    ]


def queue() -> list[Cell]:
    """Every cell once, in the order in which they are begun."""
    return list(dict.fromkeys(cell for cell, _ in tasks()))
