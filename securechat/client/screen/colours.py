"""A colour for each name, the same on every screen, and readable on a dark and on a light background. Pure."""

import hashlib
from functools import lru_cache
from typing import Final

PALETTE: Final = (
    "#af5f5f", "#d75f00", "#af5f00", "#878700", "#5f8700", "#008700", "#00875f",
    "#008787", "#0087af", "#5f5fd7", "#875fd7", "#af5faf", "#d700af", "#d7005f",
)  # fmt: skip
"""Colours of the 256 that terminals have, whose contrast is 3.7 or more on black and on white alike (WCAG 2.2 asks 3
of large text and of parts of an interface; no colour reaches 4.6 on both)."""


@lru_cache(maxsize=1024)
def colour_of(name: str) -> str:
    """The colour of a name."""
    return PALETTE[hashlib.sha256(name.encode("utf-8", "replace")).digest()[0] % len(PALETTE)]
