"""Records in a file, framed so that what is damaged is noticed and what follows is found again.

A frame is a mark, the record's length and a CRC-32 (both big-endian, 4 bytes) and the record. The
checksum covers the length too; a run of zeros, as a lost page leaves, is no frame.
"""

import struct
import zlib
from dataclasses import dataclass

MARK = b"\xf1Fl\n"
_NUMBERS = struct.Struct(">II")
_LENGTH = struct.Struct(">I")
HEAD_BYTES = len(MARK) + _NUMBERS.size


@dataclass(frozen=True, slots=True)
class Scan:
    """What a file holds: its whole records in order, and how many bytes are none."""

    records: tuple[bytes, ...]
    damaged_bytes: int


def frame(record: bytes) -> bytes:
    """Return a record as it stands in a file."""
    return MARK + _NUMBERS.pack(len(record), _checksum(record)) + record


def scan(data: bytes) -> Scan:
    """Read every whole record; damage and a torn end are passed over and counted."""
    records = []
    at = damaged = 0
    while at < len(data):
        record = _whole(data, at)
        if record is not None:
            records.append(record)
            at += HEAD_BYTES + len(record)
            continue
        found = data.find(MARK, at + 1)
        found = len(data) if found < 0 else found
        damaged += found - at
        at = found
    return Scan(tuple(records), damaged)


def _whole(data: bytes, at: int) -> bytes | None:
    """Return the record whose frame begins at `at`, None unless it is whole and undamaged."""
    begin = at + HEAD_BYTES
    if begin > len(data) or not data.startswith(MARK, at):
        return None
    length, checksum = _NUMBERS.unpack_from(data, at + len(MARK))
    if begin + length > len(data):
        return None
    record = data[begin : begin + length]
    return record if _checksum(record) == checksum else None


def _checksum(record: bytes) -> int:
    return zlib.crc32(record, zlib.crc32(_LENGTH.pack(len(record))))
