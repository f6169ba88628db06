"""The traders' worker lets its sessions end in good order before it goes."""

import subprocess
import sys
import time
from pathlib import Path

from models.settings import ROOT

PROGRAM = """
import asyncio, json, subprocess, sys, time
from flows.traders import end_sessions

GOOD = "import signal, sys, time; signal.signal(15, lambda *_: (open(sys.argv[1], 'w').close(), " \\
    "sys.exit(0))); print(flush=True); time.sleep(600)"
DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"

def child(code, *words):
    process = subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE)
    process.stdout.readline()
    return process

good = child(GOOD, sys.argv[1])
began = time.monotonic()
left_of_good = asyncio.run(end_sessions(60))
deaf = child(DEAF)
left_of_deaf = asyncio.run(end_sessions(0.5))
deaf.kill()
print(json.dumps([left_of_good, left_of_deaf, good.wait(), asyncio.run(end_sessions(0.5))]))
"""


def test_sessions_are_asked_and_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(ended)],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().splitlines()[-1] == "[0, 1, 0, 0]"
    assert ended.exists(), "it was killed rather than asked"
    assert time.monotonic() - began < 60, "what has ended is not waited for"
