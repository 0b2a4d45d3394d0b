"""matplotlib's SVG in half of the bytes, to be kept beside results and put into pages: the same picture.

Numbers are rounded to a tenth of a point, circles are circles, styles that repeat become classes, what draws nothing
goes. Names of classes begin with a hash of the picture, so that several in one page do not restyle each other.
"""

from __future__ import annotations

import hashlib
import math
import re

_NOISE = (
    r"<\?xml.*?\?>", r"<!DOCTYPE.*?>", r"<!--.*?-->", r"<metadata>.*?</metadata>",
    r"<clipPath.*?</clipPath>", r' clip-path="[^"]*"',  # nothing drawn here leaves its panel
    r' id="[a-zA-Z.]+_\d+"', r' transform="rotate\(-?0 [^)]*\)"',
)  # fmt: skip


def compact(text: str) -> str:
    """The same picture in fewer bytes."""
    for pattern in _NOISE:
        text = re.sub(pattern, "", text, flags=re.S)
    text = re.sub(r"<(?:path|text|g|use)\b[^>]*>", _shortened, text)  # in tags: what is written stays as it is
    text = re.sub(r'<path d="(M[^"]*)"( [^>]*)/>', _as_circle, text)
    text = re.sub(r">[ \n]+<", "><", text)
    text = text.replace("font-family: 'DejaVu Sans'", "font-family: 'DejaVu Sans', Verdana, sans-serif")  # as wide
    text = re.sub(r"(?<=>)[^<]*  [^<]*", lambda written: written[0].replace("  ", "\u00a0 "), text)  # wide spaces stay
    return _with_classes(text.strip()) + "\n"


def _shortened(tag: re.Match[str]) -> str:
    text = re.sub(r"-?\d+\.\d\d+", lambda number: _rounded(float(number[0])), tag[0])
    return re.sub(r"[ \n]*([MLCQz])[ \n]*(?=[-\d\"MLCQz])", r"\1", re.sub(r'[ \n]+"', '"', text)).replace("\n", " ")


def _as_circle(path: re.Match[str]) -> str:
    """A closed path of eight or more curves whose ends are equally far from their middle."""
    curves = re.findall(r"C([^A-Za-z]*)", path[1])
    ends = [tuple(map(float, curve.split()[4:])) for curve in curves]
    if len(ends) < 8 or " ".join(curves[-1].split()[4:]) != path[1][1:].partition("C")[0]:
        return path[0]
    x, y = (sum(values) / len(ends) for values in zip(*ends, strict=True))
    radii = [math.dist((x, y), end) for end in ends]
    if max(radii) - min(radii) > 0.2:
        return path[0]
    return f'<circle cx="{_rounded(x)}" cy="{_rounded(y)}" r="{_rounded(sum(radii) / len(radii))}"{path[2]}/>'


def _rounded(number: float) -> str:
    short = f"{number:.1f}".removesuffix(".0")
    return "0" if short == "-0" else short


def _with_classes(text: str) -> str:
    styles = re.findall(r' style="([^"]*)"', text)
    often = [style for style in dict.fromkeys(styles) if styles.count(style) > 1]
    mark = "n" + hashlib.sha256(text.encode()).hexdigest()[:5]
    classes = {style: f"{mark}{k}" for k, style in enumerate(often)}
    text = re.sub(
        r' style="([^"]*)"', lambda found: f' class="{classes[found[1]]}"' if found[1] in classes else found[0], text
    )
    rules = "".join(f".{name}{{{style}}}" for style, name in classes.items())
    return text.replace("</style>", f"{rules}</style>", 1)
