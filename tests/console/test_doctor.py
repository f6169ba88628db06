"""The doctor: each verdict for its reason, a mend beside it, and never a traceback."""

import json
import shutil
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console import checks
from console.checks_running import FAIL_SKEW_S, WARN_SKEW_S, _skew, redis_server, venue
from console.findings import Finding, Verdict, guarded, ok
from models.errors import ConfigError
from models.settings import Settings

from .conftest import Floor

Usage = namedtuple("Usage", "total used free")


def verdicts(found: list[Finding]) -> list[Verdict]:
    return [finding.verdict for finding in found]


def test_floor_that_is_down_is_described_not_dumped(a_floor: Floor) -> None:
    result = a_floor.floor("doctor", "--json", check=False)
    found = {row["part"]: row for row in json.loads(result.stdout)}
    assert result.returncode == 0, "nothing is wrong, it only does not run"
    for part in ("floor", "database", "redis", "prefect", "venue"):
        assert found[part]["verdict"] == "warn"
        assert "not running" in found[part]["found"]
    assert found["ports"]["verdict"] == "ok"
    assert "Traceback" not in result.stdout + result.stderr


def test_wrong_settings_are_findings(a_floor: Floor) -> None:
    wrong = Floor(a_floor.home, a_floor.ports, {"SIM_SEED": "many", "LEASE_SECONDS": "0"})
    result = wrong.floor("doctor", check=False)
    assert result.returncode == 1
    assert "SIM_SEED='many'" in result.stdout
    assert "LEASE_SECONDS='0'" in result.stdout


def test_a_wrong_policy_file_is_a_finding_and_stops_the_start(
    a_floor: Floor, tmp_path: Path
) -> None:
    path = tmp_path / "limits.yaml"
    path.write_text("policies:\n- {type: TradeLimit, max_usd: 5}\n- {type: VaRLimit}\n")
    wrong = Floor(a_floor.home, a_floor.ports, {"RISK_FILE": str(path)})
    result = wrong.floor("doctor", "--json", check=False)
    (found,) = [row for row in json.loads(result.stdout) if row["part"] == "policies"]
    assert (result.returncode, found["verdict"]) == (1, "FAIL")
    assert found["found"].startswith("limits.yaml:3: unknown policy 'VaRLimit'")
    start = wrong.floor("up", check=False)
    assert start.returncode == 1
    assert (
        "error: limits.yaml:3: unknown policy 'VaRLimit'; did you mean 'VarLimit'" in start.stderr
    )
    assert not (a_floor.home / "supervisord.conf").exists(), "nothing was started"


def test_installed_packages_are_within_their_bounds() -> None:
    assert verdicts(checks.packages()) == [Verdict.OK]


@pytest.mark.parametrize(("name", "found"), [("fastapi", "0.151.0"), ("sqlalchemy", "2.1.9")])
def test_versions_that_break_the_server_are_found(
    monkeypatch: pytest.MonkeyPatch, name: str, found: str
) -> None:
    real = checks.version
    monkeypatch.setattr(checks, "version", lambda asked: found if asked == name else real(asked))
    (finding,) = checks.packages()
    assert finding.verdict is Verdict.FAIL
    assert finding.found.startswith(f"{name} {found} is outside ")
    assert "make setup" in finding.mend


def test_old_python_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    assert verdicts(checks.python()) == [Verdict.FAIL]


@pytest.mark.parametrize(
    ("free_mb", "verdict"),
    [(100, Verdict.FAIL), (499, Verdict.FAIL), (500, Verdict.WARN), (5_000, Verdict.OK)],
)
def test_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free_mb: int, verdict: Verdict
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, free_mb * 2**20))
    assert verdicts(checks.disk(tmp_path)) == [verdict]


def test_open_env_file_with_a_secret_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    monkeypatch.setattr(checks, "ENV_FILE", file)
    assert verdicts(checks.env_file()) == [Verdict.OK], "none is fine"
    file.write_text("REDIS_URL=redis://:pw@h\nOTHER=1\n")
    file.chmod(0o644)
    assert {each.found for each in checks.env_file()} == {
        "OTHER is not a variable of ours",
        "holds secrets and others may read it",
    }
    file.chmod(0o600)
    file.write_text("REDIS_URL=redis://:pw@h\n")
    assert verdicts(checks.env_file()) == [Verdict.OK]


def test_key_is_shown_as_its_address_only() -> None:
    key = "0x" + "1b" * 32
    (finding,) = checks.credentials(Settings(polymarket_private_key=key))
    assert finding.verdict is Verdict.OK
    assert "0x" in finding.found
    assert "1b1b" not in finding.found


@pytest.mark.parametrize(
    ("liquidity", "verdict"),
    [("auto", Verdict.WARN), ("replay", Verdict.FAIL), ("model", Verdict.OK)],
)
def test_missing_recording(tmp_path: Path, liquidity: str, verdict: Verdict) -> None:
    settings = Settings(floor_data_dir=tmp_path, sim_liquidity=liquidity)
    assert verdicts(checks.recording(settings)) == [verdict]


def test_recorded_data_is_there() -> None:
    assert verdicts(checks.recording(Settings())) == [Verdict.OK]


def test_server_that_is_away_is_a_finding(a_floor: Floor) -> None:
    settings = a_floor.settings
    a_floor.home.mkdir()
    for found in (redis_server(settings), venue(settings)):
        (finding,) = found
        assert finding.verdict is Verdict.FAIL
        assert "does not answer" in finding.found
        assert "floor logs" in finding.mend


@given(skew=st.floats(-1e6, 1e6), uncertain=st.floats(0, 5))
def test_clock_is_judged_with_the_benefit_of_the_doubt(skew: float, uncertain: float) -> None:
    verdict = _skew("venue", "it", skew, uncertain).verdict
    if abs(skew) <= uncertain:
        assert verdict is Verdict.OK
    if abs(skew) > FAIL_SKEW_S + uncertain:
        assert verdict is Verdict.FAIL
    if verdict is Verdict.WARN:
        assert WARN_SKEW_S < abs(skew) <= FAIL_SKEW_S + uncertain + 1e-6


def test_check_that_breaks_is_itself_a_finding() -> None:
    def broken() -> list[Finding]:
        raise RuntimeError("first\nsecond")

    def refused() -> list[Finding]:
        raise ConfigError("one\ntwo")

    (finding,) = guarded("part", broken)
    assert finding.verdict is Verdict.FAIL
    assert "RuntimeError first second" in finding.found
    assert [each.found for each in guarded("part", refused)] == ["one", "two"]
    assert guarded("part", lambda: [ok("part", "fine")]) == [ok("part", "fine")]
