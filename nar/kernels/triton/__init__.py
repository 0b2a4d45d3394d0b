"""kernels.triton."""
