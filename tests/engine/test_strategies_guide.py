"""Every snippet of docs/strategies.md runs, in a live window over the real matching core."""

import re
from pathlib import Path

import pytest
from traders.world import START_S, World, make_market

from models.markets import Outcome, Side
from models.units import SECOND_NS, SHARE, USD
from strategies.base import INTENTS, Strategy

PAGE = Path(__file__).parents[2] / "docs" / "strategies.md"
TEXT = PAGE.read_text()


def snippets() -> dict[str, type[Strategy]]:
    """Run the page's snippets, one after the other as a reader would; return its strategies."""
    names: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(compile(code, str(PAGE), "exec"), names)
    return {
        kind.name: kind
        for kind in names.values()
        if isinstance(kind, type) and issubclass(kind, Strategy) and kind is not Strategy
    }


STRATEGIES = snippets()


async def played(strategy: Strategy) -> World:
    """A minute of a market that rises, trades and is resolved."""
    market = make_market(0, end_ns=(START_S + 60) * SECOND_NS)
    world = World(strategy, market, max_position_e6=400 * USD)
    await world.open()
    for second in range(56):
        await world.run(1, spot=68_000.0 + 10 * second)
        bid = 4900 + 100 * (second // 10)
        world.quote(bid, bid + 100)
        world.venue.take(market, market.up_token, Side.SELL, bid - 300, 120 * SHARE)
        world.quote(bid, bid + 100)
    await world.run(5)
    settling = world.spawn(world.trader.settle(market))
    world.venue.resolve(market, Outcome.UP)
    await world.run(6)
    assert settling.done()
    return world


@pytest.mark.parametrize("name", STRATEGIES)
async def test_the_pages_strategies_run_and_trade(name):
    kind = STRATEGIES[name]
    world = await played(kind(kind.Params()))
    assert world.trader.failures == {}
    assert set(world.refusals()) <= {"quote"}, "a quote may come up against the agent's limits"
    assert world.venue.submitted, "it does something"
    assert world.resting() == []
    assert world.trader.portfolio.cash_e6 == world.venue.exchange.balance("ours").cash_e6
    live = [one for one in world.store.conditions.values() if not one.state.over]
    assert live == []
    await world.close()


async def test_the_diary_hears_of_everything_and_remembers_it():
    diary = STRATEGIES["diary"](STRATEGIES["diary"].Params())
    await played(diary)
    assert set(diary.notes) == {
        "start", "tick", "timer", "trade", "fill", "cancel", "stop", "resolution",
    }  # fmt: skip
    again = STRATEGIES["diary"](STRATEGIES["diary"].Params())
    again.restore(diary.snapshot())
    assert again.notes == diary.notes[-100:]


def test_the_page_shows_every_intent_and_every_hook():
    for intent in INTENTS:
        assert re.search(rf"\b{intent.__name__}\(", TEXT), f"{intent.__name__} has no example"
    for hook in (name for name in vars(Strategy) if name.startswith(("on_", "snap", "rest"))):
        assert f"def {hook}(" in TEXT, f"{hook} has no example"
