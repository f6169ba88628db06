"""Checkpoint files: the newest good one, whatever happened to the others."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import BadValue, StoreUnavailable
from store.checkpoints import CheckpointFiles


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def newest(folder: Path, agent: str = "alpha") -> Any:
    found = CheckpointFiles(folder, agent).newest()
    return None if found is None else found.state


def test_the_newest_comes_back_whole(tmp_path: Path) -> None:
    files = CheckpointFiles(tmp_path / "checkpoints", "alpha")
    assert files.newest() is None
    state = {"version": 2, "memory": {"high": 0.55, "seen": [1, 2, 3]}, "name": "größer"}
    files.write({"n": 1})
    files.write(state)
    found = files.newest()
    assert found is not None
    assert found.state == state
    assert found.saved_ns > 0
    assert files.damaged == []


def test_only_the_newest_stay(tmp_path: Path) -> None:
    files = CheckpointFiles(tmp_path, "alpha", keep=3)
    for n in range(7):
        files.write({"n": n})
    assert len(names(tmp_path)) == 3
    assert newest(tmp_path) == {"n": 6}
    with pytest.raises(BadValue, match="keep=0"):
        CheckpointFiles(tmp_path, "alpha", keep=0)


def test_agents_do_not_mix(tmp_path: Path) -> None:
    for agent in ("alpha", "alpha-2"):
        CheckpointFiles(tmp_path, agent, keep=1).write({"of": agent})
    assert newest(tmp_path, "alpha") == {"of": "alpha"}
    assert newest(tmp_path, "alpha-2") == {"of": "alpha-2"}
    (theirs,) = tmp_path.glob("alpha-2.*")
    theirs.rename(tmp_path / theirs.name.replace("alpha-2", "alpha"))
    files = CheckpointFiles(tmp_path, "alpha")
    found = files.newest()
    assert found is not None
    assert found.state == {"of": "alpha"}


def test_a_later_session_is_newer_than_one_that_writes_on(tmp_path: Path) -> None:
    stale, current = CheckpointFiles(tmp_path, "alpha"), CheckpointFiles(tmp_path, "alpha")
    stale.token, current.token = 3, 4
    current.write({"by": "current"})
    stale.write({"by": "stale"})
    assert newest(tmp_path) == {"by": "current"}


@given(where=st.floats(0, 1, exclude_max=True), flip=st.integers(0, 255), cut=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_damaged_one_is_named_and_the_one_before_it_counts(
    tmp_path_factory: pytest.TempPathFactory, where: float, flip: int, cut: bool
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    CheckpointFiles(folder, "alpha").write({"n": 1, "text": "the older"})
    CheckpointFiles(folder, "alpha").write({"n": 2, "text": "the newer"})
    path = folder / names(folder)[-1]
    good = path.read_bytes()
    at = int(where * len(good))
    spoilt = good[:at] if cut else good[:at] + bytes([good[at] ^ flip]) + good[at + 1 :]
    path.write_bytes(spoilt)
    files = CheckpointFiles(folder, "alpha")
    found = files.newest()
    assert found is not None
    if found.state["n"] == 2:
        # Damage in what does not matter: the state is checked to the byte.
        assert found.state == {"n": 2, "text": "the newer"}
        return
    assert found.state == {"n": 1, "text": "the older"}
    assert files.damaged == [f"{path.name}.damaged"]
    assert (folder / files.damaged[0]).read_bytes() == spoilt
    assert CheckpointFiles(folder, "alpha").damaged == []


def test_one_of_a_later_format_is_set_aside_not_misread(tmp_path: Path) -> None:
    CheckpointFiles(tmp_path, "alpha").write({"n": 1})
    (path,) = tmp_path.iterdir()
    first, _, body = path.read_bytes().partition(b"\n")
    head = json.loads(first) | {"format": 2}
    path.write_bytes(json.dumps(head).encode() + b"\n" + body)
    files = CheckpointFiles(tmp_path, "alpha")
    assert files.newest() is None
    assert len(files.damaged) == 1


def test_a_process_that_died_writing_leaves_nothing_that_counts(tmp_path: Path) -> None:
    files = CheckpointFiles(tmp_path, "alpha")
    files.write({"n": 1})
    (tmp_path / "alpha.999999999999-1.checkpoint.tmp").write_bytes(b'{"format":1')
    assert newest(tmp_path) == {"n": 1}
    assert files.damaged == []


def test_a_full_disk_is_said_and_costs_no_older_one(tmp_path: Path) -> None:
    """In a process of its own, whose files may not grow beyond 400 bytes."""
    code = f"""
import resource
from pathlib import Path
from models.errors import StoreUnavailable
from store.checkpoints import CheckpointFiles
files = CheckpointFiles(Path({str(tmp_path)!r}), "alpha")
files.write({{"n": 1}})
resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))
try:
    files.write({{"much": "x" * 500}})
except StoreUnavailable as error:
    print(error)
files.write({{"n": 2}})
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True
    )
    assert "checkpoint of alpha can't be written" in done.stdout
    assert "File too large; free the disk" in done.stdout
    assert newest(tmp_path) == {"n": 2}
    assert [name for name in names(tmp_path) if not name.endswith(".checkpoint")] == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="can't be written"):
        CheckpointFiles(tmp_path / "file" / "checkpoints", "alpha").write({})


def test_two_threads_may_write_at_once(tmp_path: Path) -> None:
    files = CheckpointFiles(tmp_path, "alpha", keep=4)
    errors: list[BaseException] = []

    def write() -> None:
        try:
            for n in range(20):
                files.write({"n": n})
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert newest(tmp_path) == {"n": 19}
