"""A run's tables as Parquet files, back as the very same columns."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from models.errors import ConfigError
from models.results import OPTIONAL, TABLES, Columns

Column = npt.NDArray[Any]


def write_table(path: Path, columns: Columns) -> None:
    """Write one table; text that is not valid Unicode keeps its odd parts as escapes."""
    arrays = {name: _arrow(values) for name, values in columns.items()}
    pq.write_table(pa.table(arrays), path, compression="zstd")


def _arrow(values: Column) -> pa.Array:
    if values.dtype.kind not in "UO":
        return pa.array(values)
    texts = [str(value) for value in values.tolist()]
    try:
        return pa.array(texts, type=pa.string())
    except UnicodeEncodeError:
        return pa.array([_escaped(text) for text in texts], type=pa.string())


def _escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def read_table(path: Path, name: str) -> dict[str, Column]:
    """Read one table of `models.results.TABLES`, with the optional columns it has.

    Raises
    ------
    ConfigError
        The file is missing, spoilt, or lacks a column; names it.
    """
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: missing; the run is not whole, run it again") from None
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"{path}: no readable Parquet file ({error}); run it again") from error
    wanted: Mapping[str, npt.DTypeLike] = {**TABLES[name], **OPTIONAL.get(name, {})}
    columns = {}
    for column, dtype in wanted.items():
        if column in table.column_names:
            columns[column] = _numpy(path, table.column(column), column, np.dtype(dtype))
        elif column in TABLES[name]:
            raise ConfigError(f"{path}: column {column} is missing; run it again")
    return columns


def _numpy(path: Path, column: pa.ChunkedArray, name: str, dtype: np.dtype[Any]) -> Column:
    if dtype.kind == "U":
        return np.array(column.to_pylist(), dtype=np.str_)
    values: Column = column.to_numpy()
    if not np.can_cast(values.dtype, dtype, casting="same_kind"):
        raise ConfigError(f"{path}: column {name} is {values.dtype}, expected {dtype}")
    return values.astype(dtype)
