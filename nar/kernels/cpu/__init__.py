"""Compiled CPU kernels (numba): messages, pointers, the max-plus product.

Read ranges (how a batch is cut into one range of graphs per thread), then fused (the autograd functions) and the
kernels that these call.
"""
