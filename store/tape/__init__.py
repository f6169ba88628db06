"""Tapes: recorded markets as columns in mapped files, and the readers that make them."""

from store.tape.events import events_of, tape_from_events
from store.tape.file import describe, open_tape, verify
from store.tape.parquet import export_parquet, import_parquet
from store.tape.writer import TapeWriter, write_tape

__all__ = [
    "TapeWriter",
    "describe",
    "events_of",
    "export_parquet",
    "import_parquet",
    "open_tape",
    "tape_from_events",
    "verify",
    "write_tape",
]
