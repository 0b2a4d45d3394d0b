"""Traces: what an algorithm reads, writes down at every step and returns. Needs numpy and numba, never PyTorch.

Read spec (the theory of the data, on a page), trace, run_length (how hints that seldom change are stored), record (how
a compiled algorithm writes down its steps), algorithm (what one file of datasets/ puts together). Then, as needed:

    inputs/     sampled and checked inputs: graphs and their families, weights, arrays, strings, points in the plane
    drawing/    a trace as text and as pictures
    formats/    .npz, CLRS-Text, PyTorch Geometric; the one part that also imports nar.datasets

Imports: nar.lookup, nar.text_format, nar.config. The algorithms themselves are in datasets/, imported as nar.datasets.
"""
