"""The shipped strategies over the recorded 15-minute books, from first row to settlement."""

import pytest
from tape_kit import CASH_E6, agent, column, final_cash_e6

from engine.backtest import BacktestConfig, run
from engine.backtest.layout import NO_ASK
from models.fills import FillModel
from models.results import RunResult
from models.settings import Settings
from models.tape import Tape
from store.tape.readers.book5 import read_book5

FOLDER = "polymarket_btc_15m_book5_2026-02"
MAKER = {"half_spread_ticks": 1, "size_shares": 20, "max_inventory_shares": 100}


@pytest.fixture(scope="module")
def recorded() -> Tape:
    path = Settings(_env_file=None).floor_data_dir / FOLDER
    assert path.is_dir(), f"{path} is missing; set FLOOR_DATA_DIR to the recorded data"
    return read_book5(path)


def windows_add_up(result: RunResult) -> None:
    """Cash at the end is capital, settled windows' results and what open ones have cost."""
    rows = result.tables["windows"]
    open_ones = rows["winner"] == 2
    settled = int(rows["pnl_e6"][~open_ones].sum())
    spent = rows["sold_e6"] - rows["bought_e6"] - rows["fees_e6"]
    assert final_cash_e6(result) == CASH_E6 + settled + int(spent[open_ones].sum())
    fills = result.tables["fills"]
    sign = [1 if side else -1 for side in fills["side"].tolist()]
    flows = sum(s * cash for s, cash in zip(sign, fills["cash_e6"].tolist(), strict=True))
    payouts = int(rows["payout_e6"].sum())
    assert final_cash_e6(result) == CASH_E6 + flows - int(fills["fee_e6"].sum()) + payouts


def test_the_market_maker_earns_no_less_the_better_its_place_in_the_queue(recorded):
    """More of the same quotes fill where nobody is ahead; makers pay no fee under any model."""
    shares = {}
    for model in (FillModel.BACK, FillModel.FRONT):
        config = BacktestConfig((agent("market-maker", **MAKER),), fill_model=model)
        result = run(recorded, config)
        windows_add_up(result)
        assert result.failures == {}
        assert all(column(result, "fills", "maker"))
        assert sum(column(result, "fills", "fee_e6")) == 0
        assert column(result, "windows", "winner") == [1, 1, 0, 2], "the fourth was cut off"
        mids = column(result, "fills", "mid_e4")
        assert sum(0 < mid < NO_ASK for mid in mids) > 0.9 * len(mids)
        shares[model] = sum(column(result, "fills", "size_e6"))
    assert shares[FillModel.FRONT] > shares[FillModel.BACK] > 0


def test_momentum_pays_its_fees_and_both_agents_share_the_tape(recorded):
    taker = agent("momentum", "momo", threshold_pct=0.05, lookback_s=60)
    result = run(recorded, BacktestConfig((taker, agent("market-maker", "maker", **MAKER))))
    windows_add_up_for_all = result.tables["windows"]
    fills = result.tables["fills"]
    mine = fills["agent"] == 0
    assert 1 <= mine.sum() <= 4, "one entry a window, where the book let it in"
    assert (fills["fee_e6"][mine] > 0).all()
    assert not fills["maker"][mine].any()
    assert set(windows_add_up_for_all["agent"].tolist()) == {0, 1}
    alone = run(recorded, BacktestConfig((taker,)))
    windows_add_up(alone)
