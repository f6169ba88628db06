"""The batching writer: one bad batch never stops those after it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

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
