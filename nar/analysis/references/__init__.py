"""Reasoners whose weights are written down instead of learned, exact at every step.

compiled (their weights), steps (processors that carry out an algorithm's own step), audit (ties and precision).
"""
