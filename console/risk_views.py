"""How risk looks: tables for a terminal, plain values for programs."""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from console.view import duration
from models.units import SHARE, cash_decimal
from risk.breakers import Status
from risk.stress import Stressed
from risk.var import TailRisk
from tasks.risk_book import FloorBook
from tasks.risk_report import Measured, Picture, SpotTest, Used, ValueAtRisk

STYLES = {
    Status.CLOSED: "green",
    Status.HALF_OPEN: "yellow",
    Status.COOLING: "yellow",
    Status.TRIPPED: "bold red",
}


# --- floor risk show ------------------------------------------------------------------------------


def render(seen: Picture) -> RenderableType:
    """Return everything as tables under a few lines of text."""
    parts: list[RenderableType] = [_head(seen), _used(seen.used), _breakers(seen)]
    if seen.found.book.stakes:
        parts.append(_windows(seen))
    if seen.greeks:
        parts.append(_greeks(seen))
    parts += [Text(f"assumed: {text}", style="dim") for text in seen.found.assumed]
    return Group(*parts)


def _head(seen: Picture) -> Text:
    text = Text()
    if seen.kill is not None:
        text.append(f"KILLED  {seen.kill.reason} (by {seen.kill.by}); ", style="bold red")
        text.append("`floor risk reset kill` lifts it\n", style="bold red")
    how = "" if seen.worth.exact else " (the worst case: the model can't simulate this book)"
    text.append(
        f"VaR {_cash(seen.worth.var_e6)}, ES {_cash(seen.worth.es_e6)} at "
        f"{seen.worth.confidence:.0%} to resolution{how}\n"
        f"most that can be lost at resolution {_cash(max(0, -seen.worst.total_e6))}, with all "
        f"resting BUYs filled {_cash(seen.worth.worst_e6)}\n"
    )
    if seen.reserved_unknown:
        text.append(f"reservations: {seen.reserved_unknown}\n", style="yellow")
    for agent, used in sorted(seen.reserved.items()):
        text.append(f"reserved by {agent}: {_cash(used)}\n")
    if seen.facts_age_s is None:
        text.append("no facts are told: does the ops process run?\n", style="yellow")
    else:
        text.append(f"facts are {seen.facts_age_s:.0f} s old\n", style="dim")
    return text


def _used(lines: Sequence[Used]) -> Table:
    table = _table(("policy", "left"), ("limit", "right"), ("used", "right"), ("", "right"))
    for line in lines:
        share = line.share
        style = "" if share is None or share < 0.8 else "yellow" if share < 1 else "bold red"
        table.add_row(
            line.name,
            f"{line.limit:g} {line.unit}".strip(),
            "per order" if line.used is None else f"{line.used:.4g}",
            Text("" if share is None else f"{share:.0%}", style=style),
        )
    return table


def _breakers(seen: Picture) -> RenderableType:
    opened = [line for line in seen.breakers if line.state.status is not Status.CLOSED]
    if not opened:
        return Text(f"breakers: all closed ({len(seen.breakers)} have tripped before)\n")
    table = _table(("breaker", "left"), ("state", "left"), ("why", "left"), ("how", "left"))
    for line in opened:
        status = Text(line.state.status.value, style=STYLES[line.state.status])
        table.add_row(line.name, status, line.state.reason, line.how)
    return table


def _windows(seen: Picture) -> Table:
    table = _table(
        ("window", "left"), ("left", "right"), ("Up", "right"), ("Down", "right"),
        ("paid", "right"), ("P(Up)", "right"), ("worst", "right"),
    )  # fmt: skip
    for stake in seen.found.book.stakes:
        chance = seen.up_probability.get(stake.name)
        table.add_row(
            stake.name,
            duration(max(0.0, stake.seconds_left)),
            f"{stake.up_e6 / SHARE:g}",
            f"{stake.down_e6 / SHARE:g}",
            _cash(stake.cost_e6),
            "" if chance is None else f"{chance:.3f}",
            _cash(seen.worst.by_stake[stake.name]),
        )
    return table


