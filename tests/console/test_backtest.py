"""`floor backtest` and `floor sweep` as people use them: words, exit codes, what they leave."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from console.cli import app
from console.run_progress import Bar
from models.settings import ROOT, Settings
from store.results.runs import load_run
from tasks.backtesting import Progress
from tests.tasks.sweep_kit import small_tape, sweep_raw

BOOKS = "polymarket_btc_15m_book5_2026-02"
SHORT = ("--end", "2026-02-21T00:46")


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_tape(tmp_path_factory.mktemp("tape") / "small.tape")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = Settings(_env_file=None).floor_data_dir  # type: ignore[call-arg]
    if not folder.is_dir():
        pytest.fail(f"recorded data is missing: {folder}; set FLOOR_DATA_DIR")
    monkeypatch.setenv("FLOOR_DATA_DIR", str(folder))
    monkeypatch.setenv("FLOOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "home"


def floor(*words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def momentum(tape: Path, *words: object) -> tuple[object, ...]:
    return ("backtest", "--strategy", "momentum", "--data", tape, "--timeframe", "5m",
            "--param", "lookback_s=20", "--param", "threshold_pct=0.05", *words)  # fmt: skip


def test_a_run_file_over_a_recorded_set_by_name(home: Path) -> None:
    run = ROOT / "deployments/runs/two-agents-btc-15m.yaml"
    said = floor("backtest", run, *SHORT).stdout
    assert "market-maker-btc-15m" in said
    assert "quick-momentum" in said
    (folder,) = (home / "runs").iterdir()
    assert str(folder / "report.html") in said
    saved = load_run(folder)
    assert saved.report is not None
    assert saved.result.spec["order_latency"] == "sampled:60ms:0.5"
    assert saved.result.agents == ("market-maker-btc-15m", "quick-momentum")
    assert saved.summary.total.orders.count > 0
    # The recording was made into a tape once; the second run maps it.
    (kept,) = (home / "tapes").iterdir()
    before = kept.stat().st_mtime_ns
    again = json.loads(floor("backtest", run, *SHORT, "--json").stdout)
    assert kept.stat().st_mtime_ns == before
    money = saved.summary.total.money.model_dump(mode="json")
    assert again["summary"]["total"]["money"] == money
    assert again["folder"] != str(folder)


def test_options_say_all_that_a_file_can(tape: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    words = momentum(
        tape, "--out", out, "--seed", 3, "--capital", 250, "--fill-model", "front",
        "--feed-latency", 0, "--order-latency", "constant:5ms", "--json",
    )  # fmt: skip
    told = json.loads(floor(*words).stdout)
    assert told["folder"] == str(out)
    assert told["failures"] == {}
    spec = load_run(out).result.spec
    assert (spec["seed"], spec["fill_model"]) == (3, "front")
    assert (spec["feed_latency"], spec["order_latency"]) == ("0", "constant:5ms")
    (agent,) = spec["agents"]
    assert agent["parameters"] == {"lookback_s": 20, "threshold_pct": 0.05}
    assert agent["limits"]["capital_e6"] == 250_000_000
    said = floor(*words, code=2)
    assert "exists; choose another name, or add --overwrite" in said.stderr
    floor(*words, "--overwrite")


RUN: dict[str, Any] = {
    "data": "x",
    "agents": [
        {
            "name": "anna", "strategy": "momentum", "capital_usd": 5,
            "markets": [{"asset": "BTC", "timeframe": "15m"}],
        }
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fil_model": "back"}, "unknown key 'fil_model'; did you mean 'fill_model'?"),
        ({"start": "yesterday"}, "start='yesterday': 'yesterday' is not a time"),
        ({"agents": []}, "agents=[]"),
        ({"agents": ["nobody"]}, "no agent 'nobody'"),
        (
            {"agents": [{**RUN["agents"][0], "parameters": {"lookback_s": 1, "x": 2}}]},
            "anna: momentum: unknown parameter 'x'",
        ),
        ({"agents": [{**RUN["agents"][0], "markets": [{"asset": "BTC"}]}]},
         "key 'agents.0.markets.0.timeframe' is missing"),
        ({"feed_latency": "fast"}, "latency 'fast': write 0, constant:50ms"),
        ({"data": "polymarket_btc_15m_book5_2025"}, f"did you mean '{BOOKS}'"),
        ({"data": "BTCUSDT"}, "may mean spot_binance_1m/BTCUSDT"),
        ({"data": BOOKS, "start": "2026-03-01"}, "has no BTC 15m window between 2026-03-01"),
    ],
)  # fmt: skip
def test_a_wrong_run_is_refused_with_what_would_be_right(
    tmp_path: Path, home: Path, change: dict[str, Any], said: str
) -> None:
    file = tmp_path / "run.yaml"
    data = {} if "data" in change or "feed_latency" not in change else {"data": BOOKS}
    file.write_text(yaml.safe_dump({**RUN, **data, **change}))
    result = floor("backtest", file, code=2)
    assert said in result.stderr
    assert result.stderr.count("Traceback") == 0
    assert all(line.startswith("error: ") for line in result.stderr.strip().splitlines())
    assert not (home / "runs").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--strategy", "momentum"), "--data SET_OR_PATH"),
        (("--data", BOOKS), "--strategy NAME or --agent NAME"),
        (("--data", BOOKS, "--strategy", "momentun"), "did you mean 'momentum'?"),
        (("--data", BOOKS, "--strategy", "momentum", "-p", "lookback"), "write NAME=VALUE"),
        (("--data", BOOKS, "--agent", "nobody"), "no agent 'nobody'"),
    ],
)
def test_words_that_say_too_little_are_refused(words: tuple[str, ...], said: str) -> None:
    assert said in floor("backtest", *words, code=2).stderr


MINUTES = "BTCUSDT_1m_2026-03-23"
HOUR = ("--start", "2026-03-25", "--end", "2026-03-25T01:00")


@pytest.mark.parametrize("step", ["reading", "running", "saving"])
def test_ctrl_c_leaves_nothing_half_written(
    tape: Path, home: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    pressed = []

    def press(self: Bar, reached: Progress) -> None:
        if reached.step == step and (reached.total or step == "saving"):
            pressed.append(reached)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Bar, "show", press)
    # Minutes are made into a tape window by window, which can be stopped in the middle.
    words = momentum(Path(MINUTES), *HOUR) if step == "reading" else momentum(tape)
    result = floor(*words, code=130)
    assert pressed
    assert "stopped; nothing was saved" in result.stderr
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_a_strategy_that_raises_is_told_and_its_report_kept(
    tape: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from strategies.momentum import Momentum

    def on_tick(self: Momentum, view: object) -> None:
        raise RuntimeError("no idea")

    monkeypatch.setattr(Momentum, "on_tick", on_tick)
    result = floor(*momentum(tape), code=1)
    assert "momentum failed: RuntimeError: no idea" in result.stdout


def test_a_sweep_from_its_file_and_again(tape: Path, tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(sweep_raw(tape)))
    said = floor("sweep", file, "--trials", 3).stdout
    assert "6 parameter sets tried, 0 failed" in said
    assert "fold 2: lookback_s=" in said
    assert "out of sample: P&L" in said
    told = json.loads(floor("sweep", file, "--trials", 3, "--json").stdout)
    assert told["tried"] == told["resumed"] == 6
    assert Path(told["report"]).is_file()
    assert set(told["folds"][0]["parameters"]) == {"lookback_s", "threshold_pct"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"samplr": "tpe"}, "did you mean 'sampler'?"),
        ({"sampler": "genetic"}, "sampler='genetic'"),
        ({"objectives": ["pnl", "sharpe"], "sampler": "tpe"}, "need sampler nsga2"),
        ({"screen": 100, "sampler": "tpe"}, "a screen needs sampler grid or random"),
        ({"space": {"threshold_pct": [99]}}, "threshold_pct=99"),
        ({"run": "missing.yaml"}, "missing.yaml: can't be read"),
        ({"dask": "tcp://127.0.0.1:1"}, "no scheduler answers"),
    ],
)
def test_a_wrong_sweep_is_refused(
    tape: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], said: str
) -> None:
    monkeypatch.setattr("tasks.sweeping.cluster.CONNECT_S", 0.5)
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump({**sweep_raw(tape), **change}))
    assert said in floor("sweep", file, code=2).stderr


def test_ctrl_c_keeps_what_a_sweep_has_done(
    tape: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(sweep_raw(tape)))
    show = Bar.show

    def press(self: Bar, reached: Progress) -> None:
        if reached.done == 2:
            signal.raise_signal(signal.SIGINT)
        show(self, reached)

    monkeypatch.setattr(Bar, "show", press)
    assert "goes on" in floor("sweep", file, "--trials", 3, code=130).stderr
    monkeypatch.setattr(Bar, "show", show)
    assert json.loads(floor("sweep", file, "--trials", 3, "--json").stdout)["resumed"] == 2


def test_the_example_files_are_right() -> None:
    from tasks.spec_files import load_run as run_file
    from tasks.spec_files import load_sweep

    for path in (ROOT / "deployments/runs").glob("*.yaml"):
        (load_sweep if path.name.startswith("sweep-") else run_file)(path)
