"""How status and progress look: tables for a terminal, plain lines for everything else."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from console.floor import Progress
from console.status import FloorStatus, ProgramStatus
from models.agents import AgentStatus
from models.units import cash_decimal
from store.agents import AgentOverview

STATUS_STYLE = {
    AgentStatus.RUNNING: "green",
    AgentStatus.STARTING: "yellow",
    AgentStatus.STOPPED: "dim",
    AgentStatus.PAUSED: "yellow",
    AgentStatus.FAILED: "bold red",
}


def render(status: FloorStatus, *, hint: str = "") -> RenderableType:
    """Return the whole status as tables under a few lines of text."""
    parts: list[RenderableType] = [_head(status)]
    parts.append(_programs(status))
    parts.append(agents_table(status.agents) if status.agents else _no_agents(status))
    if hint:
        parts.append(Text(hint, style="dim"))
    return Group(*parts)


def _head(status: FloorStatus) -> Text:
    text = Text()
    if not status.up:
        text.append("the floor is not running", style="bold")
        text.append(f" ({status.home}); start it with `make run` or `floor up`\n")
        return text
    text.append("trading floor", style="bold")
    text.append(f"  mode {status.mode}", style="bold red" if status.mode == "live" else "cyan")
    text.append(f"  up {duration(status.uptime_s)}\n")
    text.append(f"Prefect UI  {status.prefect_ui}\n")
    if status.mode != "live":
        text.append(f"liquidity   {liquidity(status)}\n")
    if results := fill_results(status):
        text.append(f"fills       {results}\n")
    if status.halt:
        text.append(f"HALTED      {status.halt}\n", style="bold red")
    return text


def liquidity(status: FloorStatus) -> str:
    """Say plainly where the simulator's book comes from."""
    answer = status.liquidity
    if not answer:
        return "the simulator does not answer"
    words = f"{answer.get('liquidity', 'unknown')}: {answer.get('description', '')}"
    seconds = answer.get("window_seconds")
    return f"{words} (windows of {seconds} s)" if seconds else words


def fill_results(status: FloorStatus) -> str:
    """Say what simulated orders made: really, and under each assumption about queues."""
    answer = status.liquidity or {}
    pnl = answer.get("pnl")
    if not isinstance(pnl, dict) or not pnl:
        return ""
    made = ", ".join(f"{name} {cash}" for name, cash in pnl.items())
    return f"P&L in $ under FILL_MODEL={answer.get('fill_model', 'unknown')}: {made}"


def _programs(status: FloorStatus) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, justify in (
        ("process", "left"), ("what", "left"), ("state", "left"), ("pid", "right"),
        ("up", "right"), ("memory", "right"), ("restarts", "right"),
    ):  # fmt: skip
        wide = name in ("what", "state")
        table.add_column(name, justify=justify, no_wrap=not wide)  # type: ignore[arg-type]
    for row in status.programs:
        table.add_row(
            row.name,
            row.about,
            Text(row.state, style=_state_style(row)),
            str(row.pid or ""),
            duration(row.uptime_s),
            megabytes(row.memory_bytes),
            str(row.restarts or ""),
        )
    total = sum(row.memory_bytes for row in status.programs)
    count = sum(row.processes for row in status.programs)
    if count:
        table.add_row("", f"{count} processes", "", "", "", megabytes(total), "", style="dim")
    return table


def _state_style(row: ProgramStatus) -> str:
    if row.state in ("running", "done"):
        return "green"
    return "yellow" if row.state.startswith(("waits", "starts")) else "red"


def agents_table(agents: Iterable[AgentOverview]) -> Table:
    """Return one row per agent; money in dollars."""
    table = Table(box=None, pad_edge=False, header_style="dim", title_justify="left")
    for name, justify in (
        ("agent", "left"), ("status", "left"), ("today $", "right"), ("total $", "right"),
        ("orders", "right"), ("held $", "right"), ("seen", "right"), ("window", "left"),
    ):  # fmt: skip
        least = {"status": 9, "window": 6}.get(name)
        table.add_column(
            name,
            justify=justify,  # type: ignore[arg-type]
            no_wrap=least is None,
            min_width=least,
        )
    for agent in agents:
        table.add_row(
            agent.name,
            Text(_status(agent), style=STATUS_STYLE.get(agent.status, "")),
            _pnl(agent.pnl_today_e6),
            _pnl(agent.pnl_total_e6),
            str(agent.open_orders),
            dollars(agent.position_cost_e6),
            age(agent.heartbeat_age_s),
            agent.window_slug,
        )
    return table


def _no_agents(status: FloorStatus) -> Text:
    reason = status.agents_unknown or "none yet: supervise reads deployments/agents"
    return Text(f"agents: {reason}", style="dim")


def _status(agent: AgentOverview) -> str:
    return f"{agent.status.value}: {agent.reason}" if agent.reason else agent.status.value


def _pnl(cash_e6: int) -> Text:
    style = "green" if cash_e6 > 0 else "red" if cash_e6 < 0 else ""
    return Text(f"{cash_decimal(cash_e6):+.2f}" if cash_e6 else "0.00", style=style)


def dollars(cash_e6: int) -> str:
    return f"{cash_decimal(cash_e6):.2f}"


def megabytes(count: int) -> str:
    return f"{count / 2**20:.0f} MB" if count else ""


def duration(seconds: float | None) -> str:
    """Say a length of time with one or two units."""
    if seconds is None:
        return ""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def age(seconds: float | None) -> str:
    return "never" if seconds is None else f"{duration(max(0.0, seconds))} ago"


def progress_line(step: Progress) -> str:
    """Return one plain line for a program's new state while starting."""
    return f"{step.seconds:5.1f} s  {step.program.about}: {step.state}"


def progress_table(steps: Iterable[Progress]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for step in steps:
        mark = Text("✓", style="green") if step.ready else Spinner("dots")
        seconds = f"{step.seconds:.1f} s" if step.ready else ""
        style = "green" if step.ready else "dim"
        table.add_row(mark, step.program.about, Text(step.state, style=style), seconds)
    return table


def plain_lines(status: FloorStatus) -> list[str]:
    """Return the status as lines for a log: no colours, no tables."""
    lines = [
        f"agent {agent.name}: {_status(agent)}, today {dollars(agent.pnl_today_e6)}, "
        f"total {dollars(agent.pnl_total_e6)}, {agent.open_orders} open orders, "
        f"heartbeat {age(agent.heartbeat_age_s)}, {agent.window_slug or 'no window'}"
        for agent in status.agents
    ]
    off = [row for row in status.programs if row.state not in ("running", "done")]
    lines += [f"{row.about}: {row.state}" for row in off]
    if results := fill_results(status):
        lines.append(f"fills: {results}")
    if status.halt:
        lines.append(f"halted: {status.halt}")
    return lines
