"""Deep Sets (Zaheer et al., NeurIPS 2017, arXiv 1703.06114) in the form of CLRS.

PGN's equations (pgn.py) with every node as its own only neighbour. Nodes see each other only through the pointers and
edges that decoders make and encoders read. dm-clrs computes all N^2 messages and masks all but the diagonal; here only
the diagonal is computed, with the same result.
"""

from nar.nn.neighbourhood import Neighbourhood
from nar.processors.pgn import PGN


class DeepSets(PGN):
    """Messages from every node to itself only."""

    uses_edges = False  # but for those of nodes with themselves
    uses_adjacency = False
    cost = "N"

    def neighbours(self, hood: Neighbourhood) -> Neighbourhood:
        return hood.alone()
