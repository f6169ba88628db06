"""Feeds the indicators a strategy declared, from what happens; the same live and in a backtest.

`Indicators` belongs to one strategy. Its `spot` is told of the assets' prices, its `market` gives
each market a `MarketIndicators` that is told of that market's books and trades. Only events move
anything, by the venue's clock, so the same events always give the same values.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
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

    def snapshot(self) -> list[int]:
        return [self._every_ns, self._end_ns, self._last_ns]

    def restore(self, state: Sequence[int]) -> None:
        _, self._end_ns, self._last_ns = map(int, state)

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
        return {
            "indicators": {
                name: [repr(one), one.snapshot()] for name, one in self.indicators.items()
            },
            "samplers": {
                source.value: [one.snapshot() for one in samplers]
                for source, samplers in self.samplers.items()
            },
        }

    def restore(self, state: Mapping[str, Any], gap: bool) -> Iterable[str]:
        """Take back what is of equal indicators; yield one text for each that is not.

        Parameters
        ----------
        gap
            Something may have been missed since: sampling begins anew.
        """
        memories = state.get("indicators", {})
        for name, one in self.indicators.items():
            if name not in memories:
                gap = True
                continue
            try:
                known_as, memory = memories[name]
                if known_as != repr(one):
                    raise BadValue(f"was {known_as}, is {one!r} now")
                one.restore(memory)
            except (BadValue, TypeError, ValueError) as error:
                gap = True
                yield f"indicator {name!r} starts anew: {error}"
        try:
            gap = gap or not self._resume(state.get("samplers", {}))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            gap = True
            yield f"sampling starts anew: {error!r}"
        if gap:
            self.gap()

    def _resume(self, state: Mapping[str, Any]) -> bool:
        """Go on within the sampling periods; False where they are others now."""
        for source, samplers in self.samplers.items():
            memories = state.get(source.value, [])
            if [one.snapshot()[0] for one in samplers] != [memory[0] for memory in memories]:
                return False
            for one, memory in zip(samplers, memories, strict=True):
                one.restore(memory)
        return True


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
        return {**self._scope.snapshot(), "top": self._top}

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Take back the best levels a snapshot was made at: the same again change nothing."""
        if state.get("top") is not None:
            bid, bid_size, ask, ask_size = map(int, state["top"])
            self._top = (bid, bid_size, ask, ask_size)


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
        self._gap = True
        self.hears_spot = bool(spot)

    def asset(self, asset: str) -> Scope:
        if asset not in self._assets:
            self._assets[asset] = Scope(self._of_spot)
        return self._assets[asset]

    def market(self, condition_id: str, asset: str) -> MarketIndicators:
        """Make a market's indicators; what an earlier session knew of it goes on."""
        scope = Scope(self._of_market)
        found = MarketIndicators(scope, self.asset(asset))
        brought = self._brought.pop(condition_id, None)
        if brought is not None:
            for fault in scope.restore(brought, self._gap):
                log.warning("indicator_not_restored", market=condition_id, reason=fault)
            if not self._gap:
                found.go_on(brought)
        return found

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

    def snapshot(
        self, markets: Mapping[str, MarketIndicators], waiting: Collection[str] = ()
    ) -> dict[str, Any]:
        """Return the memory of every asset and of the markets given, JSON-serialisable.

        Parameters
        ----------
        waiting
            Markets that were brought along and are not asked for yet, to be handed on.
        """
        state: dict[str, Any] = {}
        if self.hears_spot:
            state["assets"] = {asset: scope.snapshot() for asset, scope in self._assets.items()}
            state["spot_ns"] = dict(self._spot_ns)
        if self._of_market:
            brought = {key: one for key, one in self._brought.items() if key in waiting}
            state["markets"] = brought | {key: one.snapshot() for key, one in markets.items()}
        return state

    def restore(
        self, state: Mapping[str, Any], gap: bool = True, known: Collection[str] = ()
    ) -> list[str]:
        """Take back what `snapshot` returned; return one text per indicator that starts anew.

        Markets come back when they are asked for.

        Parameters
        ----------
        gap
            Something may have been missed since: each goes on with its next sampling period.
            Without a gap everything goes on as if nothing had happened.
        known
            Assets whose prices since then are told by `on_spot` next: they have no gap.
        """
        faults: list[str] = []
        self._gap = gap
        try:
            for asset, memory in state.get("assets", {}).items():
                faults += self.asset(str(asset)).restore(memory, gap and asset not in known)
            spot_ns = state.get("spot_ns", {})
            self._spot_ns.update({str(asset): int(ts_ns) for asset, ts_ns in spot_ns.items()})
            self._brought = dict(state.get("markets", {}))
        except (AttributeError, TypeError, ValueError) as error:
            faults.append(f"indicators start anew: {error!r}")
        return faults
