"""What every test starts from: one thread, the same seeds, PyTorch's own precision."""

import atexit
import gc
import importlib.util
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tensors of tests are too small for threads to help
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # and where a test has several, they must not spin on busy cores

import numpy as np
import pytest

gc.disable()  # until all is collected: imports and rewritten assertions make millions of objects and next to no garbage

# Processors that differ from another one in the table by an option: what their options do is tested by itself.
VARIANTS = set(
    "gat_full gatv2_full gin_full gpgn gpgn_mask lcm_masked memnet_full memnet_masked pgn_mask pna_full rnar_gru "
    "rnar_masked transformer_masked triplet_gpgn triplet_gpgn_mask triplet_pgn triplet_pgn_mask".split()
)
# One processor of every form of state and readout, with and without history, adjacency, penalties and masked decoders.
FORMS = {"discrete", "finite_state", "g_forgetnet", "gat", "mpnn", "pgn_mask", "pivotal_attention", "triplet_gmpnn"}


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help="run tests over the table of processors on all of it")


def pytest_configure(config):
    config.addinivalue_line("markers", "by_form: asks one processor of every form of state and readout (or --all)")


def pytest_collection_modifyitems(config, items):
    """Tests over the whole table of processors leave out the variants, a third of them, unless `--all` is given."""
    if config.getoption("--all"):
        return

    def asked(item):
        values = {str(value) for value in item.callspec.params.values()} if hasattr(item, "callspec") else set()
        if item.get_closest_marker("by_form"):
            return FORMS & values
        tables = [mark for mark in item.iter_markers("parametrize") if VARIANTS <= {str(v) for v in mark.args[1]}]
        return not (tables and VARIANTS & values)

    config.hook.pytest_deselected(items=[item for item in items if not asked(item)])
    items[:] = [item for item in items if asked(item)]


def pytest_collection_finish():
    """What was imported and collected stays: the garbage collector need not walk through all of it again and again."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_sessionfinish():
    gc.unfreeze()  # some libraries complain about what is left at the end
    atexit.unregister(gc.freeze)  # which tests of the command line have asked for


@pytest.fixture(autouse=True)
def same_start():
    """Seeds and settings that one test could leave changed for the next."""
    np.random.seed(0)
    if importlib.util.find_spec("torch") is None:  # traces need none: .ci/run tests them on a second Python
        yield
        return
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    precision = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(precision)
    torch.set_num_threads(1)


@pytest.fixture
def no_report(monkeypatch):
    """Runs draw nothing at their end: that takes as long as their training, and has tests of its own."""
    monkeypatch.setattr("nar.reports.report.write_report", lambda run_dir: run_dir / "report.html")
    monkeypatch.setattr("nar.reports.report.write", lambda study, folder: folder / "report.html")
    monkeypatch.setattr("nar.inference.example.write", lambda *_: None)


@pytest.fixture
def roads():
    """Names that are neither sorted nor of one type; ("far", 1) and 7 are an island; weights in `miles`."""
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(["d", 3, "a", ("far", 1), "c", 7, "b"])
    edges = [("d", 3, 0.2), (3, "a", 0.5), ("d", "a", 0.9), ("a", "c", 0.1), ("c", "b", 0.45), ("d", "b", 0.95)]
    graph.add_weighted_edges_from([*edges, (("far", 1), 7, 0.3)], weight="miles")
    return graph
