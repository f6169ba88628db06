"""Tapes: recorded markets as columns in mapped files, and the readers that make them."""

from store.tape.check import check_tape, uncross
from store.tape.convert import ReadOptions, convert, read_recording, reader_of, recorded_sets
from store.tape.cut import cut
from store.tape.events import events_of, tape_from_events
from store.tape.file import describe, open_tape, verify
from store.tape.merge import merge
from store.tape.parquet import export_parquet, import_parquet
from store.tape.synthetic import synthetic
from store.tape.writer import TapeWriter, write_tape

__all__ = [
    "ReadOptions",
    "TapeWriter",
    "check_tape",
    "convert",
    "cut",
    "describe",
    "events_of",
    "export_parquet",
    "import_parquet",
    "merge",
    "open_tape",
    "read_recording",
    "reader_of",
    "recorded_sets",
    "synthetic",
    "tape_from_events",
    "uncross",
    "verify",
    "write_tape",
]
