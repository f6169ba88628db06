"""The page about backtests: its Python runs, its YAML is right, its commands exist."""

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from console.cli import app
from models.settings import ROOT
from tasks.spec_files import load_run, load_sweep

PAGE = (ROOT / "docs" / "backtesting.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("FLOOR_HOME", str(tmp_path))
    (code,) = [text for kind, text in BLOCKS if kind == "python"]
    exec(compile(code, "docs/backtesting.md", "exec"), {})
    assert "US dollars" in capsys.readouterr().out


def test_its_files_are_right(tmp_path: Path) -> None:
    run, sweep = [text for kind, text in BLOCKS if kind == "yaml"]
    (tmp_path / "two-agents.yaml").write_text(run)
    (tmp_path / "sweep.yaml").write_text(sweep)
    assert len(load_run(tmp_path / "two-agents.yaml").agents) == 2
    found = load_sweep(tmp_path / "sweep.yaml")
    assert found.searched.name == "quick-momentum"
    assert set(yaml.safe_load(sweep)["space"]) == set(found.space)


@pytest.mark.parametrize("command", ["backtest", "sweep"])
def test_its_words_are_those_of_the_command(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    told = CliRunner().invoke(app, [command, "--help"]).stdout
    lines = [line for line in PAGE.splitlines() if line.startswith(f"floor {command}")]
    assert lines
    for option in {word for line in lines for word in re.findall(r"--[a-z-]+", line)}:
        assert option in told
