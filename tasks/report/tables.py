"""The report's tables: figures side by side, windows, orders, data."""

from collections.abc import Callable, Sequence

import numpy as np

from models.markets import Market
from models.results import UNRESOLVED, RunResult
from models.summary import AgentSummary, Calibration, Summary
from models.units import SECOND_NS
from tasks.report.markup import Child, Markup, el, join, table
from tasks.report.words import (
    NONE,
    cents,
    duration,
    moment,
    percent,
    price,
    ratio,
    shares,
    usd,
)

FIRST = 200
"""Rows of windows and of orders that are shown; the tables beside the report hold them all."""
LONGEST = 400
"""Characters of a reason or note that are shown."""

FORECASTS = "Probabilities"
"""The group that is left out where nobody stated any."""

Row = tuple[str, Callable[[AgentSummary], Child]]


def _sharpe(agent: AgentSummary) -> str:
    error = agent.returns.sharpe_error
    return ratio(agent.returns.sharpe) + (f" ± {ratio(error)}" if error is not None else "")


def _drawdown(agent: AgentSummary) -> str:
    fall = agent.drawdown
    return f"{percent(fall.depth)} ({usd(fall.depth_e6)})"


def _recovery(agent: AgentSummary) -> str:
    fall = agent.drawdown
    if not fall.depth_e6:
        return NONE
    return duration(fall.length_s) + ("" if fall.recovered_ns else ", not over")


def _scores(read: Callable[[Calibration], float | None]) -> Callable[[AgentSummary], Child]:
    return lambda agent: ratio(read(agent.calibration), 4) if agent.calibration else NONE


GROUPS: tuple[tuple[str, tuple[Row, ...]], ...] = (
    ("Money, USD", (
        ("Capital", lambda a: usd(a.money.capital_e6)),
        ("P&L", lambda a: gain(a.money.pnl_e6)),
        ("of it settled", lambda a: usd(a.money.settled_pnl_e6, sign=True)),
        ("of it open", lambda a: usd(a.money.unsettled_pnl_e6, sign=True)),
        ("Fees", lambda a: usd(a.money.fees_e6)),
        ("Turnover", lambda a: f"{usd(a.money.turnover_e6)} ({ratio(a.money.turnover_of_capital)}"
                               " × capital)"),
    )),
    ("Returns and risk", (
        ("Return", lambda a: percent(a.returns.total, sign=True)),
        ("Periods", lambda a: f"{a.returns.observations:,}"),
        ("Sharpe ratio, a year", _sharpe),
        ("Chance above zero", lambda a: percent(a.returns.above_zero, places=1)),
        ("Sortino ratio, a year", lambda a: ratio(a.returns.sortino)),
        ("Calmar ratio", lambda a: ratio(a.returns.calmar)),
        ("Growth of a year at this pace", lambda a: percent(a.returns.cagr, sign=True)),
        ("Volatility, a year", lambda a: percent(a.returns.volatility)),
        ("Downside deviation, a year", lambda a: percent(a.returns.downside_deviation)),
        ("Omega", lambda a: ratio(a.returns.omega)),
        ("Tail ratio", lambda a: ratio(a.returns.tail_ratio)),
        ("Skewness, kurtosis", lambda a: f"{ratio(a.returns.skewness)}, "
                                         f"{ratio(a.returns.kurtosis)}"),
        ("Max drawdown", _drawdown),
        ("from peak to recovery", _recovery),
        ("Exposure, mean", lambda a: usd(a.exposure.mean_e6)),
        ("Exposure, most", lambda a: usd(a.exposure.most_e6)),
        ("Time exposed", lambda a: percent(a.exposure.time_exposed, places=1)),
    )),
    ("Windows", (
        ("Windows traded", lambda a: f"{a.windows.count:,}"),
        ("Unresolved", lambda a: f"{a.windows.unresolved:,}"),
        ("Won, lost", lambda a: f"{a.windows.won:,}, {a.windows.lost:,}"),
        ("Win rate", lambda a: percent(a.windows.win_rate, places=1)),
        ("Profit factor", lambda a: ratio(a.windows.profit_factor)),
        ("Expectancy a window, USD", lambda a: usd(a.windows.expectancy_e6, sign=True)),
        ("Mean win, mean loss, USD", lambda a: f"{usd(a.windows.mean_win_e6, sign=True)}, "
                                               f"{usd(a.windows.mean_loss_e6, sign=True)}"),
        ("Best, worst, USD", lambda a: f"{usd(a.windows.best_e6, sign=True)}, "
                                       f"{usd(a.windows.worst_e6, sign=True)}"),
        ("Longest losing streak", lambda a: f"{a.windows.longest_losing_streak:,}"),
    )),
    ("Orders", (
        ("Orders", lambda a: f"{a.orders.count:,}"),
        ("with a fill", lambda a: f"{a.orders.filled_any:,}"),
        ("Fills", lambda a: f"{a.orders.fills:,}"),
        ("Fill ratio", lambda a: percent(a.orders.fill_ratio, places=1)),
        ("Maker share", lambda a: percent(a.orders.maker_share, places=1)),
    )),
    (FORECASTS, (
        ("Forecasts judged", lambda a: f"{a.calibration.forecasts:,} on "
                                       f"{a.calibration.markets:,} markets"
                                       if a.calibration else NONE),
        ("Brier score", _scores(lambda c: c.brier)),
        ("baseline", _scores(lambda c: c.brier_baseline)),
        ("of the market's mid", _scores(lambda c: c.brier_market)),
        ("ours beside it", _scores(lambda c: c.brier_beside_market)),
        ("Skill", lambda a: percent(a.calibration.skill, sign=True, places=1)
                            if a.calibration else NONE),
        ("Reliability", _scores(lambda c: c.reliability)),
        ("Resolution", _scores(lambda c: c.resolution)),
        ("Uncertainty", _scores(lambda c: c.uncertainty)),
        ("Within bins", _scores(lambda c: c.within_bins)),
        ("Log loss", _scores(lambda c: c.log_loss)),
    )),
)  # fmt: skip


