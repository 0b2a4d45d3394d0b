"""Lines that lie on one another: where a later line would cover earlier ones, it is striped, so that all are seen.

A line is compared piece by piece with those drawn before it, between the same two places of x, in units of the panel.
"""

from collections.abc import Sequence

NEAR = 1.6  # units, less than the width of a line
STRIPE = 5  # units of a line's own colour in each stripe

Point = tuple[float, float]  # in units of the panel
Piece = tuple[Point, Point]


class DrawnLines:
    """The lines of a panel so far."""

    def __init__(self) -> None:
        self.pieces: dict[tuple[float, float], list[tuple[float, float, float]]] = {}  # (x, x) -> y, y, shift
        self.marked: dict[tuple[float, float], int] = {}  # the places of markers, and how many of them lie there

    def add(self, points: Sequence[Point | None], shift: float = 0.0) -> list[tuple[int, list[Point]]]:
        """Parts of a line, each with the number of earlier ones that it lies on; None: a gap. `shift`: to the right."""
        parts: list[tuple[int, list[Point]]] = []
        pen = False  # does the last part end where the next piece begins?
        for start, end in zip(points, [*points[1:], None], strict=True):
            if start is None or end is None:
                if start is not None and not pen:
                    parts.append((0, [start]))
                pen = False
                continue
            earlier = self.pieces.setdefault((round(start[0], 1), round(end[0], 1)), [])
            covered = sum(_coincide((start, end), shift, *piece) for piece in earlier)
            if pen and parts[-1][0] == covered:
                parts[-1][1].append(end)
            else:
                parts.append((covered, [start, end]))
            earlier.append((start[1], end[1], shift))
            pen = True
        return parts

    def shows_marker(self, at: Point, place: int) -> bool:
        """Of markers on one spot, every line shows its own at another point of the line, counted by `place`."""
        spot = round(at[0]), round(at[1])
        below = self.marked.get(spot, 0)
        self.marked[spot] = below + 1
        return place % (below + 1) == below


def dashes(covered: int) -> str | None:
    """The dashes of a part that lies on so many earlier lines: each of them keeps a stripe."""
    return f"{STRIPE} {STRIPE * covered}" if covered else None


def _coincide(piece: Piece, shift: float, y: float, end_y: float, other_shift: float) -> bool:
    """Does a piece lie on an earlier one between the same places?"""
    (x0, y0), (x1, y1) = piece
    if abs(x1 - x0) < NEAR:  # upright, as of stairs: where they overlap
        return shift == other_shift and max(min(y0, y1), min(y, end_y)) < min(max(y0, y1), max(y, end_y))
    aside = abs((y1 - y0) / (x1 - x0) * (shift - other_shift))
    return max(abs(y0 - y), abs(y1 - end_y)) + aside <= NEAR
