"""What a run comes to, in figures people read: made from a `RunResult`, saved as JSON.

Money is whole base units (e6). Ratios are floats; one that is undefined is None, never NaN.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

SUMMARY_VERSION = 1


class Figures(BaseModel):
    """Base: frozen, closed, and finite, so that it is JSON both ways."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Money(Figures):
    """Exact amounts in e6."""

    capital_e6: int
    final_e6: int
    """Last equity: cash and open positions as the run valued them."""
    pnl_e6: int
    """Last equity less capital."""
    settled_pnl_e6: int
    """P&L of the windows that resolved."""
    unsettled_pnl_e6: int
    """The rest of the P&L: open positions at their value, rebates."""
    bought_e6: int
    sold_e6: int
    payout_e6: int
    fees_e6: int
    turnover_e6: int
    """Bought and sold, without fees."""
    turnover_of_capital: float
    """Turnover by capital."""


class Returns(Figures):
    """Ratios of the returns on the declared grid (`Summary.period_s`), of a 365-day year.

    All None where equity was not above zero on the whole grid or it has no whole period.
    """

    observations: int
    total: float
    """Last equity by capital, less 1."""
    sharpe: float | None
    sharpe_error: float | None
    """Standard error of `sharpe` (Mertens 2002), of a year too."""
    above_zero: float | None
    """Probabilistic Sharpe ratio: how sure it is that the true one is above zero."""
    sortino: float | None
    calmar: float | None
    """Growth of a year by the depth of the deepest drawdown."""
    volatility: float | None
    downside_deviation: float | None
    omega: float | None
    tail_ratio: float | None
    skewness: float | None
    kurtosis: float | None
    cagr: float | None
    """Growth of a year at the run's pace; None too where a float can't hold it."""


class DrawdownFigures(Figures):
    """The deepest fall of equity below its highest, over every noted value (not the grid)."""

    depth: float
    """Fraction of the peak that was lost, at least 0; above 1 when equity fell below zero."""
    depth_e6: int
    """Money lost from peak to trough, at least 0."""
    peak_ns: int
    trough_ns: int
    recovered_ns: int | None
    length_s: float
    """From the peak to recovery, or to the end of the run."""


class Exposure(Figures):
    """What open positions and orders cost, over the run's time."""

    most_e6: int
    mean_e6: int
    """Weighted by time."""
    time_exposed: float
    """Fraction of the run with exposure above zero."""


class Windows(Figures):
    """Market windows with at least one fill. Ratios are of those that resolved."""

    count: int
    unresolved: int
    won: int
    """P&L above zero."""
    lost: int
    """P&L below zero; the rest came out even."""
    win_rate: float | None
    """Won by resolved."""
    profit_factor: float | None
    """What the winners brought by what the losers cost; None without a loser."""
    expectancy_e6: float | None
    """Mean P&L of a resolved window, e6."""
    mean_win_e6: float | None
    mean_loss_e6: float | None
    best_e6: int | None
    worst_e6: int | None
    longest_losing_streak: int
    """Windows in a row, in order of their close, that lost."""


class Orders(Figures):
    count: int
    by_state: dict[str, int]
    filled_any: int
    """Orders with a fill."""
    fill_ratio: float | None
    """Shares filled by shares ordered, at most 1 an order (a market buy may get more)."""
    fills: int
    maker_share: float | None
    """Part of the filled shares that we made rather than took."""


class Adverse(Figures):
    """How the market's mid moved after our fills, weighted by shares, in cents a share.

    Positive `adverse_cents`: it moved against us. `edge_cents` is how much better than the mid
    the fill was, so ``kept = edge - adverse`` is what the fill was worth at the new mid, before
    fees. Fills without a mid at either time are left out and counted.
    """

    role: Literal["maker", "taker", "all"]
    horizon_s: int
    fills: int
    left_out: int
    adverse_cents: float | None
    error_cents: float | None
    """Standard error of `adverse_cents`."""
    edge_cents: float | None
    kept_cents: float | None


class CalibrationBin(Figures):
    """Forecasts of one range of probability and how often Up came.

    Forecasts of one market are one experience, so the interval is Wilson's for as many trials as
    there are markets, not forecasts.
    """

    low: float
    high: float
    forecasts: int
    markets: int
    mean: float
    """Of the forecasts."""
    happened: float
    """Fraction of the forecasts whose market ended Up."""
    happened_low: float
    happened_high: float
    """Interval of 95 %."""


class Calibration(Figures):
    """How good the stated probabilities were. Lower Brier scores are better."""

    forecasts: int
    """Those on markets that resolved."""
    left_out: int
    """Those on markets that did not, and values that are no probability."""
    markets: int
    brier: float
    """Mean of ``(probability - outcome) ** 2``."""
    brier_baseline: float
    """Of always saying how often Up came: ``uncertainty``."""
    skill: float | None
    """``1 - brier / baseline``; None when only one outcome ever came."""
    brier_market: float | None
    """Of the market's mid at the same forecasts, where the run noted it."""
    brier_beside_market: float | None
    """Ours on exactly the forecasts of `brier_market`."""
    reliability: float
    """Murphy (1973): mean square gap between bins' forecasts and frequencies; 0 is perfect."""
    resolution: float
    """Mean square gap between bins' frequencies and the overall one; more is better."""
    uncertainty: float
    within_bins: float
    """What forecasts differing within a bin add (Stephenson et al. 2008), so that
    ``brier = reliability - resolution + uncertainty + within_bins``."""
    log_loss: float
    """Mean ``-ln`` of the probability given to what came, probabilities kept 1e-6 off 0 and 1."""
    bins: tuple[CalibrationBin, ...]


class Bucket(Figures):
    """P&L at resolution of the fills of one kind, fees paid; buckets add up to the windows'."""

    label: str
    low: int
    high: int | None
    fills: int
    volume_e6: int
    fees_e6: int
    pnl_e6: int


class AgentSummary(Figures):
    name: str
    money: Money
    returns: Returns
    drawdown: DrawdownFigures
    exposure: Exposure
    windows: Windows
    orders: Orders
    adverse: tuple[Adverse, ...]
    calibration: Calibration | None
    """None without a forecast on a resolved market."""
    by_hour: tuple[Bucket, ...]
    """By UTC hour of the fill; hours without one are left out."""
    by_time_left: tuple[Bucket, ...]
    """By seconds from the fill to the window's end."""
    failure: str | None = None
    """Traceback that ended the agent's run."""


class Summary(Figures):
    version: int = SUMMARY_VERSION
    start_ns: int
    end_ns: int
    period_s: int
    """The grid that returns are taken on."""
    events: int
    wakes: int
    wall_s: float
    agents: tuple[AgentSummary, ...]
    total: AgentSummary
    """All agents as one account."""
