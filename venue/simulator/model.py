"""Model: books around a fair value, when there is no recording."""

import math

import numpy as np

from models.markets import Outcome, Settlement, Side
from models.units import PRICE_ONE, SECOND_NS, SHARE
from venue.simulator.liquidity import Player, Step
from venue.simulator.recording import Levels, Taker
from venue.simulator.spot import TWAP_S, SpotPath, twap_e8
from venue.simulator.windows import Window

STEP_NS = SECOND_NS
PHASES = 50
"""Windows take their steps at so many different moments of a second, not all at once."""
LEVELS = 6
TAKERS_PER_STEP = 0.35


class ModelSource:
    """Books around the value of a digital option on the spot path, with noise and takers."""

    name = "model"
    description = (
        "model: seeded spot path, digital fair value, noisy spread and depth, random takers; "
        "no recorded book"
    )

    def __init__(self, paths: dict[str, SpotPath], seed: int) -> None:
        self._paths = paths
        self._seed = seed

    def open(self, window: Window, now_ns: int) -> Player:
        return ModelPlayer(window, self._paths[window.market.asset], self._seed, now_ns)


class ModelPlayer:
    """One window of the model; every step's randomness follows from window and time alone."""

    def __init__(self, window: Window, path: SpotPath, seed: int, now_ns: int) -> None:
        self._window = window
        self._path = path
        self._seed = (seed, int(window.condition_id[2:18], 16))
        self._phase_ns = self._seed[1] % PHASES * (STEP_NS // PHASES)
        self._due_ns = now_ns

    def next_ns(self) -> int | None:
        return self._due_ns if self._due_ns < self._window.market.end_ns else None

    def play(self, now_ns: int, tick_e4: int) -> list[Step]:
        running = now_ns >= self._window.market.start_ns
        behind_ns = (now_ns - self._phase_ns) % STEP_NS
        self._due_ns = now_ns - behind_ns + (STEP_NS if running else 5 * STEP_NS)
        random = np.random.default_rng((*self._seed, now_ns // STEP_NS))
        fair = fair_value(self._window, self._path, now_ns) if running else 0.5
        bids, asks = _book(fair, tick_e4, random)
        takers = _takers(fair, tick_e4, bids, asks, random) if running else ()
        return [Step(takers, bids, asks)]


def fair_value(window: Window, path: SpotPath, now_ns: int) -> float:
    """Probability that Up wins, by the window's own settlement rule.

    The final price is normal around spot with the path's volatility; under the TWAP rule the
    last minute's average is partly known already and its variance is a third as large.
    """
    market = window.market
    strike = window.opening_e8
    if strike is None:
        return 0.5
    spot = path.price_e8(now_ns)
    left = (market.end_ns - now_ns) / SECOND_NS
    mean, deviation = float(spot), math.sqrt(max(left, 0.0))
    if market.settlement is Settlement.TWAP_60:
        mean, deviation = _average_ahead(path, spot, market.end_ns, left)
    spread = spot * path.volatility * deviation
    if spread <= 0:
        return 1.0 if mean >= strike else 0.0
    return 0.5 * (1 + math.erf((mean - strike) / spread / math.sqrt(2)))


def _average_ahead(path: SpotPath, spot: int, end_ns: int, left: float) -> tuple[float, float]:
    """Mean of the final average and the root of its variance per unit of volatility."""
    if left >= TWAP_S:
        return float(spot), math.sqrt(left - TWAP_S + TWAP_S / 3)
    known_s = TWAP_S - math.ceil(left)
    if known_s <= 0:
        return float(spot), math.sqrt(TWAP_S / 3)
    now_s = end_ns // SECOND_NS - (TWAP_S - known_s)
    known = twap_e8(path, now_s, known_s) * known_s
    mean = (known + spot * (TWAP_S - known_s)) / TWAP_S
    return mean, math.sqrt(max(left, 0.0) ** 3 / 3) / TWAP_S


def _book(fair: float, tick_e4: int, random: np.random.Generator) -> tuple[Levels, Levels]:
    centre = fair * PRICE_ONE
    half = tick_e4 * (0.5 + random.exponential(0.6))
    best_bid = int((centre - half) // tick_e4) * tick_e4
    best_ask = -int(-(centre + half) // tick_e4) * tick_e4
    best_ask = max(best_ask, best_bid + tick_e4)
    sizes = np.rint(random.lognormal(4.2, 0.8, 2 * LEVELS) * 100).astype(int) * (SHARE // 100)
    bids = [(best_bid - i * tick_e4, int(sizes[i])) for i in range(LEVELS)]
    asks = [(best_ask + i * tick_e4, int(sizes[LEVELS + i])) for i in range(LEVELS)]
    return (
        tuple(level for level in bids if tick_e4 <= level[0] <= PRICE_ONE - tick_e4),
        tuple(level for level in asks if tick_e4 <= level[0] <= PRICE_ONE - tick_e4),
    )


def _takers(
    fair: float, tick_e4: int, bids: Levels, asks: Levels, random: np.random.Generator
) -> tuple[Taker, ...]:
    takers: list[Taker] = []
    for _ in range(int(random.poisson(TAKERS_PER_STEP))):
        outcome = Outcome.UP if random.random() < fair else Outcome.DOWN
        size = max(1, round(float(random.lognormal(2.8, 0.9)))) * SHARE
        best = asks if outcome is Outcome.UP else bids
        if not best:
            continue
        price = best[0][0] if outcome is Outcome.UP else PRICE_ONE - best[0][0]
        limit = min(price + tick_e4, PRICE_ONE - tick_e4)
        takers.append(Taker(outcome, Side.BUY, limit, size))
    return tuple(takers)
