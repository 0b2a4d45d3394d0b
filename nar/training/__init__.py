"""Training: settings, data, learner, loop, best checkpoint.

Read loop from top to bottom, then run (how far a run has come, and its files), tasks (its data; moments: single steps
of it), learner (parameters of one seed or of several) and optimizer/. What makes it fast and safe: prefetch,
shared_batch (processes that share a batch), distributed (what several processes tell each other), fixed_shapes,
cuda_graphs, memory, interrupt. Evaluation after training and reports are not known here.
"""
