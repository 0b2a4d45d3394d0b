"""The model: a batch of traces goes in, predicted hints and outputs come out.

Read in the order of the data: batch and its schedule (who takes which step), coders/ (probes to features, features to
logits), rollout (what is asked for and found) and rollout_loop (encode, process, decode, and again with the predicted
hints), postprocess (logits to what is fed back or scored), network (the modules) and reasoner (which builds them from
names). termination says when a rollout ends. objectives/ has the losses and metrics, options/ the
methods that are off by default. checkpoint reads and writes files. Imports: nar.nn, nar.kernels, nar.traces.
"""
