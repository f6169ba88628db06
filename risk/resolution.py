"""What a book of up/down shares may bring when its markets resolve.

Every market asks whether an asset's settlement price is at or above its strike, so a book's result
is a function of a few prices: one per asset and moment of settlement. `worst_case` needs no model
of them at all, only that one price cannot be above 60,100 and below 60,000; `simulate` draws them
jointly.

The model: log prices are Brownian motions without drift, correlated between assets, with the
volatility given; over minutes nothing else matters (see `risk.digital`). A market settled by the
average of its last minute uses the mean of the path over that minute, which given the path's two
ends is normal around their middle with a twelfth of the minute's variance (the Brownian bridge's
integral); what of the minute has passed is fixed. Prices within the minute are averaged as
logarithms, which at a few basis points is far below a tick. Averaging minutes of one asset must
not overlap unless they are the same, which holds for windows of whole five minutes.
"""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, log

import numpy as np
import numpy.typing as npt

from models.errors import BadValue
from risk.digital import TWAP_S
from risk.var import TailRisk, covariance_root, historical

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stake:
    """One market of the book: shares in e6, `cost_e6` what they cost with fees.

    ``strike`` is in dollars; ``seconds_left`` may be 0 or negative for a market that has ended and
    waits for its resolution. ``averaged`` says whether the mean of the last minute settles it, and
    ``average_so_far`` is that mean in dollars, once the minute has begun.
    """

    name: str
    asset: str
    strike: float
    seconds_left: float
    up_e6: int
    down_e6: int
    cost_e6: int
    averaged: bool = True
    average_so_far: float | None = None

    @property
    def if_up_e6(self) -> int:
        """Result when Up wins."""
        return self.up_e6 - self.cost_e6

    @property
    def if_down_e6(self) -> int:
        return self.down_e6 - self.cost_e6

    @property
    def moment(self) -> tuple[str, float, bool]:
        """Stakes of one moment are settled by one price."""
        return self.asset, self.seconds_left, self.averaged


@dataclass(frozen=True, slots=True)
class WorstCase:
    """The least the book can bring, whatever prices do; e6 of cash, losses negative."""

    total_e6: int
    by_stake: Mapping[str, int]
    """Each market's own worst result; their sum is never more than `total_e6`."""
    by_moment: tuple[tuple[str, float, int], ...]
    """Asset, seconds left, and the worst of what is settled together then."""


@dataclass(frozen=True, slots=True)
class Market:
    """An asset now: price in dollars, volatility per square root of a second."""

    spot: float
    volatility: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """Simulated results of a book in e6 of cash, one per path, and what follows from them."""

    results_e6: Whole
    up_probability: Mapping[str, float]
    """By market's name."""

    @property
    def mean_e6(self) -> float:
        return float(self.results_e6.mean())

    @property
    def deviation_e6(self) -> float:
        return float(self.results_e6.std())

    @property
    def standard_error_e6(self) -> float:
        """Of the mean, from the number of paths."""
        return self.deviation_e6 / float(np.sqrt(len(self.results_e6)))

    @property
    def loss_probability(self) -> float:
        return float(np.mean(self.results_e6 < 0))

    def tail(self, confidence: float) -> TailRisk:
        return historical(self.results_e6, confidence)


def worst_case(stakes: Sequence[Stake]) -> WorstCase:
    """The exact worst case: over every outcome of every market that one price path allows.

    Markets settled by the same price are Up together up to some strike and Down above it, so of
    `n` of them only ``n + 1`` combinations exist; moments are free of each other.

    Raises
    ------
    BadValue
        A stake with a negative or impossible number, or two with one name.
    """
    _refuse(stakes)
    moments: dict[tuple[str, float, bool], list[Stake]] = defaultdict(list)
    for stake in stakes:
        moments[stake.moment].append(stake)
    found = []
    for (asset, left, _), group in sorted(moments.items()):
        found.append((asset, left, _worst_together(group)))
    return WorstCase(
        total_e6=sum(worst for _, _, worst in found),
        by_stake={stake.name: min(stake.if_up_e6, stake.if_down_e6) for stake in stakes},
        by_moment=tuple(found),
    )


def _worst_together(group: Sequence[Stake]) -> int:
    """Least result of markets settled by one price: from below all strikes to above them all."""
    result = worst = sum(stake.if_down_e6 for stake in group)
    by_strike: dict[float, int] = defaultdict(int)
    for stake in group:
        by_strike[stake.strike] += stake.if_up_e6 - stake.if_down_e6
    for strike in sorted(by_strike):
        result += by_strike[strike]
        worst = min(worst, result)
    return worst


