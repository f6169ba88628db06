"""A strategy that is watched: every call of a hook and what it wanted is told."""

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from engine.asking import MOST_INTENTS
from models.events import MarketResolved, TradePrint
from models.orders import Fill, Order
from strategies.base import INTENTS, Intents, Strategy, View
from strategies.features.spec import Feature

Told = Callable[[View, str, tuple[str, ...]], None]
"""Takes the view, the hook's name and the intents as text."""


class Observed(Strategy):
    """Passes everything on to another strategy and its answers back.

    It has every hook, so that a window asks each of them; hooks that the other does not have
    answer nothing.
    """

    name = "observed"

    def __init__(self, inner: Strategy, tell: Told) -> None:
        super().__init__(inner.params)
        self.name = inner.name  # type: ignore[misc]
        self.cadence_ms = inner.cadence_ms  # type: ignore[misc]
        self._inner = inner
        self._tell = tell

    def indicators(self) -> Mapping[str, Feature]:
        return self._inner.indicators()

    def on_start(self, view: View) -> Intents:
        return self._ask("on_start", view)

    def on_tick(self, view: View) -> Intents:
        return self._ask("on_tick", view)

    def on_trade(self, view: View, trade: TradePrint) -> Intents:
        return self._ask("on_trade", view, trade)

    def on_fill(self, view: View, fill: Fill) -> Intents:
        return self._ask("on_fill", view, fill)

    def on_cancel(self, view: View, order: Order) -> Intents:
        return self._ask("on_cancel", view, order)

    def on_timer(self, view: View) -> Intents:
        return self._ask("on_timer", view)

    def on_stop(self, view: View) -> Intents:
        return self._ask("on_stop", view)

    def on_resolution(self, view: View, resolved: MarketResolved) -> None:
        self._ask("on_resolution", view, resolved)

    def snapshot(self) -> dict[str, Any]:
        return self._inner.snapshot()

    def restore(self, state: Mapping[str, Any]) -> None:
        self._inner.restore(state)

    def _ask(self, hook: str, view: View, *news: object) -> Intents:
        try:
            answer = getattr(self._inner, hook)(view, *news)
            if answer is not None and not isinstance(answer, INTENTS):
                answer = list(islice(answer, MOST_INTENTS + 1))
        except Exception as error:
            self._tell(view, hook, (f"raised {type(error).__name__}: {error}",))
            raise
        self._tell(view, hook, _texts(answer))
        result: Intents = answer
        return result


def _texts(answer: Any) -> tuple[str, ...]:
    if answer is None:
        return ()
    if isinstance(answer, INTENTS):
        return (repr(answer),)
    return tuple(repr(intent) for intent in answer)
