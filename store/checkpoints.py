"""A session's memory in local files: whole or not at all, newest first, damaged ones set aside."""

import os
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import structlog

from models.errors import BadValue, StoreUnavailable
from store.held import DAMAGED, sync_folder
from store.rows import json_text
from store.versions import Version, next_seq

log = structlog.get_logger(__name__)

FORMAT = 1
_SUFFIX = ".checkpoint"
_FORGOTTEN_S = 60.0
"""A half-written file this old belongs to a process that died writing it."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A session's memory as it was kept. `version` says which of two is the newer."""

    version: Version
    saved_ns: int
    state: Mapping[str, Any]
    name: str
    """Of the file."""


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """First line of a file; the state follows, `size` bytes of JSON."""

    format: int
    agent: str
    token: int
    seq: int
    saved_ns: int
    size: int
    crc32: int


class CheckpointFiles:
    """Files ``<folder>/<agent>.<token>-<seq>.checkpoint`` of one agent on this host.

    Parameters
    ----------
    folder
        Made when the first file is written.
    keep
        How many good files stay; older ones are removed.

    Attributes
    ----------
    token
        Of the lease under which the next file is written. A journal that is given these files
        sets it.
    damaged
        Names of files that could not be read; they were renamed and are left for people.
    """

    def __init__(self, folder: Path, agent: str, keep: int = 10) -> None:
        if keep < 1:
            raise BadValue(f"checkpoints of {agent}: keep={keep} would keep none; use 1 or more")
        self.token = 0
        self.damaged: list[str] = []
        self._folder = folder
        self._agent = agent
        self._keep = keep

    def write(self, state: Mapping[str, Any]) -> None:
        """Keep a state: in a file of its own, on the disk once this returns.

        Raises
        ------
        StoreUnavailable
            The disk refuses; nothing half-written is left and the older files are whole.
        """
        seq = next_seq()
        name = f"{self._agent}.{self.token:012d}-{seq:020d}{_SUFFIX}"
        body = json_text(state).encode()
        head = _Head(
            FORMAT, self._agent, self.token, seq, time.time_ns(), len(body), zlib.crc32(body)
        )
        draft = self._folder / f"{name}.tmp"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_whole(draft, msgspec.json.encode(head) + b"\n" + body)
            draft.rename(self._folder / name)
            sync_folder(self._folder)
        except OSError as error:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise StoreUnavailable(
                f"checkpoint of {self._agent} can't be written in {self._folder}: "
                f"{error.strerror}; free the disk or mend the folder's rights"
            ) from None
        self._prune()

    def newest(self) -> Checkpoint | None:
        """Return the newest good checkpoint, None where there is none.

        Damaged ones on the way are renamed ``*.damaged`` and named in `damaged`.
        """
        for path in reversed(self._files()):
            try:
                return self._read(path)
            except FileNotFoundError:
                continue
            except (OSError, ValueError, msgspec.MsgspecError) as error:
                self._set_aside(path, str(error))
        return None

    def _files(self) -> list[Path]:
        """Good files as far as their names tell, oldest first."""
        return sorted(self._folder.glob(f"{self._agent}.*{_SUFFIX}"))

    def _read(self, path: Path) -> Checkpoint:
        first, _, body = path.read_bytes().partition(b"\n")
        head = msgspec.json.decode(first, type=_Head)
        if head.format != FORMAT:
            raise ValueError(f"format {head.format}, this code reads {FORMAT}")
        if head.agent != self._agent:
            raise ValueError(f"it is {head.agent}'s")
        if len(body) != head.size or zlib.crc32(body) != head.crc32:
            raise ValueError("its checksum is wrong")
        state = msgspec.json.decode(body, type=dict[str, Any])
        return Checkpoint(Version(head.token, head.seq), head.saved_ns, state, path.name)

    def _set_aside(self, path: Path, why: str) -> None:
        aside = path.with_name(path.name + DAMAGED)
        with suppress(OSError):
            path.rename(aside)
        log.error("checkpoint_damaged", file=path.name, reason=why, kept_as=aside.name)
        self.damaged.append(aside.name)

    def _prune(self) -> None:
        with suppress(OSError):
            for path in self._files()[: -self._keep]:
                path.unlink(missing_ok=True)
            for path in self._folder.glob(f"{self._agent}.*{_SUFFIX}.tmp"):
                if time.time() - path.stat().st_mtime > _FORGOTTEN_S:
                    path.unlink(missing_ok=True)


def _write_whole(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    finally:
        os.close(handle)
