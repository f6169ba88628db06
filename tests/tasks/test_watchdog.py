import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import Any

import pytest

from tasks.watchdog import Verdict, Watchdog, boot_s, judge

HEALTHY: dict[str, Any] = {
    "now": 100.0,
    "beat": 99.9,
    "lapsed": False,
    "harmless": False,
    "stall_s": 10.0,
    "parent": 7,
    "born_of": 7,
}


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, None),
        ({"beat": 90.1}, None),
        ({"beat": 90.0}, Verdict.STALLED),
        ({"lapsed": True}, Verdict.LEASE_LAPSED),
        ({"lapsed": True, "harmless": True}, None),
        ({"lapsed": True, "harmless": True, "beat": 90.0}, Verdict.STALLED),
        ({"harmless": True, "parent": 1}, Verdict.ORPHANED),
        ({"parent": 1}, Verdict.ORPHANED),
        ({"parent": 1, "lapsed": True, "beat": 0.0}, Verdict.LEASE_LAPSED),
    ],
)
def test_judgement(change: dict[str, Any], verdict: Verdict | None) -> None:
    assert judge(**{**HEALTHY, **change}) is verdict


def wait_for_one(left: list[int]) -> None:
    """Wait as a blocked loop does, however busy the machine is."""
    give_up = time.monotonic() + 60
    while not left and time.monotonic() < give_up:
        time.sleep(0.02)


def test_a_lapsed_lease_ends_the_process_even_while_the_loop_is_blocked() -> None:
    left: list[int] = []
    watchdog = Watchdog(lease_until=boot_s() + 0.3, stall_s=60, leave=left.append)
    watchdog.start()
    wait_for_one(left)
    watchdog.stop()
    assert left == [Verdict.LEASE_LAPSED.value]


def test_a_suspended_process_may_outlive_its_lease_until_it_trades_again() -> None:
    left: list[int] = []
    watchdog = Watchdog(lease_until=boot_s() - 1, stall_s=60, leave=left.append)
    watchdog.harmless = True
    watchdog.start()
    time.sleep(0.8)
    assert left == []
    watchdog.harmless = False
    wait_for_one(left)
    watchdog.stop()
    assert left == [Verdict.LEASE_LAPSED.value]


def test_a_healthy_process_is_left_alone() -> None:
    left: list[int] = []
    watchdog = Watchdog(lease_until=boot_s() + 600, stall_s=600, leave=left.append)
    watchdog.start()
    time.sleep(0.6)
    watchdog.stop()
    assert left == []


def test_a_blocked_event_loop_ends_a_real_process() -> None:
    code = """
        import asyncio, time
        from tasks.watchdog import Watchdog, boot_s

        async def main():
            dog = Watchdog(lease_until=boot_s() + 600, stall_s=0.5)
            dog.start()
            dog.beat()
            time.sleep(60)

        asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], timeout=60, capture_output=True, check=False
    )
    assert done.returncode == Verdict.STALLED.value


def test_an_orphan_ends_itself(tmp_path: Any) -> None:
    marker = tmp_path / "child"
    child = (
        "import os, pathlib, time\n"
        "from tasks.watchdog import Watchdog, boot_s\n"
        "Watchdog(lease_until=boot_s() + 600, stall_s=600).start()\n"
        f"pathlib.Path({str(marker)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])",
        ]
    )
    deadline = time.monotonic() + 60
    while not (marker.exists() and marker.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pid = int(marker.read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while _runs(pid):
        assert time.monotonic() < deadline, "the orphan lives on"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] != "Z"
