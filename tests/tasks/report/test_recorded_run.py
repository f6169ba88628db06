"""From a recorded book through the backtester to figures, folder and page."""

from decimal import Decimal

import pytest

from engine.backtest.config import BacktestAgent, BacktestConfig
from engine.backtest.run import run
from engine.results.summary import summarise
from models.agents import AgentSpec, MarketSelector
from models.results import UNRESOLVED
from models.settings import Settings
from models.units import SECOND_NS, USD
from risk.limits import Limits
from store.results.runs import load_run, save_run
from store.tape.convert import read_recording
from tasks.report.render import render_report
from tests.tasks.report.test_markup import read

BOOK = "polymarket_btc_15m_book5_2026-02/book5_1hz.parquet"


@pytest.fixture(scope="module")
def result():
    """The market maker over the recording's first window and the beginning of the second."""
    tape = read_recording(Settings().floor_data_dir / BOOK)
    spec = AgentSpec(
        name="maker", strategy="market-maker", capital_usd=Decimal(500),
        markets=(MarketSelector(asset="BTC", timeframe="15m"),),
    )  # fmt: skip
    limits = Limits(spec.capital_e6, 20 * USD, 100 * USD, 200 * USD, 3)
    end_ns = tape.markets[0].end_ns + 120 * SECOND_NS
    return run(tape, BacktestConfig((BacktestAgent(spec, limits),), end_ns=end_ns))


def test_the_figures_are_those_of_the_runs_own_books(result):
    summary = summarise(result, period_s=60)
    total, windows = summary.total, result.tables["windows"]
    settled = windows["winner"] != UNRESOLVED
    assert settled.any()
    expected = int(windows["pnl_e6"][settled].sum())
    assert total.money.settled_pnl_e6 == expected
    assert sum(bucket.pnl_e6 for bucket in total.by_hour) == expected
    assert sum(bucket.pnl_e6 for bucket in total.by_time_left) == expected
    assert total.money.pnl_e6 == int(windows["pnl_e6"].sum())
    assert total.orders.fills == int(windows["fills"].sum()) > 0
    assert total.money.final_e6 == int(result.tables["equity"]["equity_e6"][-1])
    assert total.returns.observations == (result.end_ns - result.start_ns) // (60 * SECOND_NS)
    assert total.returns.sharpe is not None


def test_it_comes_back_from_its_folder_and_has_a_page(result, tmp_path):
    summary = summarise(result)
    page = render_report(result, summary)
    saved = load_run(save_run(tmp_path / "run", result, summary, page))
    assert saved.summary == summary
    assert summarise(saved.result) == summary
    shown = read(saved.report.read_text().removeprefix("<!doctype html>\n"))
    assert result.markets[0].slug in shown.words
