"""Telling the dead from the living: a lease is taken early only from a process that is gone."""

import subprocess
import sys

import pytest

from tasks.holders import is_dead, process_name

NAME_OF_A_CHILD = (
    "from tasks.holders import process_name; print(process_name(), flush=True); input()"
)


@pytest.fixture
def child() -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", NAME_OF_A_CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_this_process_lives() -> None:
    assert not is_dead(process_name())


def test_a_process_is_dead_as_soon_as_it_was_killed(child: "subprocess.Popen[str]") -> None:
    with child:
        assert child.stdout is not None
        name = child.stdout.readline().strip()
        assert not is_dead(name)
        child.kill()
        # Not waited for: what nobody has reaped yet no longer runs either.
        child.stdout.read()
        for _ in range(10_000):
            if is_dead(name):
                break
        assert is_dead(name)
        child.wait()
        assert is_dead(name)


def test_a_later_process_with_the_same_id_is_another() -> None:
    place, pid, birth = process_name().split(":")
    assert is_dead(f"{place}:{pid}:{int(birth) + 1}")


@pytest.mark.parametrize("holder", ["", "elsewhere:1:1", "by hand", "a:b:c"])
def test_what_can_not_be_known_is_not_declared_dead(holder: str) -> None:
    assert not is_dead(holder)
    place = process_name().split(":")[0]
    assert not is_dead(f"{place}:{holder}")


def test_a_host_says_nothing_of_another_hosts_processes(
    child: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hosts on one machine, as in the tests, or two machines of one name: the lease decides."""
    with child:
        assert child.stdout is not None
        name = child.stdout.readline().strip()
        child.kill()
        child.wait()
    assert is_dead(name)
    monkeypatch.setenv("HOST_NAME", "elsewhere")
    assert not is_dead(name)
    assert process_name().startswith("elsewhere-")
