"""Policies at a session's start and while it runs: good files are taken up, wrong ones told."""

import asyncio
import os
from pathlib import Path

import pytest

from models.errors import ConfigError
from models.settings import Settings
from models.units import USD
from risk.gate import Gate
from risk.limits import Limits
from store.database import Database
from tasks.agent_files import load_agents
from tasks.policies import differences, load_policies, opening_policies, watch_policies

GOOD = "policies:\n- {type: TradeLimit, max_usd: 15}\n- {type: KillSwitch}\n"
OTHER = """policies:
- {type: TradeLimit, max_usd: 7}
- {type: OrderRate, per_second: 2, per_minute: 9}
"""
WRONG = "policies:\n- {type: TradeLimit, max_usd: -1}\n"


def settings_of(path: Path) -> Settings:
    return Settings(_env_file=None, risk_file=path)  # type: ignore[call-arg]


def write(path: Path, text: str) -> None:
    """Write the file with a stamp of its own, as if a while ago."""
    stamp = path.stat().st_mtime_ns + 1_000_000_000 if path.exists() else 10**18
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(stamp, stamp))


def test_the_shipped_policies_leave_every_shipped_agent_room_to_trade() -> None:
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    file = load_policies(settings)
    for spec in load_agents().values():
        limits = Limits.of(settings, spec)
        gate = Gate(file, limits, 1000 * USD)
        assert gate.trade_e6 == limits.risk_per_trade_e6, spec.name
        assert gate.agent_e6 >= limits.max_position_e6, spec.name


async def test_a_wrong_file_at_the_start_names_file_and_line(
    clean_postgres_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "risk.yaml"
    settings = settings_of(path)
    async with Database(clean_postgres_url, max_size=1) as database:
        with pytest.raises(ConfigError, match="there is no such file"):
            await opening_policies(settings, database)
        write(path, WRONG)
        with pytest.raises(ConfigError, match=r"^risk.yaml:2: TradeLimit: max_usd=-1"):
            await opening_policies(settings, database)
        # Once there was a good one, a session that starts goes on with it.
        write(path, GOOD)
        good = (await opening_policies(settings, database)).current()
        write(path, WRONG)
        policies = await opening_policies(settings, database)
        assert policies.current() == good
        assert "risk.yaml:2" in policies.fault


async def test_good_files_are_taken_up_and_wrong_ones_told_once(
    clean_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.policies.LOOK_S", 0.02)
    path = tmp_path / "risk.yaml"
    write(path, GOOD)
    settings = settings_of(path)
    adopted, told = [], []
    news = asyncio.Event()

    def tell(kind, detail) -> None:
        told.append((kind, dict(detail)))
        news.set()

    async def next_news() -> None:
        async with asyncio.timeout(20):
            await news.wait()
        news.clear()

    async with Database(clean_postgres_url, max_size=1) as database:
        policies = await opening_policies(settings, database)
        watch = asyncio.create_task(
            watch_policies(settings, database, policies, policies.current(), adopted.append, tell)
        )
        write(path, WRONG)
        await next_news()
        await asyncio.sleep(0.2)
        assert [kind for kind, _ in told] == ["policies_wrong"]
        assert told[0][1]["reason"].startswith("risk.yaml:2: TradeLimit: max_usd=-1")
        assert adopted == []
        write(path, OTHER)
        await next_news()
        assert told[1] == (
            "policies_changed",
            {
                "changed": [
                    "TradeLimit: max_usd 15 → max_usd 7",
                    "OrderRate: per_second 2, per_minute 9 is new",
                    "KillSwitch: thrown False is gone",
                ]
            },
        )
        assert [file.find("TradeLimit").max_usd for file in adopted] == [7]
        # A file that is gone is a wrong one.
        path.unlink()
        await next_news()
        assert "there is no such file" in told[2][1]["reason"]
        assert len(adopted) == 1
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


async def test_a_file_that_is_being_written_waits(
    clean_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a file may well be a good one, with half of the limits."""
    monkeypatch.setattr("tasks.policies.LOOK_S", 0.02)
    monkeypatch.setattr("tasks.policies.SETTLED_NS", 3600 * 10**9)
    path = tmp_path / "risk.yaml"
    write(path, GOOD)
    adopted = []
    async with Database(clean_postgres_url, max_size=1) as database:
        settings = settings_of(path)
        policies = await opening_policies(settings, database)
        watch = asyncio.create_task(
            watch_policies(
                settings, database, policies, policies.current(), adopted.append, lambda *_: None
            )
        )
        path.write_text(OTHER, encoding="utf-8")
        await asyncio.sleep(0.3)
        assert adopted == []
        write(path, OTHER)
        os.utime(path, ns=(10**18, 10**18 + 1))
        async with asyncio.timeout(20):
            while not adopted:
                await asyncio.sleep(0.02)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


def test_the_same_file_differs_in_nothing() -> None:
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    assert differences(load_policies(settings), load_policies(settings)) == []
