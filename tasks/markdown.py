"""Markdown for pages of Prefect's UI, from text that is not ours."""

import re
from collections.abc import Sequence


def artifact_key(kind: str, name: str) -> str:
    """Return an artifact's key, of which Prefect takes only lower case, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", f"{kind}-{name}".lower()).strip("-")


def row(cells: Sequence[str]) -> str:
    """Write a row of a Markdown table."""
    return "| " + " | ".join(plain(cell) for cell in cells) + " |"


def plain(text: str) -> str:
    """Keep text from meaning something in Markdown tables and links."""
    return re.sub(r"([|\\`*_\[\]<>])", r"\\\1", text).replace("\n", " ")
