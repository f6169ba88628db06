"""The spool: whole records in order, damage passed over, leftovers of the dead drained."""

import asyncio
import fcntl
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import StoreUnavailable
from store.frames import HEAD_BYTES
from store.spool import Spool


def drained(folder: Path, name: str = "a") -> list[bytes]:
    got: list[bytes] = []

    async def write(records: Sequence[bytes]) -> int:
        got.extend(records)
        return len(records)

    count = asyncio.run(Spool(folder, name).drain(write))
    assert count == len(got)
    return got


def files(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir()) if folder.exists() else []


def test_records_come_back_in_order_once(tmp_path: Path) -> None:
    records = [f"record {n}".encode() for n in range(5_000)]
    spool = Spool(tmp_path, "a")
    assert spool.append(records[:10])
    assert spool.append(records[10:])
    spool.close()
    assert drained(tmp_path) == records
    assert drained(tmp_path) == []
    assert files(tmp_path) == []


def test_a_living_process_keeps_its_file_to_itself(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "a")
    assert spool.append([b"mine"])
    assert drained(tmp_path) == []
    spool.close()
    assert drained(tmp_path) == [b"mine"]


def test_names_do_not_mix(tmp_path: Path) -> None:
    for name in ("a", "b"):
        spool = Spool(tmp_path, name)
        spool.append([name.encode()])
        spool.close()
    assert drained(tmp_path, "b") == [b"b"]
    assert drained(tmp_path, "a") == [b"a"]


async def test_a_write_that_fails_leaves_the_file_for_the_next_time(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "a")
    spool.append([b"%d" % n for n in range(5_000)])
    got: list[bytes] = []

    async def fails_at_second(records: Sequence[bytes]) -> int:
        if got:
            raise StoreUnavailable("away")
        got.extend(records)
        return len(records)

    with pytest.raises(StoreUnavailable):
        await spool.drain(fails_at_second)
    assert spool.append([b"later"])
    again: list[bytes] = []

    async def works(records: Sequence[bytes]) -> int:
        again.extend(records)
        return len(records)

    assert await spool.drain(works) == 5_001
    assert again == [b"%d" % n for n in range(5_000)] + [b"later"]
    assert again[: len(got)] == got


def test_a_full_spool_refuses_whole_batches(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "a", max_bytes=100)
    assert spool.append([b"x" * 50])
    assert not spool.append([b"y" * 60])
    assert spool.append([b"z" * 10])
    spool.close()
    assert drained(tmp_path) == [b"x" * 50, b"z" * 10]


def test_a_folder_that_cannot_be_made_is_a_refusal_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert not Spool(tmp_path / "file" / "spool", "a").append([b"x"])


@given(
    records=st.lists(st.binary(max_size=40), min_size=1, max_size=10),
    cut=st.integers(0, 400),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_torn_file_gives_its_whole_records_and_is_set_aside(
    tmp_path_factory: pytest.TempPathFactory, records: list[bytes], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    spool = Spool(folder, "a")
    spool.append(records)
    spool.close()
    (path,) = folder.iterdir()
    length = min(cut, path.stat().st_size)
    os.truncate(path, length)
    whole, at = [], 0
    for record in records:
        at += HEAD_BYTES + len(record)
        if at > length:
            break
        whole.append(record)
    torn = length > sum(HEAD_BYTES + len(record) for record in whole)
    assert drained(folder) == whole
    assert files(folder) == ([".damaged"] if torn else [])


def test_what_follows_a_flipped_bit_is_found_again_and_the_file_is_named(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "a")
    spool.append([b"first", b"second", b"third"])
    spool.close()
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[2 * HEAD_BYTES + len(b"first")] ^= 1
    path.write_bytes(data)
    spool = Spool(tmp_path, "a")
    got: list[bytes] = []

    async def write(records: Sequence[bytes]) -> int:
        got.extend(records)
        return len(records)

    assert asyncio.run(spool.drain(write)) == 2
    assert got == [b"first", b"third"]
    assert spool.damaged == [f"{path.name}.damaged"]
    assert (tmp_path / spool.damaged[0]).read_bytes() == data


async def test_a_batch_that_makes_the_writer_fail_keeps_no_other_from_being_drained(
    tmp_path: Path,
) -> None:
    for record in (b"bad", b"good"):
        spool = Spool(tmp_path, "a")
        spool.append([record])
        spool.close()
    got: list[bytes] = []

    async def write(records: Sequence[bytes]) -> int:
        if b"bad" in records:
            raise ZeroDivisionError
        got.extend(records)
        return len(records)

    spool = Spool(tmp_path, "a")
    assert await spool.drain(write) == 1
    assert got == [b"good"]
    assert [(tmp_path / name).read_bytes()[-3:] for name in spool.damaged] == [b"bad"]


def test_a_full_disk_refuses_whole_batches_and_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """In a process of its own, whose files may not grow beyond 100 bytes."""
    code = f"""
import resource
from pathlib import Path
from store.spool import Spool
spool = Spool(Path({str(tmp_path)!r}), "a")
assert spool.append([b"x" * 20])
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
assert not spool.append([b"y" * 30, b"z" * 90])
assert spool.append([b"w" * 30])
spool.close()
"""
    # Its standard output may be a file too, which must not grow either.
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True)
    assert drained(tmp_path) == [b"x" * 20, b"w" * 30]
    assert files(tmp_path) == []


def test_a_file_being_made_is_nobodys_leftover(tmp_path: Path) -> None:
    """Between its making and its lock a file must not be taken for a dead process's."""
    spool = Spool(tmp_path, "a")
    seen: list[list[Path]] = []
    lock = fcntl.flock

    def look_first(handle: int, how: int) -> None:
        seen.append(Spool(tmp_path, "a").files())
        lock(handle, how)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("store.held.fcntl.flock", look_first)
        assert spool.append([b"mine"])
    assert seen == [[]]
    assert len(spool.files()) == 1
    spool.close()
