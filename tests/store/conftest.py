"""What tests of the store share: an open database with one agent, and makers of rows."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from models.agents import AgentSpec, MarketSelector
from models.markets import FeeSchedule, Market, Outcome, Side
from models.orders import (
    Fill,
    Order,
    OrderRequest,
    OrderState,
    Role,
    TimeInForce,
    TradeStatus,
)
from models.units import SECOND_NS
from store import agents
from store.database import Database
from tests.store.sessions import Link

AGENT = "alpha"
START_NS = 1_800_000_000 * SECOND_NS


class Make:
    """Makes whole, valid values; every field can be given."""

    agent = AGENT

    @staticmethod
    def spec(name: str = AGENT, **fields: object) -> AgentSpec:
        given = {
            "strategy": "momentum",
            "markets": (MarketSelector(asset="BTC", timeframe="15m"),),
            "capital_usd": Decimal(200),
        }
        return AgentSpec(name=name, **(given | fields))  # type: ignore[arg-type]

    @staticmethod
    def market(n: int = 1, **fields: object) -> Market:
        given = {
            "condition_id": f"0xc{n}",
            "slug": f"btc-updown-15m-{n}",
            "question": "Bitcoin up or down?",
            "asset": "BTC",
            "timeframe": "15m",
            "up_token": f"{n}01",
            "down_token": f"{n}02",
            "start_ns": START_NS,
            "end_ns": START_NS + 900 * SECOND_NS,
            "tick_e4": 100,
            "min_size_e6": 5_000_000,
            "fee": FeeSchedule(70_000, 1, 200_000, of_notional=True),
        }
        return Market(**(given | fields))  # type: ignore[arg-type]

    @classmethod
    def order(
        cls,
        n: int = 1,
        market: Market | None = None,
        state: OrderState = OrderState.SIGNED,
        filled_e6: int = 0,
        note: str = "",
        **request: object,
    ) -> Order:
        market = market or cls.market()
        outcome = request.get("outcome", Outcome.UP)
        assert isinstance(outcome, Outcome)
        given = {
            "intent_id": f"intent-{n}",
            "agent": AGENT,
            "condition_id": market.condition_id,
            "token_id": market.token(outcome),
            "outcome": outcome,
            "side": Side.BUY,
            "price_e4": 5_500,
            "size_e6": 10_000_000,
            "tif": TimeInForce.GTC,
        }
        return Order(
            order_id=f"0x{n:064x}",
            request=OrderRequest(**(given | request)),  # type: ignore[arg-type]
            state=state,
            filled_e6=filled_e6,
            created_ns=START_NS + n * 1_000_000,
            updated_ns=START_NS + n * 1_000_000,
            payload={"salt": 2**62 + n, "signature": "0xsigned"},
            note=note,
        )

    @staticmethod
    def fill(
        order: Order,
        trade: str = "t1",
        size_e6: int = 4_000_000,
        cash_e6: int = 2_200_000,
        fee_e6: int = 70_000,
        status: TradeStatus = TradeStatus.MATCHED,
        matched_ns: int = START_NS + SECOND_NS,
    ) -> Fill:
        request = order.request
        return Fill(
            trade_id=trade,
            order_id=order.order_id,
            agent=request.agent,
            condition_id=request.condition_id,
            token_id=request.token_id,
            outcome=request.outcome,
            side=request.side,
            role=Role.TAKER,
            size_e6=size_e6,
            cash_e6=cash_e6,
            fee_e6=fee_e6,
            status=status,
            matched_ns=matched_ns,
        )


@pytest.fixture
def make() -> type[Make]:
    return Make


@pytest.fixture
async def db(clean_postgres_url: str) -> AsyncIterator[Database]:
    """An open database that knows the agents `alpha` and `beta`."""
    async with Database(clean_postgres_url, max_size=6) as database:
        await agents.sync_agents(database, [Make.spec(), Make.spec("beta")])
        yield database


@pytest.fixture
def link(db: Database) -> Link:
    return Link(db)
