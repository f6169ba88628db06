"""Where to search: a strategy's parameters, their bounds, and every combination of a grid."""

import enum
import itertools
import math
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from models.errors import ConfigError
from models.runs import Range, Search
from strategies.base import StrategyParams

MOST_COMBINATIONS = 1_000_000
OPEN_END = 1e-3
"""How far inside an open end the search begins, as a share of the range."""


def space_of(kind: type[StrategyParams], wanted: Mapping[str, Search]) -> dict[str, Search]:
    """Return the parameters to search, and where.

    Parameters
    ----------
    wanted
        Parameters by name. Empty means every parameter that has bounds on both sides or is a
        choice (booleans, literals, enums).

    Raises
    ------
    ConfigError
        One line per fault: an unknown parameter, a value its strategy refuses, nothing to search.
    """
    fields = kind.model_fields
    if not wanted:
        found = {name: search for name in fields if (search := _natural(fields[name])) is not None}
        if not found:
            raise ConfigError(f"{kind.__name__} has no parameter with bounds; name a space")
        return found
    faults = [fault for name, search in wanted.items() for fault in _faults(kind, name, search)]
    if faults:
        raise ConfigError("\n".join(faults))
    return dict(wanted)


def grid(space: Mapping[str, Search]) -> Iterator[dict[str, Any]]:
    """Yield every combination, the last parameter turning fastest.

    Raises
    ------
    ConfigError
        A range has no step, or there are more than a million combinations.
    """
    axes = {name: values_of(name, search) for name, search in space.items()}
    count = math.prod(len(values) for values in axes.values())
    if count > MOST_COMBINATIONS:
        raise ConfigError(
            f"the grid has {count:,} combinations, more than {MOST_COMBINATIONS:,}; "
            "use larger steps or sampler random"
        )
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def values_of(name: str, search: Search) -> tuple[Any, ...]:
    """Return the grid points of one parameter. Raises `ConfigError` for a range without step."""
    if not isinstance(search, Range):
        return search
    if search.step is None:
        raise ConfigError(f"space: {name} needs a step for sampler grid, or a list of values")
    count = math.floor((search.high - search.low) / search.step + 1e-9) + 1
    if count > MOST_COMBINATIONS:
        raise ConfigError(f"space: {name} has {count:,} steps; use a larger step")
    points = (search.low + index * search.step for index in range(count))
    whole = search.low.is_integer() and search.step.is_integer()
    return tuple(int(point) if whole else float(f"{point:.12g}") for point in points)


def is_whole(kind: type[StrategyParams], name: str) -> bool:
    """Whether a parameter takes whole numbers only."""
    return kind.model_fields[name].annotation is int


def _natural(field: FieldInfo) -> Search | None:
    """Where a parameter may lie by its own definition; None if that is not bounded."""
    kind = field.annotation
    if kind is bool:
        return (False, True)
    if get_origin(kind) is Literal:
        return get_args(kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return tuple(member.value for member in kind)
    if kind not in (int, float):
        return None
    bounds = {
        name: float(value)
        for part in field.metadata
        for name in ("ge", "gt", "le", "lt")
        if (value := getattr(part, name, None)) is not None
    }
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if low is None or high is None:
        return None
    # An end that is not allowed itself is left by a little.
    margin = 1.0 if kind is int else (high - low) * OPEN_END
    low += margin if "gt" in bounds else 0.0
    high -= margin if "lt" in bounds else 0.0
    return Range(low=low, high=high, step=1 if kind is int else None) if low < high else None


def _faults(kind: type[StrategyParams], name: str, search: Search) -> Iterator[str]:
    if name not in kind.model_fields:
        close = get_close_matches(name, kind.model_fields, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        yield f"space: {kind.__name__} has no parameter {name!r}{hint}"
        return
    ends: tuple[Any, ...] = search if not isinstance(search, Range) else (search.low, search.high)
    for value in ends:
        if isinstance(search, Range) and is_whole(kind, name) and float(value).is_integer():
            value = int(value)
        try:
            # Checked by the strategy's own rules, alone: the others have defaults.
            kind.__pydantic_validator__.validate_assignment(kind.model_construct(), name, value)
        except ValidationError as error:
            first = error.errors()[0]
            if first["type"] != "frozen_instance":
                yield f"space: {name}={value!r}: {first['msg']}"
