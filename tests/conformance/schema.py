"""The schema of a message: which keys it has, at any depth, and what kind of value each holds."""

import re
from collections import defaultdict
from typing import Any

Schema = dict[str, set[str]]
"""Kinds of value by path; ``a[].b`` is key b of the objects in list a."""

_FORMATS = (
    ("seconds", re.compile(r"1\d{9}")),
    ("milliseconds", re.compile(r"1\d{12}")),
    ("numeric", re.compile(r"-?\d+(\.\d+)?")),
    ("hex", re.compile(r"0x[0-9a-fA-F]+")),
    ("time", re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d.*")),
    ("json", re.compile(r"[\[{].*[\]}]", re.DOTALL)),
)


def kind(value: Any) -> str:
    """JSON type, and for strings what is written in them; an empty string could be anything."""
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if not isinstance(value, str):
        return type(value).__name__
    for name, pattern in _FORMATS:
        if pattern.fullmatch(value):
            return f"{name} string"
    return "text"


def _collect(value: Any, path: str, found: Schema) -> None:
    found[path].add(kind(value))
    if isinstance(value, dict):
        for key, inner in value.items():
            _collect(inner, f"{path}.{key}" if path else key, found)
    elif isinstance(value, list):
        for inner in value:
            _collect(inner, f"{path}[]", found)


def differences(ours: list[Any], samples: list[Any]) -> set[str]:
    """How our messages differ from recorded ones: ``- key`` is missing, ``+ key`` is only ours.

    ``~ key: kind`` is a kind of value of ours that no sample has there. What lies below a missing
    or additional key is not listed; a list that is empty on one side only is.
    """
    mine, theirs = _common(ours), _common(samples)
    found = {f"- {path}" for path in _tops(set(theirs) - set(mine), mine)}
    found |= {f"+ {path}" for path in _tops(set(mine) - set(theirs), theirs)}
    for path in set(mine) & set(theirs):
        known = theirs[path] - {"nothing"}
        if known:
            found |= {f"~ {path}: {one}" for one in mine[path] - known - {"nothing"}}
    return found


def _common(messages: list[Any]) -> Schema:
    """What all messages together have."""
    found: Schema = defaultdict(set)
    for message in messages:
        _collect(message, "", found)
    return found


def _tops(paths: set[str], other: Schema) -> set[str]:
    """Those paths whose parent the other side has."""
    return {path for path in paths if _parent(path) in other}


def _parent(path: str) -> str:
    return path[:-2] if path.endswith("[]") else path.rpartition(".")[0]
