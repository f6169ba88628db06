"""The life of a window: listed, played, started, ended, resolved, forgotten."""

from collections.abc import Callable
from typing import Protocol

import structlog

from engine.fills.depth import Depth
from models.markets import Outcome, Settlement
from models.units import SECOND_NS
from venue.simulator.config import Series, SimulatorConfig
from venue.simulator.journal import Journal
from venue.simulator.liquidity import (
    SEEN_LEVELS,
    Demand,
    LiquiditySource,
    Player,
    Step,
)
from venue.simulator.records import WindowRecord
from venue.simulator.schedule import Schedule
from venue.simulator.spot import TWAP_S, SpotPath, twap_e8
from venue.simulator.windows import (
    Registry,
    Window,
    length_s,
    make_window,
    slug_of,
    upcoming,
)

log = structlog.get_logger(__name__)
MS = 1_000_000


class Market(Protocol):
    """What the world does for a window."""

    def listed(self, window: Window, at_ns: int) -> None: ...

    def stepped(self, window: Window, demand: Demand, step: Step, at_ns: int) -> None: ...

    def withdrawn(self, window: Window, at_ns: int) -> None:
        """The provider's orders go."""
        ...

    def resolved(self, window: Window, winner: Outcome, at_ns: int) -> None: ...

    def traded(self, window: Window) -> bool:
        """Whether a client ever traded in it."""
        ...

    def forgotten(self, window: Window) -> None: ...


