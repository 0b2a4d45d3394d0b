"""What every test starts from: one thread, the same seeds, PyTorch's own precision."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tensors of tests are too small for threads to help

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def same_start():
    """Seeds and settings that one test could leave changed for the next."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)
    precision = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(precision)
    torch.set_num_threads(1)
