"""`floor data` as people use it: its words, its exit codes, and what it leaves behind."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from console.cli import app
from models.errors import BadValue, ConfigError
from models.settings import Settings
from store.tape import open_tape

BOOKS = "polymarket_btc_15m_book5_2026-02"


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = Settings(_env_file=None).floor_data_dir  # type: ignore[call-arg]
    if not folder.is_dir():
        pytest.fail(f"recorded data is missing: {folder}; set FLOOR_DATA_DIR")
    monkeypatch.setenv("FLOOR_DATA_DIR", str(folder))
    return folder


def run(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["data", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout


def test_list_names_each_set_and_its_reader(recorded: Path) -> None:
    rows = {row["path"]: row["reader"] for row in json.loads(run("list", "--json"))}
    assert rows[BOOKS] == "book5"
    assert rows["polymarket_crypto_captures_2026-06"] == "captures"
    assert rows["quotes_load_2026-08-01"] == "quotes"
    assert rows["spot_binance_1m/ETHUSDT_1m_2026-03-23_2026-04-22.parquet"] == "bars"
    assert rows["reference_tables"] is None
    assert "book5" in run("list")


def test_a_recording_becomes_a_tape_that_tells_what_it_is(recorded: Path, tmp_path: Path) -> None:
    out = tmp_path / "books.tape"
    said = run("convert", recorded / BOOKS, "--out", out)
    assert "late_row: 14" in said
    facts = json.loads(run("info", out, "--json"))
    assert facts["rows"] == len(open_tape(out))
    assert facts["rows_by_kind"]["RESOLVED"] == 3
    assert facts["markets"] == 4
    assert facts["from"].startswith("2026-02-21T00:30:06")
    assert facts["reports"][0]["counts"]["late_row"] == 14
    assert "btc-updown-15m-1771633800" in run("info", out)
    assert "nothing was skipped" in run("check", out)
    assert json.loads(run("check", out, "--gap", 0.9, "--json", code=1))[0]["counts"]["gap"] > 100
    assert "late_row: 14" in run("check", recorded / BOOKS, code=1)

    run("convert", out, "--out", tmp_path / "books.parquet")
    run("convert", tmp_path / "books.parquet", "--out", tmp_path / "again.tape")
    assert (tmp_path / "again.tape").read_bytes() == out.read_bytes()

    part = tmp_path / "part.tape"
    moments = ("--start", "2026-02-21T00:50:00", "--end", "2026-02-21T00:55:00")
    run("convert", out, "--out", part, *moments)
    found = json.loads(run("info", part, "--json"))
    assert found["from"].startswith("2026-02-21T00:50:00.000")
    assert found["to"] < "2026-02-21T00:55"
    assert not list(tmp_path.glob(".*"))


def test_what_can_not_be_read_is_said_in_one_line(recorded: Path, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("hello")
    with pytest.raises(ConfigError, match="no reader knows this"):
        run("convert", tmp_path / "x.txt", "--out", tmp_path / "t")
    with pytest.raises(ConfigError, match="there is no such file"):
        run("check", tmp_path / "missing")
    with pytest.raises(ConfigError, match="only a tape can be exported"):
        run("convert", recorded / BOOKS, "--out", tmp_path / "x.parquet")
    with pytest.raises(BadValue, match="--volume 'some' is not one of"):
        run("convert", recorded / BOOKS, "--out", tmp_path / "t", "--volume", "some")
    with pytest.raises(ConfigError, match="is no tape"):
        run("info", tmp_path / "x.txt")
