"""The file of a recording: whole after a crash, honest about damage, never in trading's way."""

import errno
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import ConfigError, VenueRejected, VenueUnavailable, VenueUnknown
from models.events import BookChange, SpotSource, SpotTick
from models.journal import JournalState
from models.markets import Side
from models.recording import (
    VERSION,
    Absorbed,
    Answered,
    Asked,
    Called,
    Fault,
    Loaded,
    Opened,
    Turn,
    time_of,
)
from store import recording
from store.recording import BLOCK_BYTES, MARK, RecordingFile, read_recording

OPENED = Opened(1, VERSION, {"name": "anna"}, {"capital_e6": 1}, {"confirm_s": 60.0})

text = st.text(max_size=12)
times = st.integers(2, 1 << 62)
entries = st.one_of(
    st.builds(Turn, times, text),
    st.builds(Called, times, text, text, st.tuples(text)),
    st.builds(Absorbed, times),
    st.builds(Asked, times, st.integers(1, 99), text, st.tuples(text)),
    st.builds(Answered, times, st.integers(1, 99), st.binary(max_size=40)),
    st.builds(Loaded, times, st.just(JournalState((), (), (), 0, 0, {"a": 1}))),
    st.builds(SpotTick, times, times, text, st.sampled_from(SpotSource), st.integers(1, 1 << 50)),
    st.builds(
        BookChange, times, times, text, text,
        st.tuples(st.tuples(st.sampled_from(Side), st.integers(1, 9999), st.integers(0, 1 << 40))),
    ),
)  # fmt: skip


def write(path: Path, *some) -> RecordingFile:
    file = RecordingFile(path)
    for one in (OPENED, *some):
        file.write(one)
    file.close()
    return file


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some=st.lists(entries, max_size=30), cut=st.integers(1, 400), block=st.integers(40, 400))
def test_a_file_cut_anywhere_gives_what_was_written_before(
    tmp_path_factory, monkeypatch, some, cut, block
):
    path = tmp_path_factory.mktemp("cut") / "a.rec"
    monkeypatch.setattr(recording, "BLOCK_BYTES", block)
    write(path, *some)
    whole = [OPENED, *some]
    assert list(read_recording(path)) == whole
    path.write_bytes(path.read_bytes()[:-cut] or MARK)
    if path.stat().st_size < len(MARK):
        with pytest.raises(ConfigError, match="no recording"):
            list(read_recording(path))
        return
    left = list(read_recording(path))
    assert left == whole[: len(left)]
    assert len(left) < len(whole)


def test_damage_before_the_end_is_told(tmp_path):
    path = tmp_path / "a.rec"
    turns = [Turn(2 + i, f"{i * 7919 % 9973:x}" * 40) for i in range(4000)]
    write(path, *turns)
    raw = bytearray(path.read_bytes())
    raw[len(MARK) + 30] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match="damaged before byte"):
        list(read_recording(path))


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "no recording"), (b"something else entirely", "no recording")],
)
def test_what_is_no_recording_is_refused(tmp_path, content, says):
    path = tmp_path / "a.rec"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        list(read_recording(path))
    with pytest.raises(ConfigError, match="No such file"):
        list(read_recording(tmp_path / "nothing.rec"))


def test_another_version_is_refused(tmp_path):
    file = RecordingFile(tmp_path / "a.rec")
    file.write(Opened(1, VERSION + 1, {}, {}, {}))
    file.close()
    with pytest.raises(ConfigError, match=f"not of version {VERSION}"):
        list(read_recording(file.path))


def test_no_more_than_a_block_waits_in_memory(tmp_path):
    file = RecordingFile(tmp_path / "a.rec")
    file.write(OPENED)
    for i in range(20_000):
        file.write(Turn(2 + i, "0x" + "ab" * 16))
        assert len(file._block) <= BLOCK_BYTES
    assert sum(1 for _ in read_recording(file.path)) > 19_000, "all but the block begun"
    file.close()
    assert sum(1 for _ in read_recording(file.path)) == 20_001


def test_a_block_is_written_after_a_second_however_small(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(recording.time, "monotonic", lambda: now[0])
    file = RecordingFile(tmp_path / "a.rec")
    file.write(OPENED)
    assert list(read_recording(file.path)) == []
    now[0] += recording.FLUSH_S
    file.write(Turn(2, "m"))
    assert list(read_recording(file.path)) == [OPENED, Turn(2, "m")]
    file.close()


def test_a_file_that_is_full_stops_recording_and_nothing_else(tmp_path):
    file = RecordingFile(tmp_path / "a.rec", max_bytes=2_000)
    file.write(OPENED)
    file.flush()
    for i in range(100_000):
        file.write(Turn(2 + i, f"{i * 7919:x}"))
    assert not file.recording
    file.close()
    assert file.path.stat().st_size <= 2_000
    assert next(iter(read_recording(file.path))) == OPENED


def test_a_disk_that_refuses_stops_recording_and_nothing_else(tmp_path):
    class Full:
        def write(self, block):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            pass

    file = RecordingFile(tmp_path / "a.rec")
    file.write(OPENED)
    file.flush()
    file._file.close()
    file._file = Full()
    file.write(Turn(2, "m"))
    file.flush()
    assert not file.recording
    file.write(Turn(3, "m"))
    file.close()
    assert list(read_recording(file.path)) == [OPENED]


def test_a_recording_is_never_written_over(tmp_path):
    path = write(tmp_path / "deep" / "a.rec").path
    with pytest.raises(ConfigError, match="File exists"):
        RecordingFile(path)


@pytest.mark.parametrize(
    "error",
    [VenueRejected("no", "tick"), VenueUnknown("who knows"), VenueUnavailable("later", "busy", 3)],
)
def test_an_error_comes_back_as_it_was(error):
    again = Fault.of(error).error()
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_any_other_error_comes_back_as_one_nobody_knows_about():
    assert isinstance(Fault.of(ZeroDivisionError("oh")).error(), VenueUnknown)


def test_times_are_those_at_which_the_trader_heard():
    assert time_of(Turn(7, "m")) == 7
    assert time_of(SpotTick(3, 9, "BTC", SpotSource.CHAINLINK, 1)) == 9
