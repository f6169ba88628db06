"""Feeds the indicators a strategy declared, from what happens; the same live and in a backtest.

`Indicators` belongs to one strategy. Its `spot` is told of the assets' prices, its `market` gives
each market a `MarketIndicators` that is told of that market's books and trades. Only events move
anything, by the venue's clock, so the same events always give the same values.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

import structlog

from models.errors import BadValue
from models.units import PRICE_ONE, SECOND_NS, SHARE, SPOT_USD
from strategies.features.base import Indicator
from strategies.features.flow import micro_price
from strategies.features.history import History
from strategies.features.ring import Times
from strategies.features.spec import Feature, Source

log = structlog.get_logger(__name__)

SILENCE_NS = 60 * SECOND_NS
"""After so much silence, or three sampling periods, an indicator starts anew."""


class Sampler:
    """Ends sampling periods at whole multiples of their length, as events come.

    An event at the very end of a period belongs to it and ends it at once.
    """

    __slots__ = ("_end_ns", "_every_ns", "_indicators", "_last_ns", "_silence_ns")

    def __init__(self, every_ns: int) -> None:
        self._every_ns = every_ns
        self._silence_ns = max(SILENCE_NS, 3 * every_ns)
        self._indicators: list[Indicator] = []
        self._end_ns = 0
        self._last_ns = 0

    def serve(self, indicator: Indicator) -> None:
        self._indicators.append(indicator)

    def take(self, ts_ns: int, *sample: float) -> None:
        """Take what happened at `ts_ns`; a time before the last one counts as the last."""
        if ts_ns < self._last_ns:
            ts_ns = self._last_ns
        self.advance(ts_ns)
        for one in self._indicators:
            one.add(*sample)
        if ts_ns == self._end_ns or not self._every_ns:
            self._close(ts_ns)

    def advance(self, ts_ns: int) -> None:
        """Let time pass up to `ts_ns`: what ended before is closed."""
        last, self._last_ns = self._last_ns, max(ts_ns, self._last_ns)
        every = self._every_ns
        if last and ts_ns - last > self._silence_ns:
            self._restart()
        if not every:
            return
        if not self._end_ns:
            self._end_ns = -(-ts_ns // every) * every
        while self._end_ns < ts_ns:
            self._close(self._end_ns)

    def gap(self) -> None:
        """Something may have been missed: what passes until the next event is not sampled."""
        self._end_ns = 0
        self._last_ns = 0
        for one in self._indicators:
            one.gap()

    def _close(self, ts_ns: int) -> None:
        for one in self._indicators:
            one.close(ts_ns)
        if self._every_ns:
            self._end_ns += self._every_ns

    def _restart(self) -> None:
        self._end_ns = 0
        for one in self._indicators:
            one.reset()


class Scope:
    """The indicators of one asset, or of one market, by the names the strategy gave them."""

    __slots__ = ("indicators", "samplers")

    def __init__(self, declared: Mapping[str, Feature]) -> None:
        self.indicators: dict[str, Indicator] = {}
        self.samplers: dict[Source, list[Sampler]] = {}
        by_period: dict[tuple[Source, int], Sampler] = {}
        for name, feature in declared.items():
            key = (feature.source, feature.every_ns)
            if key not in by_period:
                by_period[key] = Sampler(feature.every_ns)
                self.samplers.setdefault(feature.source, []).append(by_period[key])
            self.indicators[name] = deepcopy(feature.indicator)
            by_period[key].serve(self.indicators[name])

    def take(self, source: Source, ts_ns: int, *sample: float) -> None:
        for sampler in self.samplers.get(source, ()):
            sampler.take(ts_ns, *sample)

    def gap(self) -> None:
        for samplers in self.samplers.values():
            for sampler in samplers:
                sampler.gap()

    def snapshot(self) -> dict[str, Any]:
        return {name: [repr(one), one.snapshot()] for name, one in self.indicators.items()}

    def restore(self, state: Mapping[str, Any]) -> Iterable[str]:
        """Take back what is of equal indicators; yield one text for each that is not."""
        for name, one in self.indicators.items():
            if name not in state:
                continue
            try:
                known_as, memory = state[name]
                if known_as != repr(one):
                    raise BadValue(f"was {known_as}, is {one!r} now")
                one.restore(memory)
            except (BadValue, TypeError, ValueError) as error:
                yield f"indicator {name!r} starts anew: {error}"
        self.gap()


class MarketIndicators:
    """One market's indicators, its asset's included."""

    __slots__ = ("_all", "_book", "_micro", "_mid", "_samplers", "_scope", "_top", "_volume")

    def __init__(self, scope: Scope, spot: Scope) -> None:
        self._scope = scope
        self._all = spot.indicators | scope.indicators
        self._book = scope.samplers.get(Source.BOOK, [])
        self._mid = scope.samplers.get(Source.MID, [])
        self._micro = scope.samplers.get(Source.MICRO, [])
        self._volume = scope.samplers.get(Source.VOLUME, [])
        self._samplers = [one for some in scope.samplers.values() for one in some]
        self._top: tuple[int, int, int, int] | None = None

    @property
    def hears(self) -> bool:
        """Whether anything here is of books or trades."""
        return bool(self._samplers)

    # --- told from outside ----------------------------------------------------------------------

    def on_book(
        self, ts_ns: int, bid_e4: int, bid_size_e6: int, ask_e4: int, ask_size_e6: int
    ) -> None:
        """Up's best levels after a whole message; both sides there and not crossed.

        One that changed nothing here only lets time pass.
        """
        top = (bid_e4, bid_size_e6, ask_e4, ask_size_e6)
        for sampler in self._samplers if top == self._top else self._volume:
            sampler.advance(ts_ns)
        if top == self._top:
            return
        self._top = top
        for sampler in self._mid:
            sampler.take(ts_ns, (bid_e4 + ask_e4) / (2 * PRICE_ONE))
        if self._micro or self._book:
            bid, ask = bid_e4 / PRICE_ONE, ask_e4 / PRICE_ONE
            bid_size, ask_size = bid_size_e6 / SHARE, ask_size_e6 / SHARE
            for sampler in self._micro:
                sampler.take(ts_ns, micro_price(bid, bid_size, ask, ask_size))
            for sampler in self._book:
                sampler.take(ts_ns, bid, bid_size, ask, ask_size)

    def on_trade(self, ts_ns: int, size_e6: int) -> None:
        """A public trade of either token."""
        for sampler in self._volume:
            sampler.take(ts_ns, size_e6 / SHARE)

    def on_dark(self) -> None:
        """The feed was lost: what follows does not follow from what was."""
        self._top = None
        self._scope.gap()

    # --- asked by the view ----------------------------------------------------------------------

    def value(self, name: str, part: str = "value") -> float | None:
        """Newest result, None until warm. Raises `BadValue` for what was not declared."""
        one = self._find(name)
        if part not in one.PARTS:
            raise BadValue(f"indicator {name!r} ({one!r}) has no {part!r}; {', '.join(one.PARTS)}")
        found: float = getattr(one, part)
        return found if found == found else None

    def window(self, name: str, start_ns: int, end_ns: int) -> tuple[Times, Any]:
        """Times and values of a declared `History`. Raises `BadValue` if it is none."""
        one = self._find(name)
        if not isinstance(one, History):
            raise BadValue(f"indicator {name!r} ({one!r}) keeps no window; declare a History")
        return one.points.between(start_ns, end_ns)

    def _find(self, name: str) -> Indicator:
        one = self._all.get(name)
        if one is None:
            declared = ", ".join(sorted(self._all)) or "none"
            raise BadValue(f"indicator {name!r} is not declared; there are: {declared}")
        return one

    def snapshot(self) -> dict[str, Any]:
        return self._scope.snapshot()


class Indicators:
    """What one strategy declared, for all its assets and markets."""

    def __init__(self, declared: Mapping[str, Feature] | None = None) -> None:
        declared = declared or {}
        for name, feature in declared.items():
            if not isinstance(feature, Feature):
                raise BadValue(f"indicator {name!r} is {feature!r}; declare a Feature")
        spot = {name: one for name, one in declared.items() if one.source is Source.SPOT}
        self._of_spot: Mapping[str, Feature] = spot
        self._of_market = {name: one for name, one in declared.items() if name not in spot}
        self._assets: dict[str, Scope] = {}
        self._spot_ns: dict[str, int] = {}
        self._brought: dict[str, Mapping[str, Any]] = {}
        self.hears_spot = bool(spot)

    def asset(self, asset: str) -> Scope:
        if asset not in self._assets:
            self._assets[asset] = Scope(self._of_spot)
        return self._assets[asset]

    def market(self, condition_id: str, asset: str) -> MarketIndicators:
        """Make a market's indicators; what an earlier session knew of it goes on."""
        scope = Scope(self._of_market)
        brought = self._brought.pop(condition_id, None)
        if brought is not None:
            for fault in scope.restore(brought):
                log.warning("indicator_not_restored", market=condition_id, reason=fault)
        return MarketIndicators(scope, self.asset(asset))

    # --- told from outside ----------------------------------------------------------------------

    def on_spot(self, asset: str, ts_ns: int, price_e8: int) -> None:
        """A new price of an asset, of the source that `view.spot` shows; an older one is not."""
        if self.hears_spot and price_e8 > 0 and ts_ns > self._spot_ns.get(asset, 0):
            self._spot_ns[asset] = ts_ns
            self.asset(asset).take(Source.SPOT, ts_ns, price_e8 / SPOT_USD)

    def on_dark(self) -> None:
        """The spot feed was lost."""
        for scope in self._assets.values():
            scope.gap()

    # --- over a restart -------------------------------------------------------------------------

    def snapshot(self, markets: Mapping[str, MarketIndicators]) -> dict[str, Any]:
        """Return the memory of every asset and of the markets given, JSON-serialisable."""
        state = {}
        if self.hears_spot:
            state["assets"] = {asset: scope.snapshot() for asset, scope in self._assets.items()}
        if self._of_market:
            state["markets"] = {key: one.snapshot() for key, one in markets.items()}
        return state

    def restore(self, state: Mapping[str, Any]) -> list[str]:
        """Take back what `snapshot` returned; return one text per indicator that starts anew.

        Markets come back when they are asked for.
        """
        faults: list[str] = []
        try:
            for asset, memory in state.get("assets", {}).items():
                faults += self.asset(str(asset)).restore(memory)
            self._brought = dict(state.get("markets", {}))
        except (AttributeError, TypeError, ValueError) as error:
            faults.append(f"indicators start anew: {error!r}")
        return faults
