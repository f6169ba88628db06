"""SIGTERM within real flow runs: they end in good order before Prefect's engine does."""

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
from store import state
from strategies import library
from tests.flows.terminated import FLOWS
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
@pytest.mark.timeout(1_200)
async def test_orders_are_gone_and_the_lease_is_back_when_prefect_calls_the_run_crashed(
    clean_postgres_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "create", lambda name, parameters: Eager(Eager.Params()))
    async with open_stage(clean_postgres_url, redis_url, tmp_path) as stage:
        program = start(stage)
        try:
            # A Prefect server and two flow runs take their time to start.
            await stage.until("orders rest", stage.resting, 500)
            await stage.until(
                "the collector is at work", lambda: state.get(stage.database, "collect")
            )
            began = time.monotonic()
            for name in FLOWS:
                os.kill(int((tmp_path / f"{name}.pid").read_text()), signal.SIGTERM)

            async def given_back() -> bool:
                lease = await stage.lease()
                return lease is not None and not lease.holder

            await stage.until("the lease is given back", given_back)
            assert time.monotonic() - began < 10
            assert await stage.resting() == []
            out, _ = await asyncio.to_thread(program.communicate, timeout=180)
        finally:
            program.kill()
            program.wait()
        ended = json.loads(out.strip().splitlines()[-1])
        assert ended["codes"] == [-signal.SIGTERM] * 2
        # Crashed is what the deployments' triggers wait for: they start the next sessions.
        crashed = [why for kind, why in ended["runs"] if kind == "CRASHED"]
        assert len(crashed) == 2 and all("termination signal" in why for why in crashed)
        await stage.assert_books_agree()
