"""What is minimised and what is counted: losses (of a rollout), probe_loss (of one probe), metrics (scores).

The loss of a pointer, of a mask, of a number: probe_loss. Their sum over probes, and what is averaged: losses.
"""
