"""Message-Passing Neural Network (Gilmer et al., ICML 2017, arXiv 1704.01212) in the form of CLRS.

PGN's equations (pgn.py) with everyone as everyone's neighbour: the graph reaches the network only through its encoded
edges. Gated and with triplets it is Triplet-GMPNN (Ibarz et al., LoG 2022, arXiv 2209.11142), nar's default.
"""

from nar.nn.neighbourhood import Neighbourhood
from nar.processors.pgn import PGN


class MPNN(PGN):
    """Messages between all pairs of nodes."""

    uses_adjacency = False

    def neighbours(self, hood: Neighbourhood) -> Neighbourhood:
        return hood.complete()
