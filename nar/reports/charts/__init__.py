"""Charts as plain data: axes (axis.py), shapes and styles (shapes.py), the panel they make (chart.py), lines by step.

What becomes of them is rendering/'s.
"""
