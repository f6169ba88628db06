"""`floor drill` as people type it: what it lists, refuses and keeps."""

import json
import os
import time
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner, Result

from console.drill import drill_app
from console.drill_kept import keep, newest
from console.drill_views import soak_json, soak_report
from console.local_programs import LocalPrograms
from console.records import (
    FloorRecord,
    Identity,
    LaunchRecord,
    run_folder,
    write_floor,
    write_launch,
)
from console.supervisor import Supervisor, spawn
from models.errors import BadValue, ConfigError, NotReady
from tasks.drilling.catalogue import DRILLS
from tasks.drilling.report import DrillReport, DrillResult
from tasks.drilling.soak import SoakReport
from tests.console.conftest import eventually

PASSED = DrillResult("kill-trader", "SIGKILL", again_s=8.0, target_s=20.0, cash_gap_e6=0)
FAILED = DrillResult("drain", "halted", problems=("2 orders were left",))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in {"FLOOR_HOME": str(tmp_path), "TRADING_MODE": "sim"}.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def drill(*words: str) -> Result:
    return CliRunner().invoke(drill_app, words)


def up(home: Path) -> None:
    """Write down a floor whose supervisor is this very process."""
    me = Identity.of(os.getpid())
    write_floor(home, FloorRecord(me.pid, me.created, "one", str(home / "none.sock"), False))


def test_the_list_names_every_drill_and_what_only_a_test_can_do(home: Path) -> None:
    shown = drill("list")
    assert shown.exit_code == 0
    assert all(name in shown.output for name in DRILLS)
    assert "no drill: dns" in shown.output
    rows = json.loads(drill("list", "--json").output)
    assert [row["name"] for row in rows] == list(DRILLS)
    assert all(row["target_s"] > 0 and row["about"] for row in rows)


@pytest.mark.parametrize("mode", ["paper", "live"])
def test_nothing_is_struck_where_the_market_is_real(
    home: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    up(home)
    monkeypatch.setenv("TRADING_MODE", mode)
    if mode == "live":
        monkeypatch.setenv("POLYMARKET_PRIVATE_KEY", "0x" + "11" * 32)
        monkeypatch.setenv("LIVE_CONFIRMATION", "I understand that this trades real money")
    for words in (["kill-trader"], ["all"], ["soak", "--hours", "0.1"]):
        refused = drill(*words).exception
        assert isinstance(refused, ConfigError)
        assert f"TRADING_MODE={mode}" in str(refused)
        assert "TRADING_MODE=sim" in str(refused)


def test_a_floor_that_is_not_up_is_told_with_what_to_do(home: Path) -> None:
    refused = drill("kill-trader").exception
    assert isinstance(refused, NotReady)
    assert "floor up" in str(refused)


def test_an_unknown_fault_of_a_soak_is_told_before_anything_is_struck(home: Path) -> None:
    up(home)
    refused = drill("soak", "--faults", "kill-tradr").exception
    assert isinstance(refused, BadValue)
    assert "kill-trader" in str(refused)


def test_an_unknown_drill_is_refused(home: Path) -> None:
    assert drill("kill-tradr").exit_code == 2


# --- what is kept -------------------------------------------------------------------------------


def test_the_last_report_is_shown_and_its_verdict_is_the_exit_code(home: Path) -> None:
    missing = drill("report").exception
    assert isinstance(missing, NotReady)
    page = keep(home, DrillReport("2026-11-21T20:00:00Z", (PASSED,)))
    assert "kill-trader" in page.read_text()
    good = drill("report")
    assert good.exit_code == 0
    assert "passed" in good.output
    time.sleep(0.01)
    keep(home, DrillReport("2026-11-21T20:00:00Z", (PASSED, FAILED)))
    bad = drill("report", "--json")
    assert bad.exit_code == 1
    assert json.loads(bad.output)["results"][1]["problems"] == ["2 orders were left"]


def test_reports_of_one_second_stand_beside_each_other(home: Path) -> None:
    pages = {keep(home, DrillReport("2026-11-21T20:00:00Z", (PASSED,))) for _ in range(3)}
    assert len(pages) == 3


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"began": 1}', '{"results": [{}]}'])
def test_a_damaged_report_is_passed_over(home: Path, damage: str) -> None:
    report = DrillReport("2026-11-21T20:00:00Z", (PASSED, FAILED))
    keep(home, report)
    later = home / "drills" / "2027.json"
    later.write_text(damage)
    os.utime(later, (time.time() + 60, time.time() + 60))
    assert newest(home) == report


