"""Reading logs: the last lines, new lines as they come, through rotation."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.logs import TAIL_BYTES, follow, last_lines, log_files
from models.errors import ConfigError

from .conftest import eventually


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path


def test_logs_of_one_or_all(home: Path) -> None:
    for name in ("redis", "prefect"):
        (home / "logs" / f"{name}.log").write_text("x\n")
    assert list(log_files(home, None)) == ["redis", "prefect"]
    assert list(log_files(home, "prefect")) == ["prefect"]


def test_unknown_process_and_missing_logs_are_clear_errors(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"'reddis'.*there are: postgres, redis"):
        log_files(home, "reddis")
    with pytest.raises(ConfigError, match="no logs in"):
        log_files(home, None)


@given(lines=st.lists(st.text("ab ü€", max_size=20), max_size=30), count=st.integers(1, 40))
def test_last_lines_are_the_last(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], count: int
) -> None:
    path = tmp_path_factory.mktemp("logs") / "a.log"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    assert last_lines(path, count) == lines[-count:]


def test_huge_log_is_not_read_whole(home: Path) -> None:
    path = home / "logs" / "redis.log"
    with path.open("wb") as file:
        file.seek(20 * TAIL_BYTES)
        file.write(b"\nthe end\n")
    assert last_lines(path, 1) == ["the end"]


class Following:
    def __init__(self, path: Path) -> None:
        self.lines: list[str] = []
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(path,))
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self, path: Path) -> None:
        def stopped() -> bool:
            self._ready.set()
            return self._stop.is_set()

        for _, line in follow({"redis": path}, stopped):
            self.lines.append(line)

    def end(self) -> None:
        self._stop.set()
        self._thread.join(10)


@pytest.fixture
def following(home: Path) -> "Callable[[], Following]":
    path = home / "logs" / "redis.log"
    path.write_text("old\n")
    made = Following(path)
    yield lambda: made
    made.end()


def test_following_shows_whole_new_lines_only(
    home: Path, following: "Callable[[], Following]"
) -> None:
    seen = following()
    with (home / "logs" / "redis.log").open("a") as file:
        file.write("one\ntw")
        file.flush()
        eventually("the first", lambda: seen.lines == ["one"])
        file.write("o\n")
        file.flush()
        eventually("the second, whole", lambda: seen.lines == ["one", "two"])


def test_following_survives_rotation(home: Path, following: "Callable[[], Following]") -> None:
    seen = following()
    path = home / "logs" / "redis.log"
    with path.open("a") as file:
        file.write("before\n")
    eventually("the line before", lambda: seen.lines == ["before"])
    path.rename(path.with_suffix(".log.1"))
    path.write_text("after\n")
    eventually("the line after", lambda: seen.lines == ["before", "after"])
