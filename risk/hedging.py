"""Greeks of a whole book, and which shares would take the most of them away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import lsq_linear  # type: ignore[import-untyped]

from models.errors import BadValue
from models.markets import Outcome
from models.units import SHARE
from risk.digital import TWAP_S
from risk.greeks import up_greeks
from risk.resolution import Market, Stake
from risk.sizing import whole_e6


@dataclass(frozen=True, slots=True)
class Exposures:
    """Sensitivity of the book's value to one asset, in dollars.

    ``delta`` per dollar of spot, ``gamma`` the change of delta per dollar, ``vega`` per 0.0001 of
    volatility per root second, ``theta`` per second.
    """

    delta: float = 0.0
    gamma: float = 0.0
    vega: float = 0.0
    theta: float = 0.0


VEGA_UNIT = 1e-4


@dataclass(frozen=True, slots=True)
class Hedge:
    """Buy these shares, in e6, of this outcome of a market."""

    name: str
    outcome: Outcome
    size_e6: int


def book_greeks(stakes: Sequence[Stake], markets: Mapping[str, Market]) -> dict[str, Exposures]:
    """Add up the Greeks of every share, by asset; a share of Down is the opposite of Up.

    Raises `BadValue` for an asset without spot and volatility.
    """
    total: dict[str, list[float]] = {}
    for stake in stakes:
        each = _per_share(stake, markets)
        shares = (stake.up_e6 - stake.down_e6) / SHARE
        row = total.setdefault(stake.asset, [0.0] * 4)
        for index, value in enumerate(each):
            row[index] += shares * value
    return {asset: Exposures(*row) for asset, row in total.items()}


def suggest(
    stakes: Sequence[Stake],
    markets: Mapping[str, Market],
    available: Mapping[tuple[str, Outcome], int],
    asset: str,
    gamma_weight: float = 0.25,
    vega_weight: float = 0.25,
) -> list[Hedge]:
    """Which shares to buy so that as little as possible of delta, gamma and vega is left.

    Least squares with bounds: every exposure is measured in dollars of what a usual move of the
    next minute does to it, delta weighing 1, and no purchase exceeds what is available. It hedges
    risk and does not look at prices; compare the cost with what it takes away before acting.

    Parameters
    ----------
    stakes
        The book; markets to hedge with must be among them, with zero shares if need be.
    available
        Shares in e6 on offer, by market's name and outcome.

    Raises
    ------
    BadValue
        A market on offer that is no stake of this asset, or a negative size or weight.
    """
    if gamma_weight < 0 or vega_weight < 0:
        raise BadValue(f"weights {gamma_weight!r} and {vega_weight!r} must be at least zero")
    by_name = {stake.name: stake for stake in stakes if stake.asset == asset}
    own = book_greeks([*by_name.values()], markets).get(asset, Exposures())
    here = markets.get(asset)
    if here is None:
        raise BadValue(f"no spot and volatility for {asset}")
    move = here.spot * here.volatility * TWAP_S**0.5
    scale = np.array([move, gamma_weight * move * move / 2, vega_weight * here.volatility * 0.25
                      / VEGA_UNIT])  # fmt: skip
    columns, limits, keys = [], [], []
    for (name, outcome), size in sorted(available.items()):
        if name not in by_name:
            raise BadValue(f"{name!r} is on offer but is no market of {asset} in the book")
        if size < 0:
            raise BadValue(f"{name} {outcome}: {size} shares on offer cannot be negative")
        sign = 1.0 if outcome is Outcome.UP else -1.0
        each = np.array(_per_share(by_name[name], markets)[:3])
        if size and np.abs(each * scale).sum() > 0:
            columns.append(sign * each * scale)
            limits.append(size / SHARE)
            keys.append((name, outcome))
    if not columns:
        return []
    target = -np.array([own.delta, own.gamma, own.vega]) * scale
    found = lsq_linear(np.array(columns).T, target, bounds=(0.0, np.array(limits)))
    hedges = [
        Hedge(name, outcome, whole_e6(int(size * SHARE)))
        for (name, outcome), size in zip(keys, found.x, strict=True)
    ]
    return [hedge for hedge in hedges if hedge.size_e6 > 0]


def _per_share(stake: Stake, markets: Mapping[str, Market]) -> tuple[float, float, float, float]:
    """Delta, gamma, vega (per 0.0001) and theta of one share of Up."""
    market = markets.get(stake.asset)
    if market is None:
        raise BadValue(f"no spot and volatility for {stake.asset}")
    found = up_greeks(
        market.spot, stake.strike, market.volatility, stake.seconds_left, stake.average_so_far,
        TWAP_S if stake.averaged else 0.0,
    )  # fmt: skip
    return (
        float(found.delta), float(found.gamma), float(found.vega) * VEGA_UNIT, float(found.theta),
    )  # fmt: skip
