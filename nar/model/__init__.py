"""The model: a batch of traces goes in, predicted hints and outputs come out.

Read in the order of the data: batch, encoder (probes to features), rollout (encode, process, decode, and again with the
predicted hints), decoder (features to logits), postprocess (logits to what is fed back or scored), reasoner (the module
that holds all of it). termination says when a rollout ends. objectives/ has the losses and metrics, options/ the
methods that are off by default. checkpoint reads and writes files. Imports: nar.nn, nar.kernels, nar.traces.
"""
