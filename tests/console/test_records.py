"""What is written down about processes, and that it never points at a stranger."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.records import (
    FloorRecord,
    Identity,
    LaunchRecord,
    forget,
    launches,
    read_floor,
    read_launch,
    run_folder,
    write_floor,
    write_launch,
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    run_folder(tmp_path).mkdir()
    return tmp_path


def test_identity_finds_the_process_while_it_lives() -> None:
    process = subprocess.Popen(["sleep", "60"])
    identity = Identity.of(process.pid)
    found = identity.process()
    assert found is not None
    assert found.pid == process.pid
    process.kill()
    process.wait()
    assert identity.process() is None


def test_ended_but_uncollected_process_counts_as_gone() -> None:
    process = subprocess.Popen(["sleep", "60"])
    identity = Identity.of(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert identity.process() is None
    process.wait()


def test_reused_id_is_somebody_else() -> None:
    mine = Identity.of(os.getpid())
    assert mine.process() is not None
    assert Identity(mine.pid, mine.created - 60).process() is None


def test_records_come_back_as_written(home: Path) -> None:
    launch = LaunchRecord(7, 1.5, "waiting", "life", "waits for x", [1.0, 2.0])
    floor = FloorRecord(8, 2.5, "life", "/run/s.sock", foreground=True)
    write_launch(home, "redis", launch)
    write_floor(home, floor)
    assert read_launch(home, "redis") == launch
    assert read_floor(home) == floor
    assert dict(launches(home)) == {"redis": launch}
    forget(home)
    assert read_floor(home) is None
    assert dict(launches(home)) == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)


@given(content=st.binary(max_size=50) | JSON.map(lambda value: json.dumps(value).encode()))
def test_garbage_is_no_record(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    home = tmp_path_factory.mktemp("home")
    run_folder(home).mkdir()
    (run_folder(home) / "redis.json").write_bytes(content)
    (home / "floor.json").write_bytes(content)
    assert read_launch(home, "redis") is None
    assert read_floor(home) is None


def test_record_with_unknown_keys_is_of_another_version(home: Path) -> None:
    (home / "floor.json").write_text(json.dumps({"pid": 1, "created": 1.0, "colour": "red"}))
    assert read_floor(home) is None


def test_record_with_missing_keys_is_of_another_version(home: Path) -> None:
    (home / "floor.json").write_text(json.dumps({"pid": 1, "created": 1.0}))
    assert read_floor(home) is None
