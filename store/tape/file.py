"""Tape files: one Arrow IPC record batch, mapped into memory and read in place."""

import mmap
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]

from models.errors import ConfigError
from models.tape import DTYPES, Tape
from store.tape.columns import refuse_disorder
from store.tape.meta import Meta, decode

ARROW_MAGIC = b"ARROW1"
PARQUET_MAGIC = b"PAR1"
SCHEMA = pa.schema([(name, pa.from_numpy_dtype(dtype)) for name, dtype in DTYPES.items()])
_BLOCK = 1 << 20
"""Rows that are read, checked or released at a time."""


def open_tape(path: Path) -> Tape:
    """Open a tape file without reading its rows.

    The arrays are views of the mapped file: opening ten million rows costs no more than ten, and
    only what is read takes memory, which `Tape.release` gives back.

    Raises
    ------
    ConfigError
        The file is missing, truncated, foreign, of another version, or holds another number of
        rows than it says. (What its bytes say is checked by `verify`.)
    """
    mapped, batch, meta = _open(path)
    arrays = {name: batch.column(i).to_numpy(zero_copy_only=True) for i, name in enumerate(DTYPES)}
    return Tape(
        **arrays,
        markets=meta.markets,
        assets=meta.assets,
        depth=meta.depth,
        reports=meta.reports,
        release=_releaser(mapped, arrays),
    )


def describe(path: Path) -> Meta:
    """Read a tape file's description alone. Raises as `open_tape`."""
    return _open(path)[2]


def verify(path: Path) -> Meta:
    """Read a tape file whole and compare it with its checksums and a tape's rules of order.

    Raises
    ------
    ConfigError
        As `open_tape`; or a column's bytes are not those that were written.
    BadValue
        A row stands where it may not.
    """
    tape, meta = open_tape(path), describe(path)
    sums = dict.fromkeys(DTYPES, 0)
    after: tuple[int, int] | None = None
    for start in range(0, len(tape), _BLOCK):
        block = {name: getattr(tape, name)[start : start + _BLOCK] for name in DTYPES}
        refuse_disorder(block, len(tape.markets), len(tape.assets), after, start)
        after = int(block["ts_ns"][-1]), int(block["recv_ns"][-1])
        for name, column in block.items():
            sums[name] = zlib.crc32(column, sums[name])
        tape.release(start)
    for name, checksum in sums.items():
        if checksum != meta.checksums[name]:
            raise ConfigError(f"{path}: column {name} was changed or damaged; convert it again")
    return meta


def _open(path: Path) -> tuple[mmap.mmap, Any, Meta]:
    try:
        with path.open("rb") as file:
            head = file.read(len(ARROW_MAGIC))
            if head[: len(PARQUET_MAGIC)] == PARQUET_MAGIC:
                raise ConfigError(f"{path}: is Parquet; `floor data convert` makes a tape of it")
            if head != ARROW_MAGIC:
                raise ConfigError(f"{path}: is no tape: it does not begin with {ARROW_MAGIC!r}")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        reader = pa.ipc.open_file(pa.py_buffer(mapped))
        meta = decode(reader.schema.metadata, str(path))
        if reader.schema.remove_metadata() != SCHEMA or reader.num_record_batches != 1:
            raise ConfigError(f"{path}: its columns are not those of a tape")
        batch = reader.get_batch(0)
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {_first_line(error)}") from error
    except pa.ArrowException as error:
        raise ConfigError(
            f"{path}: is truncated or damaged ({_first_line(error)}); convert its source again"
        ) from error
    if batch.num_rows != meta.rows:
        raise ConfigError(f"{path}: holds {batch.num_rows} rows, says {meta.rows}; convert again")
    return mapped, batch, meta


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _releaser(mapped: mmap.mmap, arrays: dict[str, npt.NDArray[Any]]) -> Callable[[int], None]:
    """Build `Tape.release`: pages before a row leave memory, they are the file's own."""
    base = pa.py_buffer(mapped).address
    starts = {name: array.__array_interface__["data"][0] - base for name, array in arrays.items()}
    released = 0

    def release(row: int) -> None:
        nonlocal released
        if not hasattr(mapped, "madvise"):
            return
        if row <= released:
            # Somebody reads the rows once more, from the beginning.
            released = 0
        for name, offset in starts.items():
            width = np.dtype(DTYPES[name]).itemsize
            first = (offset + released * width) // mmap.PAGESIZE * mmap.PAGESIZE
            last = (offset + row * width) // mmap.PAGESIZE * mmap.PAGESIZE
            if last > first:
                mapped.madvise(mmap.MADV_DONTNEED, first, last - first)
        released = row

    return release
