"""The file of a recorded session: compressed blocks of records, whole after every crash.

The file begins with a mark. A block is its length and CRC-32 (both big-endian, 4 bytes) and
that many bytes of zlib; unpacked, it is records one after the other, each its length (big-endian,
4 bytes) and its msgpack. A crash costs the last block at most: what was not written whole is not
read.
"""

import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
import structlog

from models.errors import ConfigError
from models.recording import VERSION, Entry, Opened

log = structlog.get_logger(__name__)

MARK = b"floor recording 1\n"
_BLOCK = struct.Struct(">II")
_LENGTH = struct.Struct(">I")
BLOCK_BYTES = 64 * 1024
"""A block is written once so much has gathered, unpacked."""
FLUSH_S = 1.0
"""A block is written at the first record after so long, however small it is."""
MAX_BYTES = 4 * 1024**3


class RecordingFile:
    """Writes a recording; holds one block in memory and never fails its caller.

    When the disk refuses or the file is full it stops recording, says so once, and trading goes
    on: what was recorded until then stays readable.

    Parameters
    ----------
    path
        A new file; its folder is made. One that exists is refused.

    Raises
    ------
    ConfigError
        The file can't be made.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self.records = 0
        self._max_bytes = max_bytes
        self._encoder = msgspec.msgpack.Encoder()
        self._block = bytearray()
        self._written_at = time.monotonic()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO | None = path.open("xb", buffering=0)
            self._size = self._file.write(MARK)
        except OSError as error:
            raise ConfigError(f"recording {path}: {error.strerror}") from None

    @property
    def recording(self) -> bool:
        """Whether records are still taken."""
        return self._file is not None

    def write(self, entry: Entry) -> None:
        """Add a record; it reaches the disk with its block."""
        if self._file is None:
            return
        packed = self._encoder.encode(entry)
        self._block += _LENGTH.pack(len(packed))
        self._block += packed
        self.records += 1
        late = time.monotonic() - self._written_at >= FLUSH_S
        if late or len(self._block) >= BLOCK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand the block begun to the operating system."""
        self._written_at = time.monotonic()
        if self._file is None or not self._block:
            return
        packed = zlib.compress(bytes(self._block), 1)
        frame = _BLOCK.pack(len(packed), zlib.crc32(packed)) + packed
        self._block.clear()
        if self._size + len(frame) > self._max_bytes:
            self._give_up(f"it would be larger than {self._max_bytes} bytes")
            return
        try:
            written = self._file.write(frame)
        except OSError as error:
            self._give_up(str(error.strerror))
            return
        self._size += written
        if written != len(frame):
            self._give_up("the disk took only a part")

    def close(self) -> None:
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _give_up(self, reason: str) -> None:
        log.error("recording_stopped", path=str(self.path), records=self.records, reason=reason)
        assert self._file is not None
        self._file.close()
        self._file = None


def read_recording(path: Path) -> Iterator[Entry]:
    """Yield the records of a file in order; what a crash left half-written at its end is left out.

    Raises
    ------
    ConfigError
        The file is not there, is no recording, is of another version, or is damaged before its
        end.
    """
    decoder: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)
    first = True
    for block in _blocks(path):
        at = 0
        while at < len(block):
            (length,) = _LENGTH.unpack_from(block, at)
            at += _LENGTH.size
            try:
                entry = decoder.decode(block[at : at + length])
            except msgspec.DecodeError as error:
                raise ConfigError(f"recording {path}: a record can't be read: {error}") from None
            at += length
            if first and not (isinstance(entry, Opened) and entry.version == VERSION):
                raise ConfigError(f"recording {path}: not of version {VERSION}; record it anew")
            first = False
            yield entry


def _blocks(path: Path) -> Iterator[bytes]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigError(f"recording {path}: {error.strerror}") from None
    with file:
        size = path.stat().st_size
        if file.read(len(MARK)) != MARK:
            raise ConfigError(f"recording {path}: no recording of a session")
        while len(head := file.read(_BLOCK.size)) == _BLOCK.size:
            length, checksum = _BLOCK.unpack(head)
            packed = file.read(length)
            if len(packed) == length and zlib.crc32(packed) == checksum:
                yield zlib.decompress(packed)
                continue
            if file.tell() < size:
                raise ConfigError(f"recording {path}: damaged before byte {file.tell()}")
            log.warning("recording_torn", path=str(path), bytes_left_out=len(head) + len(packed))
            return
