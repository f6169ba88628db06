"""From a name to a tape, and what a run takes for fresh."""

import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.errors import ConfigError
from models.runs import RunSpec
from models.settings import Settings
from models.tape import DTYPES
from store.tape import open_tape, write_tape
from tasks.backtesting import Backtest, Progress, Stopped, unused
from tasks.recordings import find_recording, tape_of
from tasks.silences import LIVE_BOOK_S, LIVE_SPOT_S, ages_of
from tests.engine.backtest.tape_kit import TapeWriter
from tests.tasks.sweep_kit import settings_at, small_tape, sweep_spec

CSV = """timestamp,market_id,question,yes_price,volume,token_id
2026-02-21T00:30:00,btc-updown-15m-1771633800,Up or down?,0.52,100,1
2026-02-21T00:31:00,btc-updown-15m-1771633800,Up or down?,0.55,100,1
2026-02-21T00:32:00,btc-updown-15m-1771633800,Up or down?,oops,100,1
2026-02-21T00:33:00,btc-updown-15m-1771633800,Up or down?,0.61,100,1
"""


def run_on(data: object, **changes: Any) -> RunSpec:
    agent = {
        "name": "anna",
        "strategy": "market-maker",
        "markets": [{"asset": "BTC", "timeframe": "15m"}],
        "capital_usd": 500,
    }
    return RunSpec.model_validate({"data": str(data), "agents": [agent], **changes})


def test_a_recording_is_meant_by_path_name_part_or_reader(tmp_path: Path) -> None:
    folder = Settings(_env_file=None).floor_data_dir  # type: ignore[call-arg]
    settings = settings_at(tmp_path)
    books = folder / "polymarket_btc_15m_book5_2026-02"
    for data in (books, books.name, "15m_book5", "book5"):
        assert find_recording(str(data), settings) == books.resolve()
    with pytest.raises(ConfigError, match="may mean"):
        find_recording("spot_binance_1m/", settings_at(tmp_path))
    nowhere = settings.model_copy(update={"floor_data_dir": tmp_path / "none"})
    with pytest.raises(ConfigError, match="FLOOR_DATA_DIR"):
        find_recording("book5", nowhere)


def test_a_tape_is_made_once_and_again_when_its_recording_changes(tmp_path: Path) -> None:
    settings = settings_at(tmp_path / "home")
    file = tmp_path / "prices.csv"
    file.write_text(CSV)
    first = tape_of(run_on(file), settings)
    assert tape_of(run_on(file), settings) == first
    (report,) = open_tape(first).reports
    assert report.counts["malformed_row"] == 1
    assert "prices.csv" in str(report.samples["malformed_row"])
    file.write_text(CSV.replace("0.61", "0.62"))
    os.utime(file, ns=(1, 1))
    assert tape_of(run_on(file), settings) != first


def test_a_tape_is_taken_as_it_is(tmp_path: Path) -> None:
    tape = small_tape(tmp_path / "small.tape")
    assert tape_of(run_on(tape), settings_at(tmp_path / "home")) == tape
    assert not (tmp_path / "home").exists()


def test_fresh_is_as_live_unless_the_recording_speaks_less_often() -> None:
    writer = TapeWriter().spots(0, 60).book(0, {40: 1}, {60: 1})
    often = writer.level(1, 0, 40, 2).tape()
    assert ages_of(run_on("x"), often) == ages_of(run_on("x"), TapeWriter().spot(0, 1).tape())
    assert (LIVE_BOOK_S, LIVE_SPOT_S) == (30.0, 6.0)
    seldom = TapeWriter()
    for second in range(0, 800, 40):
        seldom.spot(second, 60_000).book(second, {40: 1}, {60: 1})
    ages = ages_of(run_on("x"), seldom.tape())
    assert (ages.book_s, ages.spot_s) == (80.0, 80.0)
    said = ages_of(run_on("x", max_spot_age_s=3, max_book_age_s=4), seldom.tape())
    assert (said.book_s, said.spot_s) == (4, 3)


def test_stopping_a_run_saves_nothing(tmp_path: Path) -> None:
    tape = small_tape(tmp_path / "small.tape")
    run = sweep_spec(tape).run

    def tell(progress: Progress) -> None:
        if progress.step == "running" and progress.done:
            work.stop()

    work = Backtest(run, settings_at(tmp_path / "home"), tell)
    work.load()
    with pytest.raises(Stopped):
        work.play()
    assert not (tmp_path / "home").exists()


def test_a_run_in_another_thread_tells_the_time_it_reached(tmp_path: Path) -> None:
    tape = small_tape(tmp_path / "small.tape")
    seen: list[Progress] = []
    work = Backtest(sweep_spec(tape).run, settings_at(tmp_path / "home"), seen.append)
    work.load()
    thread = threading.Thread(target=work.play)
    thread.start()
    thread.join()
    running = [one for one in seen if one.step == "running"]
    assert [one.done for one in running] == sorted(one.done for one in running)
    assert running[-1].done == running[-1].total == len(work.tape)
    assert running[-1].at_ns == int(work.tape.recv_ns[-1])


def test_an_empty_tape_and_unequal_sharers_are_refused(tmp_path: Path) -> None:
    whole = TapeWriter().spot(0, 1).tape()
    path = tmp_path / "empty.tape"
    write_tape(replace(whole, **{name: getattr(whole, name)[:0] for name in DTYPES}), path)
    with pytest.raises(ConfigError, match="its tape is empty"):
        Backtest(run_on(path), settings_at(tmp_path)).load()
    run = sweep_spec(small_tape(tmp_path / "small.tape")).run
    richer = run.agents[0].model_copy(update={"name": "bert", "capital_usd": 9})
    shared = run.model_copy(update={"agents": (*run.agents, richer), "shared_account": True})
    work = Backtest(shared, settings_at(tmp_path))
    work.load()
    with pytest.raises(ConfigError, match="share its limits"):
        work.play()


def test_names_of_runs_never_meet(tmp_path: Path) -> None:
    first = unused(tmp_path, "a")
    first.mkdir()
    second = unused(tmp_path, "a")
    assert second != first
    assert not second.exists()


def test_the_floors_policies_hold_in_a_run_that_names_them(tmp_path: Path) -> None:
    """A switch thrown in the file stops every order; a wrong file is named with its line."""
    tape = small_tape(tmp_path / "small.tape")
    settings = settings_at(tmp_path / "home")
    file = tmp_path / "risk.yaml"
    file.write_text("policies:\n- {type: KillSwitch, thrown: true}\n")
    placed = {}
    for policies in (None, str(file)):
        run = sweep_spec(tape).run.model_copy(update={"policies": policies})
        work = Backtest(run, settings, lambda progress: None)
        work.load()
        work.play()
        result = work.result
        assert result is not None
        assert result.spec["policies"] == policies
        placed[policies] = len(result.tables["orders"]["order_id"])
    assert placed[None] > 0
    assert placed[str(file)] == 0
    file.write_text("policies:\n- {type: KilSwitch}\n")
    work = Backtest(run, settings, lambda progress: None)
    work.load()
    with pytest.raises(ConfigError, match=r"risk.yaml:2: unknown policy 'KilSwitch'"):
        work.play()
