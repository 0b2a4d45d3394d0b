"""Points in a plane, of which two quantities of nodes are the coordinates: directions and areas.

Shapes: B graphs, N nodes.
"""

import torch
from torch import Tensor

from nar.model.options.relation_kinds import at


def direction(x_BN: Tensor, y_BN: Tensor, mark_BN: Tensor) -> Tensor:
    """In which direction [B, j], in radians, j lies as seen from the marked node; 0 for that one itself."""
    return torch.atan2(y_BN - at(y_BN, mark_BN).unsqueeze(1), x_BN - at(x_BN, mark_BN).unsqueeze(1))


def crosses(x_BN: Tensor, y_BN: Tensor) -> Tensor:
    """(x_j - x_i) (y_k - y_i) - (x_k - x_i) (y_j - y_i) for every j and two nodes i, k [B, j, i, k].

    Twice the area of the triangle i, j, k, signed: positive where j is to the right of the line from i to k.
    """
    x_BJI, y_BJI = x_BN.unsqueeze(2) - x_BN.unsqueeze(1), y_BN.unsqueeze(2) - y_BN.unsqueeze(1)
    to_x, to_y = x_BJI.transpose(1, 2).unsqueeze(1), y_BJI.transpose(1, 2).unsqueeze(1)  # from i to k
    return x_BJI.unsqueeze(3) * to_y - to_x * y_BJI.unsqueeze(3)
