"""What a share of Up is worth by the model: the chance that the market's own rule says Up."""

from models.errors import BadValue
from models.markets import Settlement
from risk.digital import TWAP_S, up_probability, up_probability_twap
from strategies.base import View


def up_value(view: View, volatility: float) -> float | None:
    """Probability that the market settles Up, None while spot or strike is unknown.

    `volatility` is that of spot's log returns per square root of a second.
    """
    spot, strike = view.spot, view.strike
    if spot is None or strike is None:
        return None
    left = view.time_left_s
    try:
        if view.market.settlement is Settlement.BOUNDARY:
            return up_probability(spot, strike, volatility, left)
        known = view.spot_average(TWAP_S - left) if left < TWAP_S else None
        return up_probability_twap(spot, strike, volatility, left, known)
    except BadValue:
        return None
