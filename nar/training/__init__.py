"""Training: settings, data, learner, loop, best checkpoint.

Read loop from top to bottom, then tasks (the data of a run) and learner (parameters and optimiser of one seed or of
several). What makes it fast and safe: prefetch, shared_batch (one batch computed by several processes), distributed
(torchrun), cuda_graphs, memory, interrupt. Evaluation and reports of a finished run are not known here.
"""