def _greeks(seen: Picture) -> Table:
    table = _table(
        ("asset", "left"), ("spot", "right"), ("delta", "right"), ("gamma", "right"),
        ("vega", "right"), ("theta", "right"), ("hedge: buy", "left"),
    )  # fmt: skip
    for asset, one in sorted(seen.greeks.items()):
        hedges = [
            f"{line.hedge.size_e6 / SHARE:g} {line.hedge.outcome} of {line.hedge.name} "
            f"at {line.price:g}"
            for line in seen.hedges
            if line.asset == asset
        ]
        table.add_row(
            asset,
            f"{seen.found.book.markets[asset].spot:,.2f}",
            *(f"{value:.4g}" for value in (one.delta, one.gamma, one.vega, one.theta)),
            "\n".join(hedges) or "nothing",
        )
    return table


def show_json(seen: Picture) -> dict[str, Any]:
    """Return plain values; money as text in dollars, so that no reader rounds it."""
    kill = seen.kill
    return {
        "kill": None
        if kill is None
        else {"reason": kill.reason, "by": kill.by, "since_ns": kill.since_ns},
        "policies": [
            {"policy": one.name, "limit": one.limit, "used": one.used, "unit": one.unit,
             "share": one.share}
            for one in seen.used
        ],
        "breakers": [
            {"name": one.name, "status": one.state.status.value, "reason": one.state.reason,
             "since_ns": one.state.since_ns, "trips": one.state.trips, "how": one.how}
            for one in seen.breakers
        ],
        "reserved_usd": {agent: _usd(used) for agent, used in sorted(seen.reserved.items())},
        "reserved_unknown": seen.reserved_unknown,
        "facts_age_s": seen.facts_age_s,
        "confidence": seen.worth.confidence,
        "var_usd": _usd(seen.worth.var_e6),
        "es_usd": _usd(seen.worth.es_e6),
        "max_loss_usd": _usd(max(0, -seen.worst.total_e6)),
        "max_loss_if_filled_usd": _usd(seen.worth.worst_e6),
        "simulated": seen.worth.exact,
        "windows": [
            {"name": one.name, "asset": one.asset, "seconds_left": round(one.seconds_left, 1),
             "up": one.up_e6 / SHARE, "down": one.down_e6 / SHARE, "paid_usd": _usd(one.cost_e6),
             "up_probability": seen.up_probability.get(one.name),
             "worst_usd": _usd(seen.worst.by_stake[one.name])}
            for one in seen.found.book.stakes
        ],
        "greeks": {
            asset: {"delta": one.delta, "gamma": one.gamma, "vega": one.vega, "theta": one.theta}
            for asset, one in sorted(seen.greeks.items())
        },
        "hedges": [
            {"asset": one.asset, "window": one.hedge.name, "outcome": one.hedge.outcome.value,
             "shares": one.hedge.size_e6 / SHARE, "price": one.price}
            for one in seen.hedges
        ],
        "assumed": list(seen.found.assumed),
    }  # fmt: skip


# --- floor risk stress ----------------------------------------------------------------------------


def stress_table(results: Sequence[Stressed], found: FloorBook) -> RenderableType:
    if not found.book.stakes:
        return Text("nothing is open: no scenario changes anything")
    table = _table(
        ("scenario", "left"), ("expected", "right"), ("change", "right"), ("ES 99 %", "right"),
        ("worst", "right"), ("what happens", "left"),
    )  # fmt: skip
    for one in results:
        table.add_row(
            one.scenario.name, _cash(one.after_e6), _cash(one.change_e6), _cash(one.es_e6),
            _cash(one.worst_e6), one.scenario.description,
        )  # fmt: skip
    notes = [Text(f"assumed: {text}", style="dim") for text in found.assumed]
    return Group(table, *notes)


