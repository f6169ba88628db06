"""Tapes as Parquet: smaller, and readable by every tool; streamed both ways."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from models.errors import ConfigError
from models.tape import DTYPES, Tape
from store.tape.columns import columns_of
from store.tape.file import SCHEMA, describe, open_tape
from store.tape.meta import Meta, decode, encode
from store.tape.writer import TapeWriter

GROUP = 1 << 20
"""Rows per row group, and in memory at a time."""

Progress = Callable[[int, int], None]
"""Told rows done and rows in all."""


def export_parquet(path: Path, out: Path, on_progress: Progress | None = None) -> None:
    """Write a tape file as Parquet (zstd), one row group at a time."""
    tape, meta = open_tape(path), describe(path)
    draft = out.with_name(f".{out.name}.part")
    schema = SCHEMA.with_metadata(encode(meta))
    try:
        with pq.ParquetWriter(draft, schema, compression="zstd") as writer:
            for start in range(0, len(tape), GROUP):
                columns = columns_of(tape, start, start + GROUP)
                writer.write_table(
                    pa.table({name: columns[name] for name in DTYPES}, schema), row_group_size=GROUP
                )
                tape.release(start)
                if on_progress:
                    on_progress(min(start + GROUP, len(tape)), len(tape))
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)


def import_parquet(path: Path, out: Path, on_progress: Progress | None = None) -> Tape:
    """Make a tape file of what `export_parquet` wrote, one row group at a time.

    Raises
    ------
    ConfigError
        The file is no tape's Parquet, is truncated, or its bytes are not what it says.
    """
    try:
        file = pq.ParquetFile(path)
        meta = decode(file.schema_arrow.metadata, str(path))
        if file.schema_arrow.remove_metadata() != SCHEMA:
            raise ConfigError(f"{path}: its columns are not those of a tape")
        with TapeWriter(out, meta.markets, meta.assets, meta.depth, meta.reports) as writer:
            for batch in file.iter_batches(GROUP):
                writer.append({name: batch.column(i).to_numpy() for i, name in enumerate(DTYPES)})
                if on_progress:
                    on_progress(writer.rows, meta.rows)
            _refuse_difference(path, meta, writer)
    except (OSError, pa.ArrowException) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ConfigError(f"{path}: can't be read as Parquet: {reason}") from error
    return open_tape(out)


def is_tape_parquet(path: Path) -> bool:
    """Whether a Parquet file is a tape's. False for other Parquet and for what is not."""
    try:
        decode(pq.read_schema(path).metadata, str(path))
    except (OSError, pa.ArrowException, ConfigError):
        return False
    return True


def _refuse_difference(path: Path, meta: Meta, writer: TapeWriter) -> None:
    if writer.rows != meta.rows or writer.checksums != meta.checksums:
        raise ConfigError(f"{path}: its rows are not those that were exported; export it again")
