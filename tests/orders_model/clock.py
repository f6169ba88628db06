"""One clock for several processes; it moves only when the test says so."""

import mmap
import struct
from pathlib import Path

from models.units import SECOND_NS

_FORMAT = struct.Struct("<q")


class SharedClock:
    """Nanoseconds in a small mapped file: what one process sets, all the others see."""

    def __init__(self, path: Path, start_ns: int | None = None) -> None:
        if start_ns is not None:
            path.write_bytes(_FORMAT.pack(start_ns))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _FORMAT.size)

    def now_ns(self) -> int:
        return int(_FORMAT.unpack_from(self._memory)[0])

    def advance(self, seconds: float) -> None:
        _FORMAT.pack_into(self._memory, 0, self.now_ns() + round(seconds * SECOND_NS))
