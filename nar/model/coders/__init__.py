"""Encoder and decoder of an algorithm: step_encoder.py for what a step is given, decoder_inputs.py for what is decoded.

May import kernels, nn, traces, and what a batch is. Read encoder.py first.
"""
