"""Traces in the forms of other programs, and back.

npz (a file of any number of traces), clrs_text (texts as in CLRS-Text, by clrs_text_grammar), pyg (PyTorch Geometric
data, the only file of nar.traces that imports torch).
Imports: nar.traces and the table of nar.datasets.
"""
