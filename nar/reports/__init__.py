"""Reports, made from the files of runs alone: Markdown, CSV, and one self-contained page.

A report of one run and a report of many are the same report. Neither PyTorch nor a checkpoint is ever loaded.
Imports: nar.results, nar.evaluation (settings only), nar.traces.drawing (colours).
"""
