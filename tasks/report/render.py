"""The page: what a run brought, how it was reached, and what to believe of it."""

import json
from collections.abc import Sequence

from engine.results.curves import curve
from models.results import RunResult
from models.summary import AgentSummary, Summary
from models.units import SECOND_NS
from tasks.report import plots, tables
from tasks.report.markup import Child, Markup, el, join
from tasks.report.style import CSS, DASHES, SERIES
from tasks.report.words import (
    DEFINITIONS,
    FILL_MODELS,
    NONE,
    duration,
    moment,
    percent,
    ratio,
    usd,
)

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""What the page may load or run: nothing."""
FEW = 30
"""Fewer returns or windows than this say next to nothing about the next ones."""
SHORT_S = 7 * 86_400


def render_report(result: RunResult, summary: Summary) -> str:
    """Write the report of a run as one HTML page without scripts or anything from elsewhere.

    Parameters
    ----------
    result, summary
        A run and the figures made of it.
    """
    name = str(result.spec.get("name") or "Backtest")
    head = el(
        "head",
        el("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", f"{name}: report"),
        el("style", Markup(CSS)),
    )
    body = el("body", el("main", *_sections(result, summary, name)))
    return f"<!doctype html>\n{el('html', head, body, lang='en')}\n"


def _sections(result: RunResult, summary: Summary, name: str) -> tuple[Child, ...]:
    return (
        el("h1", name),
        el("p", _subtitle(result, summary), class_="sub"),
        _cautions(result, summary),
        _tiles(summary),
        _charts(result, summary),
        el("h2", "Figures"),
        tables.figures(summary),
        el("h2", "Adverse selection"),
        tables.adverse(tables.shown(summary)),
        el("h2", "What was assumed"),
        _assumptions(result, summary),
        el("h2", "Data"),
        tables.data(result),
        el("h2", "Windows"),
        tables.windows(result),
        el("h2", "Orders"),
        tables.orders(result),
        [_failure(name, trace) for name, trace in result.failures.items()],
        el("h2", "What the figures mean"),
        el(
            "dl",
            [(el("dt", word), el("dd", meaning)) for word, meaning in DEFINITIONS],
            class_="card",
        ),
    )


def _subtitle(result: RunResult, summary: Summary) -> str:
    length = duration((summary.end_ns - summary.start_ns) / SECOND_NS)
    agents = f"{len(result.agents)} agent{'s' if len(result.agents) != 1 else ''}"
    return (
        f"{moment(summary.start_ns)} to {moment(summary.end_ns)} UTC ({length}) · {agents} · "
        f"{len(result.markets):,} markets · {result.events:,} events · {result.wakes:,} wake-ups · "
        f"{result.wall_s:.2f} s to run"
    )


def cautions(result: RunResult, summary: Summary) -> list[str]:
    """Say what keeps these figures from meaning what they seem to."""
    said = [f"{name} failed and was stopped; its traceback is below." for name in result.failures]
    total = summary.total
    if total.returns.observations < FEW:
        said.append(
            f"Ratios rest on {total.returns.observations} returns of "
            f"{duration(summary.period_s)}: too few to tell skill from luck."
        )
    settled = total.windows.count - total.windows.unresolved
    if settled < FEW:
        said.append(f"Windows that were traded and resolved: only {settled}.")
    if (summary.end_ns - summary.start_ns) < SHORT_S * SECOND_NS and total.returns.cagr is not None:
        said.append("Figures of a year extrapolate a run of less than a week.")
    if total.windows.unresolved:
        said.append(
            f"Windows that never resolved: {total.windows.unresolved}. What is held in them counts "
            f"at its last value ({usd(total.money.unsettled_pnl_e6, sign=True)} USD of the P&L)."
        )
    if result.spec.get("fill_model") == "front":
        said.append("The fill model is the optimistic one: real fills will be fewer and worse.")
    if any(agent.returns.observations == 0 for agent in summary.agents):
        said.append("An agent without ratios lost all it had, or ran less than one period.")
    return said


def _cautions(result: RunResult, summary: Summary) -> Markup | None:
    said = cautions(result, summary)
    if not said:
        return None
    return el(
        "div",
        el("strong", "Read with care"),
        el("ul", [el("li", line) for line in said]),
        class_="warn",
    )


def _tile(name: str, value: Child, more: str) -> Markup:
    return el(
        "div",
        el("div", name, class_="name"),
        el("div", value, class_="value"),
        el("div", more, class_="more"),
        class_="tile",
    )


def _tiles(summary: Summary) -> Markup:
    total = summary.total
    error = total.returns.sharpe_error
    brier = total.calibration
    return el(
        "div",
        _tile(
            "P&L, USD",
            tables.gain(total.money.pnl_e6),
            f"{percent(total.returns.total, sign=True)} of {usd(total.money.capital_e6)}",
        ),
        _tile(
            "Sharpe ratio",
            ratio(total.returns.sharpe),
            f"± {ratio(error)}, of a year" if error is not None else "undefined",
        ),
        _tile("Max drawdown", percent(total.drawdown.depth), f"{usd(total.drawdown.depth_e6)} USD"),
        _tile(
            "Win rate",
            percent(total.windows.win_rate, places=1),
            f"profit factor {ratio(total.windows.profit_factor)}",
        ),
        _tile("Fees, USD", usd(total.money.fees_e6), f"turnover {usd(total.money.turnover_e6)}"),
        _tile(
            "Fill ratio",
            percent(total.orders.fill_ratio, places=1),
            f"maker share {percent(total.orders.maker_share, places=1)}",
        ),
        _tile(
            "Brier score",
            ratio(brier.brier, 4) if brier else NONE,
            f"baseline {ratio(brier.brier_baseline, 4)}" if brier else "no forecasts",
        ),
        class_="tiles",
    )


def _legend(agents: Sequence[AgentSummary]) -> Markup:
    """Name the agents' colours; drawn here, so that names never pass through the charts."""

    def swatch(number: int) -> Markup:
        dashes = ",".join(f"{each:g}" for each in DASHES[number // len(SERIES) % len(DASHES)])
        return Markup(
            '<svg width="30" height="10" aria-hidden="true"><line x1="1" x2="29" y1="5" y2="5" '
            f'stroke="var(--s{number % len(SERIES)})" stroke-width="3" '
            f'stroke-dasharray="{dashes or "none"}"/></svg>'
        )

    return el(
        "div",
        [el("span", swatch(number), agent.name) for number, agent in enumerate(agents)],
        class_="legend",
    )


def _figure(title: str, note: str, drawing: Markup, wide: bool = False) -> Markup:
    return el(
        "figure",
        el("figcaption", el("h3", title), el("span", note, class_="note")),
        drawing,
        class_="wide" if wide else None,
    )


def _charts(result: RunResult, summary: Summary) -> Child:
    agents = summary.agents
    lines = [curve(result, [number]) for number in range(len(result.agents))]
    judged = any(agent.calibration for agent in agents)
    return (
        el("h2", "Charts"),
        _legend(agents),
        el(
            "div",
            _figure("Equity", "Less each agent's capital.", plots.equity(lines), wide=True),
            _figure("Drawdown", "Below the highest equity so far.", plots.drawdowns(lines)),
            _figure("Exposure", "What positions and orders cost.", plots.exposures(lines)),
            _figure("P&L by window", "Resolved windows at their close.", plots.window_pnl(result)),
            _figure(
                "P&L by hour", "Of the fills of that hour, fees paid.", plots.pnl_by_hour(agents)
            ),
            _figure(
                "P&L by time to expiry",
                "Of the fills with that long to go, fees paid.",
                plots.pnl_by_time_left(agents),
            ),
            _figure(
                "Adverse selection",
                "Above zero, the market moved against us after the fill.",
                plots.adverse(agents),
            ),
            [
                _figure(
                    "Calibration",
                    "On the dashed line is perfect. Bars are 95 % by number of markets.",
                    plots.calibration(agents),
                ),
                _figure(
                    "Forecasts",
                    "How many stand behind each point of the calibration.",
                    plots.calibration_counts(agents),
                ),
            ]
            if judged
            else el("p", "No agent stated a probability on a resolved market.", class_="note"),
            class_="charts",
        ),
    )


def _assumptions(result: RunResult, summary: Summary) -> Child:
    spec = result.spec
    model = str(spec.get("fill_model", ""))
    rows: list[tuple[str, str]] = [
        ("Fill model", f"{model}: {FILL_MODELS[model]}" if model in FILL_MODELS else model),
        ("Order latency", _latency(spec.get("order_latency"))),
        ("Feed latency", _latency(spec.get("feed_latency"))),
        ("Own impact", "What we take of a recorded book stays gone for the rest of the recording."),
        ("Returns", f"Every {duration(summary.period_s)}; a year has 365 days."),
        ("Account", "One purse for all agents." if spec.get("shared_account") else
         "Each agent has its own capital."),
        ("Seed", str(spec.get("seed", NONE))),
    ]  # fmt: skip
    stated = json.dumps(spec, indent=2, default=str, ensure_ascii=False)
    return (
        el(
            "dl",
            [(el("dt", name), el("dd", value or "not stated")) for name, value in rows],
            class_="card",
        ),
        el("details", el("summary", "Everything that was asked for"), el("pre", stated)),
    )


def _latency(stated: object) -> str:
    if stated is None:
        return "not stated"
    kind, *parts = str(stated).split(":")
    if kind == "constant" and len(parts) == 1:
        return f"{parts[0]}, always the same"
    if kind == "sampled" and len(parts) == 2:
        return f"drawn anew each time, median {parts[0]}, spread {parts[1]} (log-normal)"
    return "none: faster than anything real" if str(stated) == "0" else str(stated)


def _failure(name: str, trace: str) -> Markup:
    return join([el("h2", f"{name} failed"), el("pre", trace)])
