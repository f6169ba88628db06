"""Frames: whatever happens to the bytes, no record is invented and the untouched ones are found."""

from hypothesis import given
from hypothesis import strategies as st

from store.frames import MARK, frame, scan

RECORDS = st.lists(st.binary(max_size=60), max_size=8)


@given(RECORDS)
def test_records_come_back_as_they_were(records: list[bytes]) -> None:
    found = scan(b"".join(map(frame, records)))
    assert found.records == tuple(records)
    assert found.damaged_bytes == 0


@given(RECORDS, st.data())
def test_a_changed_byte_costs_its_record_alone(records: list[bytes], data: st.DataObject) -> None:
    if not records:
        return
    frames = [bytearray(frame(record)) for record in records]
    which = data.draw(st.integers(0, len(frames) - 1))
    at = data.draw(st.integers(0, len(frames[which]) - 1))
    frames[which][at] ^= data.draw(st.integers(1, 255))
    found = scan(b"".join(frames))
    assert found.records == tuple(records[:which] + records[which + 1 :])
    assert found.damaged_bytes == len(frames[which])


@given(RECORDS, st.binary(max_size=40), RECORDS)
def test_what_is_no_frame_is_passed_over(
    before: list[bytes], junk: bytes, after: list[bytes]
) -> None:
    found = scan(b"".join([*map(frame, before), junk, *map(frame, after)]))
    assert found.records == (*before, *after)
    assert found.damaged_bytes == len(junk)


def test_a_lost_page_is_no_record() -> None:
    found = scan(frame(b"one") + bytes(4096) + frame(b"two"))
    assert found.records == (b"one", b"two")
    assert found.damaged_bytes == 4096


def test_a_mark_inside_a_record_begins_nothing() -> None:
    assert scan(frame(MARK + b"x" + frame(b"inner"))).records == (MARK + b"x" + frame(b"inner"),)
