"""Encoder and decoder of an algorithm, and what the latter is given (decoder_inputs.py).

May import kernels, nn, traces, and what a batch is. Read encoder.py first.
"""