def stress_json(results: Sequence[Stressed], assumed: Sequence[str]) -> dict[str, Any]:
    return {
        "scenarios": [
            {"name": one.scenario.name, "before_usd": _usd(one.before_e6),
             "after_usd": _usd(one.after_e6), "change_usd": _usd(one.change_e6),
             "es99_usd": _usd(one.es_e6), "worst_usd": _usd(one.worst_e6)}
            for one in results
        ],
        "assumed": list(assumed),
    }  # fmt: skip


# --- floor risk var -------------------------------------------------------------------------------


def var_tables(found: ValueAtRisk) -> RenderableType:
    results = _table(
        ("method", "left"), ("VaR 95", "right"),
        ("ES 95", "right"), ("VaR 99", "right"), ("ES 99", "right"), ("", "left"),
    )  # fmt: skip
    for one, other in zip(found.measured[0.95], found.measured[0.99], strict=True):
        results.add_row(one.method, *_tail(one.tail), *_tail(other.tail), one.why_not)
    if found.book is not None:
        tails = [found.book.tail(confidence) for confidence in (0.95, 0.99)]
        results.add_row(
            "open book", *_tail(tails[0]), *_tail(tails[1]),
            f"expected {_cash(round(found.book.mean_e6))}, a loss in "
            f"{found.book.loss_probability:.0%}, at worst {_cash(found.worst_e6)}",
        )  # fmt: skip
    else:
        results.add_row("open book", "", "", "", "", found.book_why_not)
    spot = _table(
        ("spot model", "left"), ("moves", "right"), ("beyond", "right"), ("expected", "right"),
        ("Kupiec p", "right"), ("Christ. p", "right"), ("", "left"),
    )  # fmt: skip
    for line in found.spot:
        spot.add_row(
            f"{line.asset} {line.confidence:.0%}", str(line.observations),
            str(line.violations) if line.tests else "",
            f"{line.observations * (1 - line.confidence):.1f}" if line.tests else "",
            *(f"{test.p_value:.3f}" for test in line.tests), *([""] * (2 - len(line.tests))),
            line.why_not or verdict(line),
        )  # fmt: skip
    return Group(Text(f"results of {found.windows} window ends, and the open book"), results, spot)


def verdict(line: SpotTest) -> str:
    """What the back-tests say, for people."""
    bad = [test.name for test in line.tests if test.p_value < 0.01]
    return f"rejected by {', '.join(bad)}" if bad else "accepted"


def var_json(found: ValueAtRisk) -> dict[str, Any]:
    book = found.book
    return {
        "windows": found.windows,
        "results": {
            f"{confidence:g}": {one.method: _measured(one) for one in measured}
            for confidence, measured in found.measured.items()
        },
        "book": {"why_not": found.book_why_not}
        if book is None
        else {
            "paths": len(book.results_e6), "mean_usd": _usd(round(book.mean_e6)),
            "loss_probability": book.loss_probability, "worst_usd": _usd(found.worst_e6),
            "tails": {
                f"{confidence:g}": _tail_json(book.tail(confidence)) for confidence in (0.95, 0.99)
            },
        },
        "spot": [
            {"asset": one.asset, "confidence": one.confidence, "observations": one.observations,
             "violations": one.violations, "why_not": one.why_not,
             "p_values": {test.name: test.p_value for test in one.tests}}
            for one in found.spot
        ],
    }  # fmt: skip


def _measured(one: Measured) -> dict[str, Any]:
    return {"why_not": one.why_not} if one.tail is None else _tail_json(one.tail)


def _tail_json(tail: TailRisk) -> dict[str, str]:
    return {"var_usd": _usd(round(tail.var)), "es_usd": _usd(round(tail.es))}


def _tail(tail: TailRisk | None) -> tuple[str, str]:
    return ("", "") if tail is None else (_cash(round(tail.var)), _cash(round(tail.es)))


# --- parts ----------------------------------------------------------------------------------------


def _table(*columns: tuple[str, str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, justify in columns:
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    return table


def _cash(cash_e6: int) -> str:
    return f"${cash_decimal(cash_e6):,.2f}"


def _usd(cash_e6: int) -> str:
    return str(cash_decimal(cash_e6))