def simulate(
    stakes: Sequence[Stake],
    markets: Mapping[str, Market],
    correlation: Mapping[tuple[str, str], float] | None = None,
    paths: int = 100_000,
    seed: int = 7,
) -> Distribution:
    """Draw the settlement prices of the whole book together and add up what it brings.

    Parameters
    ----------
    markets
        By asset; every asset of the stakes must be there.
    correlation
        Of the assets' returns, by pair in either order; what is not named is 0.
    paths
        Drawn as pairs of opposite paths (antithetic variates), so rounded up to an even number.

    Raises
    ------
    BadValue
        A stake or market with an impossible number, an asset that is missing, correlations that
        cannot be, or averaging minutes of one asset that overlap.
    """
    _refuse(stakes)
    if paths < 1:
        raise BadValue(f"paths={paths} must be at least 1")
    assets = sorted({stake.asset for stake in stakes})
    for asset in assets:
        _refuse_market(asset, markets.get(asset))
    root = covariance_root(_correlations(assets, correlation or {}))
    half = -(-paths // 2)
    rng = np.random.default_rng(seed)
    moments = sorted({stake.moment for stake in stakes}, key=lambda m: (m[1], m[0], m[2]))
    logs = _settlement_logs(stakes, moments, assets, markets, root, half, rng)
    total = np.zeros(2 * half, np.int64)
    probability: dict[str, float] = {}
    for stake in stakes:
        up = logs[stake.moment] >= log(stake.strike)
        probability[stake.name] = float(up.mean())
        total += stake.if_down_e6 + np.where(up, stake.if_up_e6 - stake.if_down_e6, 0)
    return Distribution(total, probability)


def _settlement_logs(
    stakes: Sequence[Stake],
    moments: Sequence[tuple[str, float, bool]],
    assets: Sequence[str],
    markets: Mapping[str, Market],
    root: Floats,
    half: int,
    rng: np.random.Generator,
) -> dict[tuple[str, float, bool], Floats]:
    """Log settlement price of each moment along every path."""
    known = {s.moment: s.average_so_far for s in stakes if s.average_so_far is not None}
    times = sorted({t for _, left, averaged in moments for t in _ends(left, averaged)} | {0.0})
    _refuse_overlap(moments)
    scale = np.array([markets[asset].volatility for asset in assets])
    at = {0.0: np.tile([log(markets[asset].spot) for asset in assets], (2 * half, 1))}
    for before, after in itertools.pairwise(times):
        step = _opposite(rng, half, len(assets)) @ root.T
        drift = scale * scale * (before - after) / 2  # the price itself is a martingale
        at[after] = at[before] + step * (scale * np.sqrt(after - before)) + drift
    scatter: dict[float, Floats] = {}
    found: dict[tuple[str, float, bool], Floats] = {}
    for moment in moments:
        asset, left, averaged = moment
        column = assets.index(asset)
        begin, end = _ends(left, averaged)
        last = at[end][:, column]
        if not averaged:
            found[moment] = last
            continue
        span = end - begin
        # How the mean scatters around the middle of its ends: together for all assets.
        if end not in scatter:
            scatter[end] = _opposite(rng, half, len(assets)) @ root.T
        bridge = scatter[end][:, column] * (scale[column] * np.sqrt(span / 12))
        mean = (at[begin][:, column] + last) / 2 + bridge
        past = min(1.0, max(0.0, 1 - left / TWAP_S))
        if past > 0:
            so_far = known.get(moment) or markets[asset].spot
            mean = past * log(so_far) + (1 - past) * mean
        found[moment] = mean
    return found


def _ends(left: float, averaged: bool) -> tuple[float, float]:
    """Begin and end of what settles a market, in seconds from now."""
    end = max(0.0, left)
    return (max(0.0, left - TWAP_S) if averaged else end), end


def _opposite(rng: np.random.Generator, half: int, columns: int) -> Floats:
    draws = rng.standard_normal((half, columns))
    return np.concatenate([draws, -draws])


def _correlations(assets: Sequence[str], given: Mapping[tuple[str, str], float]) -> Floats:
    matrix = np.eye(len(assets))
    for (one, other), value in given.items():
        if not -1 <= value <= 1:
            raise BadValue(f"correlation of {one} and {other} is {value!r}; it must be -1 to 1")
        if one in assets and other in assets and one != other:
            i, j = assets.index(one), assets.index(other)
            matrix[i, j] = matrix[j, i] = value
    return matrix


def _refuse(stakes: Sequence[Stake]) -> None:
    names = set()
    for stake in stakes:
        if stake.name in names:
            raise BadValue(f"two stakes are called {stake.name!r}; add up their shares")
        names.add(stake.name)
        if not stake.strike > 0 or not isfinite(stake.strike) or not isfinite(stake.seconds_left):
            raise BadValue(
                f"{stake.name}: strike={stake.strike!r} must be finite and above zero, "
                f"seconds_left={stake.seconds_left!r} finite"
            )
        if min(stake.up_e6, stake.down_e6) < 0:
            raise BadValue(f"{stake.name}: up_e6={stake.up_e6} and down_e6={stake.down_e6} are "
                           "shares held and cannot be negative")  # fmt: skip
        average = stake.average_so_far
        if average is not None and not (average > 0 and isfinite(average)):
            raise BadValue(f"{stake.name}: average_so_far={average!r} must be above zero")


def _refuse_market(asset: str, market: Market | None) -> None:
    if market is None:
        raise BadValue(f"no spot and volatility for {asset}, of which the book has shares")
    if not (market.spot > 0 and isfinite(market.spot)):
        raise BadValue(f"{asset}: spot={market.spot!r} must be finite and above zero")
    if not (market.volatility >= 0 and isfinite(market.volatility)):
        raise BadValue(f"{asset}: volatility={market.volatility!r} must be finite, at least zero")


def _refuse_overlap(moments: Sequence[tuple[str, float, bool]]) -> None:
    by_asset: dict[str, list[float]] = defaultdict(list)
    for asset, left, averaged in moments:
        if averaged and left > 0:
            by_asset[asset].append(left)
    for asset, ends in by_asset.items():
        for one, other in itertools.pairwise(sorted(ends)):
            if other - one < TWAP_S:
                raise BadValue(
                    f"{asset}: averaging minutes ending in {one:g} s and {other:g} s overlap; "
                    "this model cannot tell them apart"
                )