def gain(cash_e6: int) -> Markup:
    """Write P&L with its sign, coloured by it."""
    kind = "good" if cash_e6 > 0 else "bad" if cash_e6 < 0 else None
    return el("span", usd(cash_e6, sign=True), class_=kind)


def shown(summary: Summary) -> tuple[AgentSummary, ...]:
    """Columns of the comparison: the agents, and the total where it is not the only one."""
    return (*summary.agents, summary.total) if len(summary.agents) != 1 else summary.agents


def figures(summary: Summary) -> Markup:
    columns = shown(summary)
    head = el(
        "tr",
        el("th", "", scope="col"),
        [el("th", agent.name, scope="col", class_="num") for agent in columns],
    )
    body = [
        (
            el("tr", el("th", name, colspan=str(len(columns) + 1), scope="rowgroup"),
               class_="group"),
            [
                el("tr", el("th", label, scope="row"),
                   [el("td", read(agent), class_="num") for agent in columns])
                for label, read in rows
            ],
        )
        for name, rows in GROUPS
        if name != FORECASTS or summary.total.calibration
    ]  # fmt: skip
    return el(
        "div", el("table", el("thead", head), el("tbody", body)), class_="scroll", tabindex="0"
    )


def adverse(agents: Sequence[AgentSummary]) -> Markup:
    rows: list[list[Child]] = [
        [
            agent.name, row.role, f"{row.horizon_s} s", f"{row.fills:,}", f"{row.left_out:,}",
            cents(row.edge_cents), cents(row.adverse_cents, row.error_cents),
            cents(row.kept_cents),
        ]
        for agent in agents for row in agent.adverse if row.fills or row.left_out
    ]  # fmt: skip
    head = ("agent", "role", "after", "fills", "no mid", "edge", "adverse", "kept")
    if not rows:
        return el("p", "There were no fills.", class_="note")
    return table(head, rows, numeric=range(2, 8), caption="Cents a share, ± one standard error")


