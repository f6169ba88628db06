"""A strategy that decides by what no recording holds; nobody can play it again."""

import time

from models.agents import AgentSpec
from strategies.base import Intents, Quote, Strategy, StrategyParams, View


class Wanton(Strategy):
    """Quotes by the machine's own clock, which a strategy must never look at."""

    name = "wanton"
    cadence_ms = 500

    def on_tick(self, view: View) -> Intents:
        cents = 2 + time.perf_counter_ns() // 1_000 % 7
        return Quote(cents * 100, 10_000_000, None, 0, reason="because")


def wanton(spec: AgentSpec) -> Strategy:
    return Wanton(StrategyParams())
