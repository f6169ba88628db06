"""Runs the steps of `flows.trade` under a real Prefect server and prints how each ended, as JSON.

A program of its own, because Prefect's test server leaves sockets behind that would fail
whichever test the garbage collector finds them in.
"""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from flows.trade import settle_window, trade_window
from models.journal import WindowResult
from models.markets import FeeSchedule, Market
from models.units import SECOND_NS
from tasks.session import WindowFailed

MARKET = Market(
    condition_id="0xm",
    slug="btc-updown-15m-1800000000",
    question="Bitcoin up or down?",
    asset="BTC",
    timeframe="15m",
    up_token="1",
    down_token="2",
    start_ns=1_800_000_000 * SECOND_NS,
    end_ns=1_800_000_900 * SECOND_NS,
    tick_e4=100,
    min_size_e6=5_000_000,
    fee=FeeSchedule(70_000),
)


class Session:
    """A session whose strategy raises, and whose window then settles."""

    spec = SimpleNamespace(name="anna")

    async def trade(self, market: Market) -> None:
        raise WindowFailed("on_tick raised\n\nTraceback: no idea")

    async def settle(self, market: Market) -> WindowResult:
        return WindowResult(
            agent="anna",
            condition_id=market.condition_id,
            slug=market.slug,
            winner="Up",
            bought_e6=2_000_000,
            sold_e6=0,
            fees_e6=0,
            payout_e6=5_000_000,
            fills=1,
            opened_ns=1,
            closed_ns=2,
        )


@flow(name="steps")
async def steps() -> list[list[Any]]:
    session: Any = Session()
    ends = []
    for step in (trade_window, settle_window):
        state = await step(session, MARKET, return_state=True)
        ends.append([state.name, state.message or ""])
    return ends


async def main() -> None:
    ends = await steps()
    async with get_client() as client:
        artifacts = await client.read_artifacts()
    print(json.dumps({"ends": ends, "pages": [one.data for one in artifacts]}))


if __name__ == "__main__":
    with (
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        asyncio.run(main())
