"""A trained reasoner on a graph of your own: `nar.load(run).run(graph, source="a")`.

Read solver, then cases (one input), arguments and containers (graphs, arrays and matrices of every kind, as the
arguments of an algorithm), scale (numbers in units that training knew) and prediction (what comes back, in the names of
the caller). comparison draws it beside the algorithm's own trace, notebook shows it as a table. export writes a
reasoner to be shared, half_precision makes that smaller.
"""
