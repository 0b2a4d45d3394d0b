"""Kernels on CUDA (Triton), forward and backward, without atomics; under TRITON_INTERPRET=1 they run on a CPU.

Read launch (which tensors are taken, how block sizes are chosen), then messages, max_plus and pointers.
"""
