"""A trace to look at: text.py prints it, figure.py draws it with matplotlib, one small panel per moment.

Read figure, then panels (which probe is drawn by which mark) and the kinds of panels: graph_panels, table_panels,
box_panels. layout places the nodes of a graph. Imports nothing but nar.traces. All but text and layout load matplotlib,
which takes a while: who does not always draw imports them where something is drawn.
"""
