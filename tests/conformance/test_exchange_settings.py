"""Rules the venue leaves open are settings, and reach the exchange a client trades on."""

from pathlib import Path
from typing import Any

import pytest
from polymarket.errors import RequestRejectedError

from engine.matching.types import ExchangeConfig, FeeRounding, SelfTrade
from models.fills import FillModel
from models.settings import Settings
from venue.simulator.config import config_from_settings

from .test_official_client import items


def configured(tmp_path: Path, **given: Any) -> Any:
    settings = Settings(_env_file=None, floor_home=tmp_path, **given)  # type: ignore[call-arg]
    return config_from_settings(settings)


@pytest.mark.parametrize("mode", list(FeeRounding))
def test_the_fees_rounding_is_chosen_by_name(tmp_path: Path, mode: FeeRounding) -> None:
    config = configured(tmp_path, sim_fee_rounding=mode.name.lower())
    assert config.exchange.fee_rounding is mode


@pytest.mark.parametrize("mode", list(SelfTrade))
def test_meeting_oneself_is_chosen_by_name(tmp_path: Path, mode: SelfTrade) -> None:
    assert configured(tmp_path, sim_self_trade=mode.name).exchange.self_trade is mode


@pytest.mark.parametrize("model", list(FillModel))
def test_the_fill_model_is_chosen_by_name(tmp_path: Path, model: FillModel) -> None:
    assert configured(tmp_path, fill_model=model.value.upper()).fill_model is model


@pytest.mark.parametrize("delay_ms", [0, 50, 150, 250, 500])
def test_the_taker_delay_is_a_setting(tmp_path: Path, delay_ms: int) -> None:
    assert configured(tmp_path, sim_taker_delay_ms=delay_ms).taker_delay_ms == delay_ms


def test_the_defaults_are_the_cores(tmp_path: Path) -> None:
    assert configured(tmp_path).exchange == ExchangeConfig()


@pytest.mark.parametrize(
    "wrong", [{"sim_fee_rounding": "sideways"}, {"sim_self_trade": "x"}, {"fill_model": "best"}]
)
def test_a_name_nobody_knows_is_an_error(tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="Input should be"):
        configured(tmp_path, **wrong)


async def test_a_client_that_meets_itself_is_treated_as_the_setting_says(make_stage: Any) -> None:
    stage = await make_stage(exchange=ExchangeConfig(self_trade=SelfTrade.CANCEL_RESTING))
    client = await stage.client()
    world, window = stage.sim.world, stage.window_at(3)
    world.withdrawn(window, world.now())
    world._trading.add(window.condition_id)
    up, down = window.market.up_token, window.market.down_token
    await client.place_limit_order(asset_id=up, price="0.40", size="10", side="BUY")
    kept = await client.place_limit_order(asset_id=down, price="0.60", size="10", side="BUY")
    assert [order.id for order in await items(client.list_open_orders())] == [kept.order_id]
    assert await items(client.list_account_trades()) == []
    with pytest.raises(RequestRejectedError, match="crosses book"):
        await client.place_limit_order(
            asset_id=up, price="0.40", size="10", side="BUY", post_only=True
        )
    await client.close()
    await stage.sim.close()
