"""Traces in the forms of other programs, and back.

npz (a file of any number of traces), clrs_text (the grammar of CLRS-Text; clrs_text_form, clrs_text_reader and
clrs_text_parser are its parts), pyg (PyTorch Geometric data, the only file of nar.traces that imports torch).
Imports: nar.traces and the table of nar.datasets.
"""