def _market(market: Market) -> str:
    return market.slug or market.condition_id


def _note(what: str, total: int) -> Markup | None:
    if total <= FIRST:
        return None
    return el(
        "p",
        f"The first {FIRST:,} of {total:,} {what}; the table beside this report holds them all.",
        class_="note",
    )


def windows(result: RunResult) -> Markup:
    rows = result.tables["windows"]
    total = len(rows["agent"])
    order = np.argsort(rows["opened_ns"], kind="stable")[:FIRST]
    winners = {0: "Up", 1: "Down", UNRESOLVED: "unresolved"}
    body: list[list[Child]] = [
        [
            _market(result.markets[rows["market"][at]]), result.agents[rows["agent"][at]],
            moment(int(rows["opened_ns"][at])), winners.get(int(rows["winner"][at]), NONE),
            f"{rows['fills'][at]:,}", usd(int(rows["bought_e6"][at])),
            usd(int(rows["sold_e6"][at])), usd(int(rows["payout_e6"][at])),
            usd(int(rows["fees_e6"][at])),
            _window_pnl(int(rows["pnl_e6"][at]), int(rows["winner"][at])),
        ]
        for at in order
    ]  # fmt: skip
    if not body:
        return el("p", "No window had a fill.", class_="note")
    head = ("window", "agent", "first fill, UTC", "winner", "fills", "bought", "sold", "payout",
            "fees", "P&L, USD")  # fmt: skip
    return join([_note("windows", total), table(head, body, numeric=range(4, 10), tall=True)])


def _window_pnl(pnl_e6: int, winner: int) -> Child:
    """Write a window's P&L; an open one's is what it would be at the last value."""
    return f"{usd(pnl_e6, sign=True)} open" if winner == UNRESOLVED else gain(pnl_e6)


def _cut(value: str) -> str:
    return value if len(value) <= LONGEST else value[:LONGEST] + "…"


def orders(result: RunResult) -> Markup:
    rows = result.tables["orders"]
    total = len(rows["agent"])
    order = np.argsort(rows["created_ns"], kind="stable")[:FIRST]
    body: list[list[Child]] = [
        [
            moment(int(rows["created_ns"][at])), result.agents[rows["agent"][at]],
            _market(result.markets[rows["market"][at]]),
            f"{'SELL' if rows['side'][at] else 'BUY'} {'Down' if rows['outcome'][at] else 'Up'}",
            price(int(rows["price_e4"][at])), shares(int(rows["size_e6"][at])),
            shares(int(rows["filled_e6"][at])),
            str(rows["tif"][at]) + (" post-only" if rows["post_only"][at] else ""),
            str(rows["state"][at]), _lasted(int(rows["created_ns"][at]), int(rows["ended_ns"][at])),
            _cut(str(rows["reason"][at])), _cut(str(rows["note"][at])),
        ]
        for at in order
    ]  # fmt: skip
    if not body:
        return el("p", "No order was sent.", class_="note")
    head = ("created, UTC", "agent", "market", "order", "price", "shares", "filled", "for",
            "state", "lasted", "reason", "note")  # fmt: skip
    return join([_note("orders", total), table(head, body, (4, 5, 6, 9), long=(10, 11), tall=True)])


def _lasted(created_ns: int, ended_ns: int) -> str:
    return duration((ended_ns - created_ns) / SECOND_NS) if ended_ns >= created_ns else NONE


def data(result: RunResult) -> Markup:
    """Say what reading the recordings skipped or repaired, rule by rule."""
    if not result.data:
        return el("p", "The run came with no report on its data.", class_="note")
    rows: list[list[Child]] = []
    for report in result.data:
        rows.append([report.source, f"{report.rows:,}", "rows read", "", ""])
        rows.extend(
            ["", "", rule, f"{count:,}", "\n".join(report.samples.get(rule, ()))]
            for rule, count in report.counts.items()
        )
    head = ("source", "rows", "rule", "skipped or repaired", "first findings")
    return table(head, rows, numeric=(1, 3), long=(4,))
