"""kernels.cpu."""
