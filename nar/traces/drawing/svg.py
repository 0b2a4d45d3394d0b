"""matplotlib's SVG in half of the bytes, to be kept beside results and put into pages: the same picture.

Coordinates are rounded to a tenth of a point, styles that repeat become classes, what draws nothing goes.
"""

from __future__ import annotations

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
    text = re.sub(r">[ \n]+<", "><", text)
    text = text.replace("font-family: 'DejaVu Sans'", "font-family: 'DejaVu Sans', Verdana, sans-serif")  # as wide
    text = re.sub(r"(?<=>)[^<]*  [^<]*", lambda written: written[0].replace("  ", "\u00a0 "), text)  # wide spaces stay
    styles = re.findall(r' style="([^"]*)"', text)
    classes = {style: f"s{k}" for k, style in enumerate(dict.fromkeys(styles)) if styles.count(style) > 1}
    for style, name in classes.items():
        text = text.replace(f' style="{style}"', f' class="{name}"')
    rules = "".join(f".{name}{{{style}}}" for style, name in classes.items())
    return text.strip().replace("</style>", f"{rules}</style>", 1) + "\n"


def _shortened(tag: re.Match[str]) -> str:
    text = re.sub(r"-?\d+\.\d\d+", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), tag[0])
    return re.sub(r"[ \n]*([MLCQz])[ \n]*(?=[-\d\"MLCQz])", r"\1", re.sub(r'[ \n]+"', '"', text)).replace("\n", " ")
