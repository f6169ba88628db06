"""Writing tapes of any length in little memory."""

import mmap
import shutil
import zlib
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from models.errors import BadValue
from models.markets import Market
from models.tape import DTYPES, Report, Tape
from store.tape.columns import Columns, columns_of, refuse_disorder, rows_in
from store.tape.file import SCHEMA, open_tape
from store.tape.meta import Meta, encode

_BLOCK = 1 << 20
_SLICE = 1 << 23
"""Bytes written at a time."""


class TapeWriter:
    """Takes rows in order, batch by batch, and makes a tape file of them when it is closed.

    Columns wait in files of their own beside the target, so memory does not grow with the rows.
    Until `close` there is nothing under the target's name; leaving the `with` block by an
    exception leaves nothing behind.

        with TapeWriter(path, markets, assets, depth=5) as writer:
            writer.append(columns)
        tape = open_tape(path)

    Parameters
    ----------
    markets, assets
        What the `market` column points into; may be replaced until `close`, but only by longer
        tuples that begin the same.
    """

    def __init__(
        self,
        path: Path,
        markets: tuple[Market, ...] = (),
        assets: tuple[str, ...] = (),
        depth: int | None = None,
        reports: tuple[Report, ...] = (),
    ) -> None:
        self.path = path
        self.markets = markets
        self.assets = assets
        self.depth = depth
        self.reports = reports
        self.rows = 0
        self._last: tuple[int, int] | None = None
        self._sums = dict.fromkeys(DTYPES, 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._folder = Path(mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        self._files: dict[str, BinaryIO] = {
            name: (self._folder / name).open("wb") for name in DTYPES
        }

    def append(self, columns: Columns) -> None:
        """Add rows; they may not go back behind earlier ones.

        Raises
        ------
        BadValue
            A row may not stand there; it is named and nothing of the batch was added.
        """
        count = rows_in(columns)
        typed = {name: np.ascontiguousarray(columns[name], DTYPES[name]) for name in DTYPES}
        for name, column in typed.items():
            if len(column) != count:
                raise BadValue(f"tape: column {name} has {len(column)} rows, ts_ns has {count}")
        refuse_disorder(typed, len(self.markets), len(self.assets), self._last, self.rows)
        if not count:
            return
        for name, column in typed.items():
            self._files[name].write(column.data)
            self._sums[name] = zlib.crc32(column.data, self._sums[name])
        self._last = int(typed["ts_ns"][-1]), int(typed["recv_ns"][-1])
        self.rows += count

    @property
    def checksums(self) -> dict[str, int]:
        """CRC-32 of each column's bytes so far."""
        return dict(self._sums)

    def close(self) -> None:
        """Put the columns together under the target's name, replacing what was there."""
        for file in self._files.values():
            file.close()
        meta = Meta(self.markets, self.assets, self.depth, self.reports, self.rows, self.checksums)
        draft = self._folder / "tape"
        schema = SCHEMA.with_metadata(encode(meta))
        maps: list[mmap.mmap] = []
        columns = [self._column(name, maps) for name in DTYPES]
        with (
            draft.open("wb") as target,
            pa.ipc.new_file(_Sink(target, maps), schema) as file,
        ):
            file.write_batch(pa.record_batch(columns, schema))
        draft.replace(self.path)
        self.discard()

    def discard(self) -> None:
        """Forget everything that was appended."""
        for file in self._files.values():
            file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _column(self, name: str, maps: list[mmap.mmap]) -> Any:
        dtype = pa.from_numpy_dtype(DTYPES[name])
        if not self.rows:
            return pa.array([], dtype)
        with (self._folder / name).open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        maps.append(mapped)
        return pa.Array.from_buffers(dtype, self.rows, [None, pa.py_buffer(mapped)])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


class _Sink:
    """Writes what Arrow hands it, and lets go of the mapped columns on the way."""

    closed = False

    def __init__(self, target: BinaryIO, maps: list[mmap.mmap]) -> None:
        self._target = target
        self._maps = maps

    def write(self, data: Any) -> int:
        view = memoryview(data)
        for start in range(0, len(view), _SLICE):
            self._target.write(view[start : start + _SLICE])
            if len(view) > _SLICE:
                for mapped in self._maps:
                    if hasattr(mapped, "madvise"):
                        mapped.madvise(mmap.MADV_DONTNEED)
        return len(view)

    def tell(self) -> int:
        return self._target.tell()

    def flush(self) -> None:
        self._target.flush()

    def close(self) -> None:
        self._target.flush()


def write_tape(tape: Tape, path: Path) -> Tape:
    """Write a tape to a file and open that."""
    with TapeWriter(path, tape.markets, tape.assets, tape.depth, tape.reports) as writer:
        for start in range(0, len(tape), _BLOCK):
            writer.append(columns_of(tape, start, start + _BLOCK))
            tape.release(start)
    return open_tape(path)