@pytest.mark.parametrize("broken", [[], ["31 s: sent twice: 0x1"]])
def test_a_soak_passes_only_if_everything_held_all_along(home: Path, broken: list[str]) -> None:
    soaked = SoakReport(seed=3, hours=1.0, results=[PASSED], broken=broken, slopes={"ops": 1.5})
    keep(home, soak_report(soaked))
    shown = drill("report")
    assert shown.exit_code == (1 if broken else 0)
    assert soaked.passed is not bool(broken)
    as_json = soak_json(soaked)
    assert as_json["passed"] is not bool(broken)
    assert (as_json["seed"], as_json["violations"]) == (3, broken)
    assert as_json["facts"]["memory"] == "ops +2 MB/h"


# --- programs -----------------------------------------------------------------------------------


def test_programs_are_known_by_their_records_and_only_while_they_live(home: Path) -> None:
    up(home)
    run_folder(home).mkdir()
    me = Identity.of(os.getpid())
    write_launch(home, "ops", LaunchRecord(me.pid, me.created, "running", "one", starts=[5.0, 9.0]))
    write_launch(home, "redis", LaunchRecord(me.pid, me.created, "waiting", "one", starts=[7.0]))
    write_launch(home, "prefect", LaunchRecord(me.pid, me.created - 60, "running", "one"))
    programs = LocalPrograms(home)
    assert programs.process("ops") == psutil.Process()
    assert programs.started("ops") == 9.0
    assert programs.process("redis") is None, "it waits for what it needs"
    assert programs.process("prefect") is None, "its process id is another's now"
    assert programs.process("simulator") is None
    assert programs.started("simulator") == 0.0
    with pytest.raises(NotReady, match="supervisord"):
        programs.stop("ops")
    with pytest.raises(NotReady, match="supervisord"):
        programs.start("ops")


def test_programs_are_stopped_and_started_through_a_real_supervisor(home: Path) -> None:
    run_folder(home).mkdir()
    configuration = home / "supervisord.conf"
    configuration.write_text(
        f"[unix_http_server]\nfile={home}/s.sock\nchmod=0600\n"
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory="
        "supervisor.rpcinterface:make_main_rpcinterface\n"
        f"[supervisord]\nnodaemon=true\nsilent=true\nlogfile={home}/d.log\n"
        f"pidfile={home}/d.pid\n" + ("user=root\n" if os.geteuid() == 0 else "") +
        "[program:slow]\nstartsecs=0\nstopwaitsecs=20\ncommand="
        "/bin/sh -c \"trap 'sleep 0.5; exit 0' TERM; while :; do sleep 0.05; done\"\n"
    )  # fmt: skip
    daemon = spawn(configuration, home / "d.out", dict(os.environ), None)
    try:
        me = Identity.of(daemon.pid)
        write_floor(home, FloorRecord(me.pid, me.created, "one", f"{home}/s.sock", False))
        supervisor = Supervisor(f"{home}/s.sock")
        eventually("it serves", lambda: state_of(supervisor) == "RUNNING", 60)
        programs = LocalPrograms(home)
        programs.stop("slow")
        assert state_of(supervisor) == "STOPPING"
        programs.start("slow")  # waits until it has stopped
        eventually("it runs again", lambda: state_of(supervisor) == "RUNNING", 60)
        programs.start("slow")  # runs already: nothing to do
        with pytest.raises(NotReady, match="refuses stopProcess"):
            programs.stop("unknown")
    finally:
        daemon.terminate()
        daemon.wait(30)


def state_of(supervisor: Supervisor) -> str:
    try:
        return supervisor.states()[0].state
    except NotReady:
        return ""