class Life:
    """Brings windows into being and sees them through, on the schedule's time."""

    def __init__(
        self,
        config: SimulatorConfig,
        schedule: Schedule,
        registry: Registry,
        journal: Journal,
        market: Market,
        source_of: Callable[[Series], LiquiditySource],
        paths: dict[str, SpotPath],
    ) -> None:
        self._config = config
        self._schedule = schedule
        self._registry = registry
        self._journal = journal
        self._market = market
        self._source_of = source_of
        self._paths = paths
        self.demands: dict[str, Demand] = {}
        self.late_ms: Callable[[int], int] = lambda now_ns: 0

    def start(self, now_ns: int) -> None:
        """List what should be listed now, and keep listing."""
        for series in self._config.series:
            length = length_s(series, self._config.window_seconds)
            for start_s in upcoming(now_ns // SECOND_NS, length):
                self._list(series, start_s, now_ns)
            self._schedule.every(
                length * SECOND_NS,
                lambda due, s=series, n=length: self._next(s, n, due),  # type: ignore[misc]
            )

    def resume(self, window: Window, now_ns: int) -> None:
        """Plan what is left of a restored window's life."""
        if window.winner is None:
            self._plan(window, _series_of(window.market.slug)[0], now_ns)

    def save(self, window: Window) -> None:
        self._journal.window(remembered(window))

    # --- stages -------------------------------------------------------------------------------

    def _next(self, series: Series, length: int, now_ns: int) -> None:
        for start_s in upcoming(now_ns // SECOND_NS, length):
            self._list(series, start_s, now_ns)
        self._forget()

    def _list(self, series: Series, start_s: int, now_ns: int) -> None:
        length = length_s(series, self._config.window_seconds)
        known = self._registry.by_slug.get(slug_of(series, start_s))
        if known is not None and known.market.window_s == length:
            return
        window = self._make(series, start_s, length, now_ns)
        self._registry.add(window)
        self._market.listed(window, now_ns)
        self._plan(window, series, now_ns)
        self.save(window)

    def _make(self, series: Series, start_s: int, length: int, listed_ns: int) -> Window:
        replayed = self._source_of(series).name == "replay"
        settlement = Settlement.BOUNDARY if replayed else Settlement.TWAP_60
        return make_window(series, start_s, length, settlement, listed_ns)

    def _plan(self, window: Window, series: Series, now_ns: int) -> None:
        market = window.market
        self._schedule.at(market.start_ns, lambda due: self._open(window))
        self._schedule.at(market.end_ns, lambda due: self._end(window, due))
        lag = self._config.resolve_lag_ms * MS
        self._schedule.at(market.end_ns + lag, lambda due: self._resolve(window, due))
        if now_ns < market.end_ns:
            source = self._source_of(series)
            recorded = source.name == "replay"
            self.demands[window.condition_id] = Demand(Depth(SEEN_LEVELS) if recorded else None)
            player = source.open(window, now_ns)
            self._schedule.at(now_ns, lambda due: self._play(window, player, due))
            every = max(SECOND_NS, (market.end_ns - market.start_ns) // 90)
            self._schedule.at(market.start_ns, lambda due: self._sample(window, every, due))

    def _open(self, window: Window) -> None:
        if window.opening_e8 is None:
            window.opening_e8 = self._price(window, window.market.start_ns)
            self.save(window)

    def _play(self, window: Window, player: Player, now_ns: int) -> None:
        if now_ns >= window.market.end_ns:
            return
        demand = self.demands[window.condition_id]
        for step in player.play(now_ns, window.market.tick_e4):
            self._market.stepped(window, demand, step, now_ns)
        following = player.next_ns()
        if following is not None:
            self._schedule.at(following, lambda due: self._play(window, player, due))

    def _sample(self, window: Window, every: int, now_ns: int) -> None:
        if now_ns < window.market.end_ns:
            window.history.append((now_ns // SECOND_NS, self.mid_e4(window)))
            self._schedule.at(now_ns + every, lambda due: self._sample(window, every, due))

    mid_e4: Callable[[Window], int] = staticmethod(lambda window: 5_000)

    def _end(self, window: Window, now_ns: int) -> None:
        window.closing_e8 = self._price(window, window.market.end_ns)
        self._market.withdrawn(window, now_ns)
        self.demands.pop(window.condition_id, None)
        self.save(window)

    def _resolve(self, window: Window, now_ns: int) -> None:
        late = self.late_ms(now_ns)
        due = window.market.end_ns + (self._config.resolve_lag_ms + late) * MS
        if now_ns < due:
            self._schedule.at(due, lambda at: self._resolve(window, at))
            return
        opening, closing = window.opening_e8 or 0, window.closing_e8 or 0
        winner = Outcome.UP if closing >= opening else Outcome.DOWN
        self._market.resolved(window, winner, now_ns)
        self.save(window)
        log.info(
            "window_resolved", slug=window.market.slug, winner=winner.value,
            opening_e8=opening, closing_e8=closing,
        )  # fmt: skip

    def _price(self, window: Window, at_ns: int) -> int:
        path = self._paths[window.market.asset]
        if window.market.settlement is Settlement.BOUNDARY:
            return path.price_e8(at_ns)
        return twap_e8(path, at_ns // SECOND_NS, TWAP_S)

    def _forget(self) -> None:
        """Let go of the oldest resolved windows beyond the history that is kept.

        Those a client traded in stay: its trades are listed for ever, and their market with them.
        """
        closed = [window for window in self._registry.all() if window.closed]
        for window in closed[: max(0, len(closed) - self._config.history_windows)]:
            if not self._market.traded(window):
                self._registry.remove(window)
                self._journal.forget_window(window.market.slug)
                self._market.forgotten(window)


def remembered(window: Window) -> WindowRecord:
    """What the disk keeps of a window."""
    return WindowRecord(
        market=window.market,
        number=window.number,
        question_id=window.question_id,
        listed_ns=window.listed_ns,
        opening_e8=window.opening_e8,
        closing_e8=window.closing_e8,
        winner=window.winner,
        resolved_ns=window.resolved_ns,
        volume_e6=window.volume_e6,
    )


def _series_of(slug: str) -> tuple[Series, int]:
    asset, _, timeframe, start = slug.split("-")
    return Series(asset.upper(), timeframe), int(start)
