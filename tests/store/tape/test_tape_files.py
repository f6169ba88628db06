"""Tape files: what is written comes back, in place, and what is spoilt is refused."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from models.errors import BadValue, ConfigError
from models.events import FeedEvent
from models.tape import DTYPES, Report, Row, Tape
from store.tape import (
    TapeWriter,
    describe,
    export_parquet,
    import_parquet,
    open_tape,
    tape_from_events,
    verify,
    write_tape,
)
from store.tape.columns import columns_of, filled, tape_of
from tests.store.tape.made import MARKETS, START_NS, feeds

REPORT = Report("a source", 7, {"gap": 2}, {"gap": ("row 3: dark",)}, ("sizes are assumed",))


def same(one: Tape, other: Tape) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in DTYPES) and (
        (one.markets, one.assets, one.depth, one.reports)
        == (other.markets, other.assets, other.depth, other.reports)
    )


def small(rows: int = 100) -> Tape:
    stamps = START_NS + np.arange(rows) * 1_000
    columns = filled(rows, ts_ns=stamps, kind=int(Row.SPOT), size=np.arange(rows) + 1)
    return tape_of(columns, MARKETS, ("BTC",), 5, (REPORT,))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(events=feeds())
def test_a_tape_comes_back_from_arrow_and_from_parquet(
    events: list[FeedEvent], tmp_path: Path
) -> None:
    tape = replace(tape_from_events(events, MARKETS), depth=5, reports=(REPORT,))
    path, parquet = tmp_path / "a.tape", tmp_path / "a.parquet"
    assert same(write_tape(tape, path), tape)
    assert verify(path).rows == len(tape)
    export_parquet(path, parquet)
    assert same(import_parquet(parquet, tmp_path / "b.tape"), tape)
    assert verify(tmp_path / "b.tape").checksums == describe(path).checksums


def test_batches_make_the_file_that_one_batch_makes(tmp_path: Path) -> None:
    tape = small()
    with TapeWriter(tmp_path / "b", tape.markets, tape.assets, 5, (REPORT,)) as writer:
        for start in range(0, 100, 7):
            writer.append(columns_of(tape, start, start + 7))
        assert not (tmp_path / "b").exists()
    write_tape(tape, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ts_ns": START_NS - 1}, "ts_ns goes back"),
        ({"ts_ns": START_NS + 9, "recv_ns": START_NS + 8}, "recv_ns before ts_ns"),
        ({"ts_ns": START_NS + 9, "market": 2}, "an unknown market"),
        ({"ts_ns": START_NS + 9, "market": 1, "kind": Row.SPOT}, "an unknown asset"),
        ({"ts_ns": START_NS + 9, "kind": 77}, "a row of unknown kind"),
        ({"ts_ns": START_NS + 9, "size": -1}, "a negative size"),
    ],
)
def test_a_row_that_may_not_stand_there_is_refused_and_the_rest_kept(
    changes: dict[str, int], message: str, tmp_path: Path
) -> None:
    row = {"kind": int(Row.CLEAR), **{name: int(value) for name, value in changes.items()}}
    with TapeWriter(tmp_path / "t", MARKETS, ("BTC",)) as writer:
        writer.append(filled(1, ts_ns=START_NS, kind=int(Row.CLEAR)))
        with pytest.raises(BadValue, match=f"tape row 1: {message}"):
            writer.append(filled(1, **row))
        writer.append(filled(1, ts_ns=START_NS + 1, kind=int(Row.CLEAR)))
    assert len(open_tape(tmp_path / "t")) == 2


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_tape(small(), tmp_path / "t")
    with pytest.raises(RuntimeError), TapeWriter(tmp_path / "t", MARKETS, ("BTC",)) as writer:
        writer.append(columns_of(small(3)))
        raise RuntimeError
    assert len(open_tape(tmp_path / "t")) == 100
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_truncated_tape_gets_one_clear_error(share: float, tmp_path: Path) -> None:
    path = tmp_path / "t"
    write_tape(small(10_000), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ConfigError, match=r"t: (is truncated|is no tape|holds)"):
        open_tape(path)


def test_foreign_files_get_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "t"
    with pytest.raises(ConfigError, match="can't be read"):
        open_tape(path)
    path.write_text("timestamp,price\n")
    with pytest.raises(ConfigError, match="is no tape"):
        open_tape(path)
    table = pa.table({"x": [1]})
    pq.write_table(table, path)
    with pytest.raises(ConfigError, match="floor data convert"):
        open_tape(path)
    with pytest.raises(ConfigError, match="is no tape of this floor"):
        import_parquet(path, tmp_path / "out")
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    with pytest.raises(ConfigError, match="is no tape of this floor"):
        open_tape(path)
    assert not (tmp_path / "out").exists()


def test_a_damaged_byte_is_found_when_it_is_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write_tape(small(10_000), path)
    data = bytearray(path.read_bytes())
    data[-20_000] ^= 1
    path.write_bytes(data)
    assert len(open_tape(path)) == 10_000
    with pytest.raises(ConfigError, match="column size was changed or damaged"):
        verify(path)


_OPEN = """
import sys
from pathlib import Path
import psutil
from store.tape import open_tape
rss = psutil.Process().memory_info
len(open_tape(Path(sys.argv[2])))
before = rss().rss
tape = open_tape(Path(sys.argv[1]))
opened = rss().rss
for start in range(0, len(tape), 1 << 17):
    tape.ts_ns[start : start + (1 << 17)].sum()
    tape.size[start : start + (1 << 17)].sum()
    tape.release(start)
print(len(tape), opened - before, rss().rss - opened)
"""


def test_opening_ten_million_rows_reads_none_and_a_pass_stays_flat(tmp_path: Path) -> None:
    rows, block = 10_000_000, 500_000
    with TapeWriter(tmp_path / "t", MARKETS, ("BTC",)) as writer:
        for start in range(0, rows, block):
            stamps = START_NS + np.arange(start, start + block)
            writer.append(filled(block, ts_ns=stamps, kind=int(Row.SPOT), size=1))
    write_tape(small(1), tmp_path / "one")
    run = subprocess.run(
        [sys.executable, "-c", _OPEN, str(tmp_path / "t"), str(tmp_path / "one")],
        capture_output=True,
        text=True,
        check=True,
    )
    count, opened, passed = map(int, run.stdout.split())
    assert (tmp_path / "t").stat().st_size > rows * 32
    assert count == rows
    assert opened < 4_000_000
    assert passed < 12_000_000


_MAKE = """
import resource, sys
from pathlib import Path
from store.tape import synthetic
unit = 1 if sys.platform == "darwin" else 1024
for rows in (1_000_000, 5_000_000):
    synthetic(Path(sys.argv[1]), rows, markets=2)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
"""


def test_writing_takes_no_more_memory_for_more_rows(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", _MAKE, str(tmp_path / "t")],
        capture_output=True,
        text=True,
        check=True,
    )
    before, after = map(int, run.stdout.split())
    assert (tmp_path / "t").stat().st_size > 5_000_000 * 32
    assert after - before < 48_000_000 < 4_000_000 * 32
