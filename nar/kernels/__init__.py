"""Hot operations as compiled kernels: numba on the CPU, Triton on CUDA, each with a plain PyTorch twin in nar.nn.

cpu/ and triton/ hold the kernels, vmap_rules says how nar's autograd functions behave under torch.vmap. Every kernel is
compared with its twin, in values and gradients. Who calls them: nar.nn (neighbourhood, reductions) and
the decoder. Nothing here knows what a batch or a processor is.
"""
