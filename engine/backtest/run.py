"""One backtest from a tape and a config to its result."""

import time
from collections.abc import Callable

import numpy as np

from engine.backtest.config import BacktestConfig
from engine.backtest.player import Player
from models.errors import ConfigError
from models.results import UNRESOLVED, RunResult
from models.tape import Tape
from models.units import SECOND_NS

Progress = Callable[[int, int], None]
"""Told rows done and rows in all, several times a second; may raise to end the run."""


def run(tape: Tape, config: BacktestConfig, on_progress: Progress | None = None) -> RunResult:
    """Run a backtest. Blocks; call it from a thread where an event loop must go on.

    Parameters
    ----------
    on_progress
        Told rows done and rows in all; what it raises ends the run and reaches the caller.

    Raises
    ------
    ConfigError
        The tape is empty or has a row no tape may have (which one is said, before anybody is
        shown it), no market that any agent trades in the time asked for, an unknown strategy,
        wrong parameters.
    """
    began = time.perf_counter()
    begin_ns, end_ns, last = _span(tape, config)
    player = Player(
        tape, config, 0, last, begin_ns, end_ns,
        lambda done: on_progress(done, last) if on_progress is not None else None,
    )  # fmt: skip
    if on_progress is not None:
        on_progress(0, last)
    player.play()
    if on_progress is not None:
        on_progress(last, last)
    return RunResult(
        spec=_spec(config),
        agents=tuple(agent.name for agent in player.agents),
        capital_e6=tuple(agent.spec.capital_e6 for agent in player.agents),
        markets=tape.markets,
        tables=player.recorder.tables(),
        start_ns=begin_ns,
        end_ns=end_ns,
        events=player.reel.done,
        wakes=sum(agent.calls for agent in player.agents),
        wall_s=time.perf_counter() - began,
        data=tape.reports,
        winners=tuple(player.won.get(i, UNRESOLVED) for i in range(len(tape.markets))),
        failures={a.name: a.failure for a in player.agents if a.failure is not None},
    )


def _span(tape: Tape, config: BacktestConfig) -> tuple[int, int, int]:
    """First and last moment of the run, and the row after the last one that is played."""
    if not len(tape):
        raise ConfigError("the tape is empty; there is nothing to play")
    begin_ns = int(tape.recv_ns[0]) if config.start_ns is None else config.start_ns
    last = len(tape)
    end_ns = int(tape.recv_ns[-1]) + 2 * config.feed.median_ns + SECOND_NS
    if config.end_ns is not None:
        end_ns = min(end_ns, config.end_ns)
        last = int(np.searchsorted(tape.recv_ns, end_ns, side="right"))
    if begin_ns >= end_ns:
        raise ConfigError(f"the tape ends at {end_ns}, before the run would begin at {begin_ns}")
    wanted = {(one.asset, one.timeframe) for agent in config.agents for one in agent.spec.markets}
    if not any(
        (m.asset, m.timeframe) in wanted and m.end_ns > begin_ns and m.start_ns < end_ns
        for m in tape.markets
    ):
        there = sorted({f"{m.asset} {m.timeframe}" for m in tape.markets}) or ["none"]
        raise ConfigError(
            f"no market of {', '.join(f'{a} {t}' for a, t in sorted(wanted))} in the time asked "
            f"for; the tape has {', '.join(there)}"
        )
    return begin_ns, end_ns, last


def _spec(config: BacktestConfig) -> dict[str, object]:
    """What was run, JSON-serialisable."""
    return {
        **config.spec,
        "agents": [
            {
                **agent.spec.model_dump(mode="json"),
                "limits": {
                    "capital_e6": agent.limits.capital_e6,
                    "risk_per_trade_e6": agent.limits.risk_per_trade_e6,
                    "max_position_e6": agent.limits.max_position_e6,
                    "max_daily_loss_e6": agent.limits.max_daily_loss_e6,
                    "max_concurrent_trades": agent.limits.max_concurrent_trades,
                },
            }
            for agent in config.agents
        ],
        "fill_model": config.fill_model.value,
        "feed_latency": str(config.feed),
        "order_latency": str(config.order),
        "grace_ns": config.grace_ns,
        "shared_account": config.shared_account,
        "sample_s": config.sample_s,
        "taker_delay": config.taker_delay,
        "mined_s": config.mined_s,
        "confirmed_s": config.confirmed_s,
        "max_book_age_s": config.max_book_age_s,
        "max_spot_age_s": config.max_spot_age_s,
        "quit_before_end_s": config.quit_before_end_s,
        "seed": config.seed,
    }
