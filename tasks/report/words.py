"""How the report writes figures, and what each of them means."""

from datetime import UTC, datetime
from decimal import Decimal

from models.units import SECOND_NS

NONE = "–"
"""Written where a figure is undefined."""
HUGE = 1_000_000
"""More than this is extrapolation gone wild; its digits would only look like knowledge."""


def usd(cash_e6: int | float | None, sign: bool = False) -> str:
    """Write cash in dollars and cents: ``1,234.50``, with `sign` ``+1,234.50``."""
    if cash_e6 is None:
        return NONE
    amount = Decimal(round(cash_e6)).scaleb(-6).quantize(Decimal("0.01"))
    if not amount:
        return "0.00"
    return f"{amount:+,}" if sign else f"{amount:,}"


def percent(value: float | None, sign: bool = False, places: int = 2) -> str:
    if value is None:
        return NONE
    if value >= HUGE / 100:
        return f"over {HUGE:,} %"
    return f"{value * 100:{'+' if sign else ''},.{places}f} %"


def ratio(value: float | None, places: int = 2) -> str:
    if value is None:
        return NONE
    return f"over {HUGE:,}" if value >= HUGE else f"{value:,.{places}f}"


def cents(value: float | None, error: float | None = None) -> str:
    if value is None:
        return NONE
    return f"{value:+.2f}" + (f" ± {error:.2f}" if error is not None else "")


def shares(size_e6: int) -> str:
    return f"{Decimal(size_e6).scaleb(-6):,.2f}"


def price(price_e4: int) -> str:
    """Write a price in dollars, to the cent or as finely as it is: ``0.40``, ``0.405``."""
    return f"{Decimal(price_e4) / 10_000:.2f}" if price_e4 % 100 == 0 else f"{price_e4 / 1e4:g}"


def moment(time_ns: int | None) -> str:
    """Write a time in UTC, to the second."""
    if time_ns is None:
        return NONE
    return datetime.fromtimestamp(time_ns // SECOND_NS, UTC).strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float) -> str:
    """Write a length of time in the unit that suits it."""
    for unit, name in ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.1f} s"


FILL_MODELS = {
    "back": "Pessimistic. Our order is last in its queue, and only trades at its price bring it "
    "forward: every cancel is taken to be behind it.",
    "log": "Central. Cancels fall ahead of and behind our order by the logarithms of the sizes "
    "there.",
    "power": "Central. Cancels fall ahead of and behind our order by the third powers of the "
    "sizes there.",
    "front": "Optimistic. Nobody is ahead of our order in its queue: real results will be worse.",
}
"""What each fill model assumes; see `models.fills`."""

DEFINITIONS: tuple[tuple[str, str], ...] = (
    ("P&L", "Last equity less capital, fees paid. Settled: of windows that resolved."),
    ("Sharpe ratio", "Mean by standard deviation of the returns on the grid, times the root of "
     "the grid's periods in a 365-day year. ± one standard error (Mertens 2002): two figures "
     "closer than that are the same."),
    ("Chance above zero", "Probabilistic Sharpe ratio (Bailey and Lopez de Prado 2012): how sure "
     "these returns make it that the true ratio is above zero, this run alone considered."),
    ("Sortino ratio", "Mean by the root mean square of the returns below zero, of a year."),
    ("Calmar ratio", "Growth of a year at this pace by the deepest drawdown."),
    ("Max drawdown", "Deepest fall of equity below its highest, over every noted value."),
    ("Volatility", "Standard deviation of the returns, of a year."),
    ("Omega", "Sum of the gains by the sum of the losses of the grid's periods."),
    ("Tail ratio", "Size of the 95th percentile of the returns by that of the 5th."),
    ("Exposure", "What open positions and orders cost."),
    ("Win rate, profit factor, expectancy", "Of resolved windows with a fill: part with P&L above "
     "zero; gains by losses; mean P&L."),
    ("Turnover", "Bought and sold, without fees; also by capital."),
    ("Fill ratio", "Shares filled by shares ordered. Maker share: part of the filled shares whose "
     "order rested."),
    ("Adverse selection", "How far the mid moved against us after a fill, weighted by shares, in "
     "cents a share. Edge: how much better than the mid the fill was. Kept: edge less adverse "
     "selection, before fees."),
    ("Brier score", "Mean squared error of the stated probability of Up; 0 is perfect, 0.25 is "
     "what always saying one half earns. Skill: part of the baseline's error that is gone; the "
     "baseline always says how often Up came."),
    ("Reliability, resolution, uncertainty", "Brier = reliability - resolution + uncertainty + "
     "within bins (Murphy 1973). Reliability is what miscalibration costs, resolution what telling "
     "cases apart earns."),
    ("P&L by hour and time left", "What fills of that hour or time brought at resolution, fees "
     "paid; resolved windows only."),
)  # fmt: skip
"""Figures and their meaning, for the foot of the page."""
