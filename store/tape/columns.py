"""Columns of rows on their way into a tape."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import BadValue
from models.markets import Market
from models.tape import DTYPES, Report, Row, Tape

Columns = Mapping[str, npt.NDArray[Any]]
"""One array per name of `models.tape.DTYPES`, all of one length."""

MOST_MARKETS = int(np.iinfo(np.uint16).max) + 1


def rows_in(columns: Columns) -> int:
    return len(columns["ts_ns"])


def empty() -> Columns:
    return filled(0)


def filled(count: int, **values: Any) -> Columns:
    """Return `count` rows: the given scalars or arrays, zero elsewhere, in a tape's types.

    `recv_ns` is `ts_ns` where only the latter is given.
    """
    if "recv_ns" not in values and "ts_ns" in values:
        values["recv_ns"] = values["ts_ns"]
    columns: dict[str, npt.NDArray[Any]] = {}
    for name, dtype in DTYPES.items():
        column = np.zeros(count, dtype)
        if name in values:
            column[:] = values[name]
        columns[name] = column
    return columns


def joined(parts: Iterable[Columns]) -> Columns:
    """Append columns to one another."""
    parts = list(parts) or [empty()]
    return {name: np.concatenate([part[name] for part in parts]) for name in DTYPES}


def picked(columns: Columns, index: Any) -> Columns:
    """Rows of an index array, a mask or a slice (then without copying)."""
    return {name: columns[name][index] for name in DTYPES}


def columns_of(tape: Tape, start: int = 0, stop: int | None = None) -> Columns:
    """Rows `start` to `stop` of a tape, without copying."""
    return {name: getattr(tape, name)[start:stop] for name in DTYPES}


def tape_of(
    columns: Columns,
    markets: tuple[Market, ...],
    assets: tuple[str, ...],
    depth: int | None = None,
    reports: tuple[Report, ...] = (),
) -> Tape:
    """Make a tape of columns that are in order. Raises `BadValue` where they are not."""
    typed: dict[str, Any] = {
        name: np.ascontiguousarray(columns[name], dtype) for name, dtype in DTYPES.items()
    }
    refuse_disorder(typed, len(markets), len(assets))
    return Tape(**typed, markets=markets, assets=assets, depth=depth, reports=reports)


def refuse_disorder(
    columns: Columns,
    markets: int,
    assets: int,
    after: tuple[int, int] | None = None,
    first_row: int = 0,
) -> None:
    """Raise `BadValue`, naming the row, unless these rows may stand in a tape.

    Parameters
    ----------
    markets, assets
        How many there are to point into.
    after
        `ts_ns` and `recv_ns` of the row before the first of these.
    first_row
        Number of the first of these rows, for messages.
    """
    if markets > MOST_MARKETS:
        raise BadValue(f"tape: {markets} markets are more than the {MOST_MARKETS} it can tell")
    ts, recv = columns["ts_ns"], columns["recv_ns"]
    if not len(ts):
        return
    spot = columns["kind"] == Row.SPOT
    dark = columns["kind"] == Row.DARK
    bad = (
        ("a row of unknown kind", columns["kind"] > max(Row)),
        ("recv_ns before ts_ns", recv < ts),
        ("ts_ns goes back", _falls(ts, after and after[0])),
        ("recv_ns goes back", _falls(recv, after and after[1])),
        ("an unknown asset", spot & (columns["market"] >= assets)),
        ("an unknown market", ~spot & ~dark & (columns["market"] >= markets)),
        ("a negative size", columns["size"] < 0),
    )
    for what, mask in bad:
        if mask.any():
            i = int(np.argmax(mask))
            row = {name: int(columns[name][i]) for name in DTYPES}
            raise BadValue(f"tape row {first_row + i}: {what}: {row}")


def _falls(stamps: npt.NDArray[Any], before: int | None) -> npt.NDArray[np.bool_]:
    result = np.zeros(len(stamps), np.bool_)
    np.less(stamps[1:], stamps[:-1], out=result[1:])
    result[0] = before is not None and stamps[0] < before
    return result
