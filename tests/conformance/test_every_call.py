"""Every public call of the two older clients: what reads is read, what else there is is named.

The calls that place and cancel are played in test_older_clients.py; here both read what
py-clob-client-v2 left behind: a resting order and some fills.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from py_clob_client import clob_types as retired_types
from py_clob_client.client import ClobClient as RetiredClient
from py_clob_client_v2 import clob_types as v2_types
from py_clob_client_v2.client import ClobClient

from .conftest import OWNER

KEY = "0x" + bytes(OWNER.key).hex()
BUILDER = "0x" + "11" * 32
DAY = "2026-11-20"


@dataclass
class Scene:
    """Both clients of one owner, and the truth they must read."""

    v2: ClobClient
    retired: RetiredClient
    stage: Any
    order_id: str
    trade_ids: set[str]

    @property
    def up(self) -> str:
        return self.stage.up

    @property
    def both(self) -> list[str]:
        return [self.stage.up, self.stage.down]

    @property
    def condition(self) -> str:
        return self.stage.window.condition_id

    @property
    def best(self) -> tuple[float, float]:
        bid, ask = self.stage.sim.world.best(self.stage.window)
        return bid / 10_000, ask / 10_000

    @property
    def mid(self) -> float:
        return sum(self.best) / 2

    @property
    def cash(self) -> str:
        return str(self.stage.sim.world.bank.cash(OWNER.address))

    @property
    def held(self) -> str:
        held = self.stage.sim.world.exchange.shares(OWNER.address, self.up)[0]
        assert held > 0
        return str(held)


@pytest.fixture
async def scene(stage: Any) -> AsyncIterator[Scene]:
    logging.getLogger("py_clob_client_v2").setLevel(logging.CRITICAL)

    def begin() -> Scene:
        v2 = ClobClient(stage.url + "/clob", 137, key=KEY)
        v2.set_api_creds(v2.create_or_derive_api_key())
        retired = RetiredClient(stage.url + "/clob", 137, key=KEY)
        retired.set_api_creds(retired.derive_api_key())
        order = v2_types.OrderArgs(token_id=stage.up, price=0.05, size=10, side="BUY")
        placed = v2.create_and_post_order(order)
        buy = v2_types.MarketOrderArgs(
            token_id=stage.up, amount=10, side="BUY", order_type=v2_types.OrderType.FOK
        )
        bought = v2.create_and_post_market_order(buy, order_type=v2_types.OrderType.FOK)
        return Scene(v2, retired, stage, placed["orderID"], set(bought["tradeIDs"]))

    scene = await asyncio.to_thread(begin)
    await stage.advance(6)
    yield scene


Check = Callable[[Scene, Any], Any]
"""Calls a client and returns whether the answer is the truth."""


def close(text: Any, value: float) -> bool:
    return float(text) == pytest.approx(value, abs=1e-9)


def page(answer: Any, scene: Scene) -> bool:
    found = [row for row in answer["data"] if row["condition_id"] == scene.condition]
    return len(found) == 1 and answer["next_cursor"] == "LTE=" and answer["count"] >= 1


def ids(rows: Any) -> set[str]:
    return {row["id"] for row in rows}


def books(answer: Any, scene: Scene, read: Callable[[Any, str], Any]) -> bool:
    return {read(book, "asset_id") for book in answer} == set(scene.both)


def prices(answer: Any, scene: Scene) -> bool:
    bid, ask = scene.best
    return close(answer[scene.up]["BUY"], bid) and close(answer[scene.up]["SELL"], ask)


BOTH: dict[str, Check] = {
    "get_ok": lambda s, c: c.get_ok() == "OK",
    "get_server_time": lambda s, c: c.get_server_time() == s.stage.clock.now_ns() // 10**9,
    "get_address": lambda s, c: c.get_address() == OWNER.address,
    "derive_api_key": lambda s, c: c.derive_api_key() == c.creds,
    "get_api_keys": lambda s, c: c.get_api_keys()["apiKeys"] == [c.creds.api_key],
    "get_closed_only_mode": lambda s, c: c.get_closed_only_mode() == {"closed_only": False},
    "get_tick_size": lambda s, c: c.get_tick_size(s.up) == "0.01",
    "get_neg_risk": lambda s, c: c.get_neg_risk(s.up) is False,
    "get_midpoint": lambda s, c: close(c.get_midpoint(s.up)["mid"], s.mid),
    "get_spread": lambda s, c: close(c.get_spread(s.up)["spread"], s.best[1] - s.best[0]),
    "get_price": lambda s, c: close(c.get_price(s.up, "BUY")["price"], s.best[0]),
    "get_last_trade_price": lambda s, c: 0 < float(c.get_last_trade_price(s.up)["price"]) < 1,
    "get_market": lambda s, c: c.get_market(s.condition)["condition_id"] == s.condition,
    "get_markets": lambda s, c: page(c.get_markets(), s),
    "get_simplified_markets": lambda s, c: page(c.get_simplified_markets(), s),
    "get_sampling_markets": lambda s, c: page(c.get_sampling_markets(), s),
    "get_sampling_simplified_markets": lambda s, c: page(c.get_sampling_simplified_markets(), s),
    "get_market_trades_events": lambda s, c: {
        row["market"]["condition_id"] for row in c.get_market_trades_events(s.condition)
    } == {s.condition},
    "get_order": lambda s, c: c.get_order(s.order_id)["original_size"] == "10",
    "get_trades": lambda s, c: ids(c.get_trades()) == s.trade_ids,
    "get_notifications": lambda s, c: c.get_notifications() == [],
    "get_readonly_api_keys": lambda s, c: c.get_readonly_api_keys() == {"readonlyApiKeys": []},
    "drop_notifications": lambda s, c: c.drop_notifications() == "OK",
    "calculate_market_price": lambda s, c: close(
        c.calculate_market_price(s.up, "BUY", 1, "FOK"), s.best[1]
    ),
}  # fmt: skip
RETIRED: dict[str, Check] = BOTH | {
    "get_fee_rate_bps": lambda s, c: c.get_fee_rate_bps(s.up) == 1000,
    "create_or_derive_api_creds": lambda s, c: c.create_or_derive_api_creds() == c.creds,
    "get_order_book": lambda s, c: c.get_order_book(s.up).asset_id == s.up,
    "get_order_book_hash": lambda s, c: len(c.get_order_book_hash(c.get_order_book(s.up))) == 40,
    "get_order_books": lambda s, c: books(
        c.get_order_books([retired_types.BookParams(t) for t in s.both]), s, getattr
    ),
    "get_midpoints": lambda s, c: close(
        c.get_midpoints([retired_types.BookParams(s.up)])[s.up], s.mid
    ),
    "get_spreads": lambda s, c: close(
        c.get_spreads([retired_types.BookParams(s.up)])[s.up], s.best[1] - s.best[0]
    ),
    "get_prices": lambda s, c: prices(
        c.get_prices([retired_types.BookParams(s.up, side) for side in ("BUY", "SELL")]), s
    ),
    "get_last_trades_prices": lambda s, c: [
        row["token_id"] for row in c.get_last_trades_prices([retired_types.BookParams(s.up)])
    ] == [s.up],
    "get_orders": lambda s, c: ids(c.get_orders()) == {s.order_id},
    "get_balance_allowance": lambda s, c: c.get_balance_allowance(
        retired_types.BalanceAllowanceParams(retired_types.AssetType.COLLATERAL)
    )["balance"] == s.cash,
    "update_balance_allowance": lambda s, c: c.update_balance_allowance(
        retired_types.BalanceAllowanceParams(retired_types.AssetType.COLLATERAL)
    ) is not None,
    "is_order_scoring": lambda s, c: c.is_order_scoring(
        retired_types.OrderScoringParams(s.order_id)
    ) == {"scoring": False},
    "are_orders_scoring": lambda s, c: c.are_orders_scoring(
        retired_types.OrdersScoringParams([s.order_id])
    ) == {s.order_id: False},
    "post_heartbeat": lambda s, c: bool(c.post_heartbeat("")["heartbeat_id"]),
}  # fmt: skip
V2: dict[str, Check] = BOTH | {
    "get_version": lambda s, c: c.get_version() == 2,
    "get_fee_rate_bps": lambda s, c: c.get_fee_rate_bps(s.up) in (0, 700, 1000),
    "get_fee_exponent": lambda s, c: c.get_fee_exponent(s.up) == 1,
    "create_or_derive_api_key": lambda s, c: c.create_or_derive_api_key() == c.creds,
    "get_clob_market_info": lambda s, c: c.get_clob_market_info(s.condition)["fd"]["r"] == 0.07,
    "get_order_book": lambda s, c: c.get_order_book(s.up)["asset_id"] == s.up,
    "get_order_books": lambda s, c: books(
        c.get_order_books([v2_types.BookParams(t) for t in s.both]), s, dict.__getitem__
    ),
    "get_midpoints": lambda s, c: close(c.get_midpoints([v2_types.BookParams(s.up)])[s.up], s.mid),
    "get_spreads": lambda s, c: close(
        c.get_spreads([v2_types.BookParams(s.up)])[s.up], s.best[1] - s.best[0]
    ),
    "get_prices": lambda s, c: prices(
        c.get_prices([v2_types.BookParams(s.up, side) for side in ("BUY", "SELL")]), s
    ),
    "get_last_trades_prices": lambda s, c: [
        row["token_id"] for row in c.get_last_trades_prices([v2_types.BookParams(s.up)])
    ] == [s.up],
    "get_prices_history": lambda s, c: all(
        0 < point["p"] < 1 for point in c.get_prices_history(
            v2_types.PricesHistoryParams(market=s.up, interval="1h", fidelity=1)
        )["history"]
    ),
    "get_open_orders": lambda s, c: ids(c.get_open_orders()) == {s.order_id},
    "get_trades_paginated": lambda s, c: ids(
        c.get_trades_paginated(v2_types.TradeParams(market=s.condition))["trades"]
    ) == s.trade_ids,
    "get_balance_allowance": lambda s, c: c.get_balance_allowance(
        v2_types.BalanceAllowanceParams(v2_types.AssetType.CONDITIONAL, s.up)
    )["balance"] == s.held,
    "update_balance_allowance": lambda s, c: c.update_balance_allowance(
        v2_types.BalanceAllowanceParams(v2_types.AssetType.COLLATERAL)
    ) is not None,
    "is_order_scoring": lambda s, c: c.is_order_scoring(
        v2_types.OrderScoringParams(s.order_id)
    ) == {"scoring": False},
    "are_orders_scoring": lambda s, c: c.are_orders_scoring(
        v2_types.OrdersScoringParams([s.order_id])
    ) == {s.order_id: False},
    "get_pre_migration_orders": lambda s, c: c.get_pre_migration_orders() == [],
    "get_builder_trades": lambda s, c: c.get_builder_trades(
        v2_types.BuilderTradeParams(builder_code=BUILDER)
    )["trades"] == [],
    "get_builder_api_keys": lambda s, c: list(c.get_builder_api_keys()) == [],
    "get_current_rewards": lambda s, c: c.get_current_rewards() == [],
    "get_raw_rewards_for_market": lambda s, c: c.get_raw_rewards_for_market(s.condition) == [],
    "get_reward_percentages": lambda s, c: c.get_reward_percentages() == {},
    "get_earnings_for_user_for_day": lambda s, c: c.get_earnings_for_user_for_day(DAY) == [],
    "get_total_earnings_for_user_for_day": lambda s, c: (
        c.get_total_earnings_for_user_for_day(DAY) == []
    ),
    "get_user_earnings_and_markets_config": lambda s, c: (
        c.get_user_earnings_and_markets_config(DAY) == []
    ),
    "post_heartbeat": lambda s, c: bool(c.post_heartbeat("")["heartbeat_id"]),
}  # fmt: skip
LOCAL = {
    "set_api_creds", "assert_level_1_auth", "assert_level_2_auth", "assert_builder_auth",
    "can_builder_auth", "clear_tick_size_cache", "create_order", "create_market_order",
    "get_collateral_address", "get_conditional_address", "get_exchange_address",
    "get_order_book_hash",
}  # fmt: skip
"""Nothing is sent, or only what another call of the table sends."""
ELSEWHERE = {
    "cancel", "cancel_order", "cancel_orders", "cancel_all", "cancel_market_orders", "post_order",
    "post_orders", "create_and_post_order", "create_and_post_market_order", "create_api_key",
    "delete_api_key",
}  # fmt: skip
"""Changes something: played in test_older_clients.py, by the official client or below."""
ABSENT = {
    "create_readonly_api_key", "delete_readonly_api_key", "validate_readonly_api_key",
    "create_builder_api_key", "revoke_builder_api_key", "get_builder_trades",
}  # fmt: skip
"""Keys of other kinds than a trader's: the simulator hands none out. (The trades of a builder need
one of the retired client, and none of the newer.)"""


@pytest.mark.parametrize("name", ["retired", "v2"])
async def test_the_older_clients_read_the_truth_with_every_call_that_reads(
    scene: Scene, name: str
) -> None:
    client, table = (scene.retired, RETIRED) if name == "retired" else (scene.v2, V2)

    def read() -> list[str]:
        return [call for call, check in table.items() if not check(scene, client)]

    assert await asyncio.to_thread(read) == []


@pytest.mark.parametrize(("client", "table"), [(RetiredClient, RETIRED), (ClobClient, V2)])
def test_no_public_call_is_left_out(client: type, table: dict[str, Check]) -> None:
    public = {name for name in dir(client) if name[0] != "_" and callable(getattr(client, name))}
    assert public - set(table) - LOCAL - ELSEWHERE - ABSENT == set()
    assert set(table) <= public


async def test_a_deleted_key_is_of_no_use_and_derived_anew(scene: Scene) -> None:
    def scenario() -> None:
        assert scene.v2.delete_api_key() is not None
        with pytest.raises(Exception, match="Unauthorized/Invalid api key"):
            scene.v2.get_open_orders()
        scene.v2.set_api_creds(scene.v2.create_api_key())
        assert ids(scene.v2.get_open_orders()) == {scene.order_id}

    await asyncio.to_thread(scenario)
