"""Traces of algorithms on large sparse graphs: memory grows with the edges and with what changes.

graph (a graph as its edges), changes (hints as what every moment alters, and how an algorithm writes that down), trace
(one run), answers (are they right?), families and sampling (random graphs, drawn as edges). numpy and numba only, as in
all of nar.traces.
"""
