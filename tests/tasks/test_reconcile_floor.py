"""What reconciliation remembers, tells and leaves alone."""

import time
from collections.abc import AsyncIterator

import pytest

from models.errors import StoreUnavailable
from models.markets import Outcome, Side
from models.orders import Order, OrderRequest, OrderState
from models.units import SECOND_NS
from store import agents, leases, state
from store.database import Database
from store.reserve import Reserve
from tasks.agent_files import find_agent
from tasks.reconcile_floor import (
    COMPARED,
    IN_DOUBT_S,
    LOOK_BACK_S,
    OPENING_CASH,
    Look,
    _in_doubt,
    _since_s,
    mend,
    news,
    note_comparison,
    return_leaks,
)
from tasks.reconciliation import Difference
from tests.tasks.risk_rows import add_market, add_order, window
from tests.tasks.risk_stage import AGENTS

GHOST = Difference("ghost_order", "0x1", "live", "not open")
CASH = Difference("cash", "account", "0 e6", "5 e6")


@pytest.fixture
async def database(clean_postgres_url: str) -> AsyncIterator[Database]:
    async with Database(clean_postgres_url, max_size=2) as opened:
        yield opened


async def events(database: Database) -> int:
    return len(await database.fetch("SELECT * FROM system_events"))


async def test_a_difference_that_lasts_is_told_once(database: Database) -> None:
    assert await news(database, [GHOST]) == [GHOST]
    assert await news(database, [GHOST]) == []
    assert await news(database, [GHOST, CASH]) == [CASH]
    assert await events(database) == 2
    assert await news(database, []) == []
    assert await news(database, [GHOST]) == [GHOST]


async def test_cash_counts_as_moved_only_when_nothing_else_differs(database: Database) -> None:
    await state.put(database, OPENING_CASH, 1_000)
    seen = Look((), (), {}, 5)
    assert await mend(database, [GHOST, CASH], seen) == []
    assert await state.get(database, OPENING_CASH) == 1_000
    (done,) = await mend(database, [CASH], seen)
    assert "moved outside" in done
    assert await state.get(database, OPENING_CASH) == 1_005


async def test_trades_are_compared_from_before_the_last_comparison(database: Database) -> None:
    now_s = int(time.time())
    assert abs(await _since_s(database) - (now_s - LOOK_BACK_S)) <= 2
    await note_comparison(database)
    assert abs(await _since_s(database) - (now_s - LOOK_BACK_S)) <= 5
    # After two days of absence the trades of these days are compared too.
    await state.put(database, COMPARED, (now_s - 172_800) * SECOND_NS)
    assert await _since_s(database) == now_s - 172_800 - LOOK_BACK_S


@pytest.mark.parametrize(
    ("order_state", "age_s", "doubt"),
    [
        (OrderState.SIGNED, 1, True),
        (OrderState.SENT, 1, True),
        (OrderState.UNKNOWN, 1, True),
        (OrderState.UNKNOWN, IN_DOUBT_S + 1, False),
        (OrderState.LIVE, 1, False),
    ],
)
def test_orders_in_doubt_belong_to_their_session(
    order_state: OrderState, age_s: int, doubt: bool
) -> None:
    request = OrderRequest("i", "a", "0xm", "up", Outcome.UP, Side.BUY, 5_000, 5_000_000)
    order = Order("0x1", request, order_state, updated_ns=0)
    assert _in_doubt(order, age_s * SECOND_NS) is doubt


async def test_room_that_dead_sessions_hold_is_returned_and_noted(
    database: Database, redis_url: str
) -> None:
    await agents.sync_agents(database, [find_agent(name) for name in AGENTS])
    maker, momentum = AGENTS
    market = await add_market(database, window(1))
    await add_order(database, maker, market, Outcome.UP, 0.40, 20)
    async with Reserve(redis_url) as reserve:
        await reserve.rebuild({maker: 30_000_000, momentum: 7_000_000, "gone": 5_000_000})
        lease = await leases.acquire(database, momentum, "here", 60)
        assert lease is not None
        found = await return_leaks(database, reserve)
        # Who runs is left alone; what is in the books stays held: 20 shares at 40 cents and more.
        assert {leak.agent for leak in found} == {maker, "gone"}
        held = await reserve.used()
        assert 8_000_000 <= held[maker] < 9_000_000
        assert (held[momentum], held["gone"]) == (7_000_000, 0)
        assert await events(database) == 2
        assert await return_leaks(database, reserve) == []
        await leases.release(database, lease)
        assert [leak.agent for leak in await return_leaks(database, reserve)] == [momentum]


async def test_without_redis_no_leak_is_looked_for(database: Database) -> None:
    async with Reserve("redis://:x@127.0.0.1:1/0") as reserve:
        with pytest.raises(StoreUnavailable):
            await return_leaks(database, reserve)
