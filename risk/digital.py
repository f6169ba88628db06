"""Fair value of a binary up/down share: a cash-or-nothing digital over minutes."""


def up_probability(spot: float, strike: float, volatility: float, seconds_left: float) -> float:
    """Probability that the market resolves Up, 0 to 1."""
    raise NotImplementedError
