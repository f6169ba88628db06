"""The page about indicators says what is so: its code runs, its tables are complete."""

import re
from pathlib import Path

import pytest
from stage.view import StagedView

from engine.indicators import Indicators
from models.markets import Outcome
from models.units import SECOND_NS, SHARE, SPOT_USD
from strategies import features
from strategies.features import Indicator

PAGE = (Path(__file__).parents[3] / "docs" / "indicators.md").read_text("utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_strategy_on_the_page_trades():
    names: dict = {}
    exec(SNIPPETS[0], names)
    strategy = names["Crossing"](names["Crossing"].Params(fast_s=2, slow_s=10))
    indicators = Indicators(strategy.indicators())
    market = indicators.market("0xm", "BTC")
    start = StagedView().now_ns

    class Reading(StagedView):
        def indicator(self, name, part="value"):
            return market.value(name, part)

        def window(self, name, seconds):
            return market.window(name, self.now_ns - round(seconds * SECOND_NS), self.now_ns)

    view = Reading()
    assert strategy.on_tick(view) is None
    for second in range(70):
        view = Reading(elapsed_s=100.0 + second)
        indicators.on_spot("BTC", start + second * SECOND_NS, (68_000 + second) * SPOT_USD)
        bid = 4900 + second % 3 * 10
        ts_ns = start + second * SECOND_NS
        market.on_book(ts_ns, bid, (100 + second) * SHARE, 5000, 100 * SHARE)
    place = strategy.on_tick(view)
    assert place.outcome is Outcome.UP


@pytest.mark.parametrize("snippet", SNIPPETS[1:])
def test_other_code_on_the_page_runs(snippet):
    exec(snippet, {})


def test_every_indicator_is_on_the_page_with_what_it_takes():
    rows = dict(re.findall(r"^\| `(\w+)\([^|]*\| ([a-z, ]+) \|", PAGE, re.MULTILINE))
    kinds = {
        name: kind
        for name in features.__all__
        if isinstance(kind := getattr(features, name), type)
        and issubclass(kind, Indicator)
        and kind is not Indicator
    }
    assert rows.keys() == kinds.keys()
    for name, kind in kinds.items():
        assert set(rows[name].split(", ")) == kind.SOURCES
