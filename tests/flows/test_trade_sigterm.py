"""SIGTERM within a real flow run: the session ends in good order before Prefect's engine does."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.settings import ROOT
from strategies import library
from tests.flows.terminated import PID_FILE
from tests.tasks.eager import Eager
from tests.tasks.session_kit import Stage, open_stage


def start(stage: Stage) -> "subprocess.Popen[str]":
    """Start a Prefect server and a flow run that trades."""
    environment = stage.environment()
    with (stage.settings.floor_home / "program.log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.flows.terminated"],
            cwd=ROOT,
            env={key: one for key, one in environment.items() if not key.startswith("PREFECT_")},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )


@pytest.mark.system
@pytest.mark.timeout(600)
async def test_orders_are_gone_and_the_lease_is_back_when_prefect_calls_the_run_crashed(
    clean_postgres_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "create", lambda name, parameters: Eager(Eager.Params()))
    async with open_stage(clean_postgres_url, redis_url, tmp_path) as stage:
        program = start(stage)
        try:
            await stage.until("orders rest", stage.resting)
            began = time.monotonic()
            os.kill(int((tmp_path / PID_FILE).read_text()), signal.SIGTERM)

            async def given_back() -> bool:
                lease = await stage.lease()
                return lease is not None and not lease.holder

            await stage.until("the lease is given back", given_back)
            assert time.monotonic() - began < 10
            assert await stage.resting() == []
            out, _ = await asyncio.to_thread(program.communicate, timeout=120)
        finally:
            program.kill()
            program.wait()
        ended = json.loads(out.strip().splitlines()[-1])
        assert ended["code"] == -signal.SIGTERM
        # Crashed is what the deployment's trigger waits for: it starts the next session.
        (why,) = (why for kind, why in ended["runs"] if kind == "CRASHED")
        assert "termination signal" in why
        await stage.assert_books_agree()
