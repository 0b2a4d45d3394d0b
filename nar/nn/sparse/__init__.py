"""The sparse layout of a neighbourhood: messages along a list of edges, for graphs of 10^5 nodes.

Read edge_list (which edges there are, and in which order), segments (reductions over stretches of it), hood (the
layout itself: the same methods as `Dense`) and predictions (what decoders say of edges, pointers among it).
"""
