"""The batching writer: one bad batch never stops those after it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from models.errors import StoreUnavailable
from store.batches import BatchWriter
from store.spool import Spool


async def test_a_defect_costs_its_batch_and_not_the_writer(tmp_path: Path) -> None:
    got: list[bytes] = []

    async def write(records: Sequence[bytes]) -> None:
        if b"bad" in records:
            raise OSError("disk full")
        got.extend(records)

    writer = BatchWriter("test", write, Spool(tmp_path, "a"), flush_s=0.01, max_buffer=100)
    await writer.start()
    writer.put(b"bad")
    async with asyncio.timeout(10):
        while not writer.refused:
            await asyncio.sleep(0.01)
        writer.put(b"good")
        while not got:
            await asyncio.sleep(0.01)
    await writer.close()
    assert got == [b"good"]
    assert (writer.refused, writer.written) == (1, 1)


async def test_what_neither_postgres_nor_the_disk_takes_stays_in_memory_as_far_as_that_goes(
    tmp_path: Path,
) -> None:
    got: list[bytes] = []
    away = True

    async def write(records: Sequence[bytes]) -> None:
        if away:
            raise StoreUnavailable("away")
        got.extend(records)

    spool = Spool(tmp_path / "spool", "a")
    (tmp_path / "spool").write_text("no folder can be made here")
    writer = BatchWriter("test", write, spool, max_buffer=5)
    for n in range(4):
        writer.put(b"%d" % n)
        await writer.flush()
    assert (writer.spooled, writer.dropped) == (0, 0)
    for n in range(4, 8):
        writer.put(b"%d" % n)
        await writer.flush()
    assert writer.dropped == 3
    (tmp_path / "spool").unlink()
    await writer.flush()
    assert writer.spooled == 5
    away = False
    await writer.close()
    assert got == [b"0", b"1", b"2", b"3", b"4"]


def test_a_damaged_spool_file_is_named(tmp_path: Path) -> None:
    dead = Spool(tmp_path, "a")
    dead.append([b"one", b"two"])
    dead.close()
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    got: list[bytes] = []

    async def write(records: Sequence[bytes]) -> None:
        got.extend(records)

    writer = BatchWriter("test", write, Spool(tmp_path, "a"), max_buffer=100)
    asyncio.run(writer.close())
    assert got == [b"one"]
    assert writer.damaged == [f"{path.name}.damaged"]
