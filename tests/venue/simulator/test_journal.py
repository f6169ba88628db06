"""The simulator's disk: nothing is asked twice, nothing is lost when writing fails."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.settings import ROOT
from venue.simulator.checkpoints import Checkpoints
from venue.simulator.journal import Journal
from venue.simulator.seen import Seen

ids = st.binary(min_size=32, max_size=32).map(lambda raw: "0x" + raw.hex())


@given(st.lists(ids, max_size=200))
def test_what_was_added_is_always_seen(known):
    seen = Seen(known)
    assert all(seen.perhaps(order_id) for order_id in known)


@given(st.text(max_size=70) | ids)
def test_any_text_may_be_asked_for_and_an_empty_filter_knows_none(text):
    assert Seen().perhaps(text) is False


def test_a_hundred_thousand_ids_leave_few_doubts():
    def digest(number):
        return "0x" + (pow(3, number + 1, 2**256 - 189)).to_bytes(32, "big").hex()

    seen = Seen(digest(number) for number in range(0, 200_000, 2))
    doubts = sum(seen.perhaps(digest(number)) for number in range(100_001, 104_001, 2))
    assert doubts < 10


def journalled(path: Path) -> list[tuple[str, bytes]]:
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT name, value FROM meta ORDER BY name").fetchall()
    database.close()
    return rows


def test_what_could_not_be_written_is_written_by_the_next_commit(tmp_path):
    path = tmp_path / "sim.sqlite"
    journal = Journal(path)
    journal.meta("one", b"1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    journal._db.execute("PRAGMA busy_timeout=1")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        journal.commit()
    other.execute("ROLLBACK")
    other.close()
    journal.meta("two", b"2")
    journal.commit()
    assert journalled(path) == [("one", b"1"), ("two", b"2")]
    journal.close()


def test_the_log_is_folded_in_beside_an_open_writer(tmp_path):
    path = tmp_path / "sim.sqlite"
    journal = Journal(path)
    for number in range(200):
        journal.meta(f"{number:03}", bytes(1000))
        journal.commit()
    before = path.stat().st_size
    folder = Checkpoints(path)
    folder.fold()
    folder.close()
    assert path.stat().st_size > before + 150_000
    journal.meta("last", b"here")
    journal.commit()
    assert journal.read_meta("last") == b"here"
    journal.close()
    assert not path.with_name("sim.sqlite-wal").exists()


def test_what_was_committed_survives_kill_9_while_the_log_is_folded_in(tmp_path):
    """A process commits and folds without pause, tells each commit, and dies in the midst."""
    path = tmp_path / "sim.sqlite"
    script = (
        "import sys, threading, pathlib\n"
        "from venue.simulator.journal import Journal\n"
        "from venue.simulator.checkpoints import Checkpoints\n"
        f"path = pathlib.Path({str(path)!r})\n"
        "journal = Journal(path)\n"
        "folder = Checkpoints(path)\n"
        "def fold():\n"
        "    while True: folder.fold()\n"
        "threading.Thread(target=fold, daemon=True).start()\n"
        "for number in range(10**6):\n"
        "    journal.meta(f'{number:06}', bytes(500))\n"
        "    journal.commit()\n"
        "    print(number, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    told = -1
    while told < 300:
        told = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    rest = process.communicate()[0].splitlines()
    told = max([told, *(int(line) for line in rest if line)])
    kept = [name for name, _ in journalled(path)]
    assert kept[: told + 1] == [f"{number:06}" for number in range(told + 1)]
    assert len(kept) <= told + 2
