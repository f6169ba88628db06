"""One backtest from what was asked to a saved report, step by step; for the CLI and for flows."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.backtest import BacktestAgent, BacktestConfig, Travel
from engine.backtest.run import run
from engine.results.summary import summarise
from models.errors import BadValue, ConfigError
from models.results import RunResult
from models.runs import RunSpec
from models.settings import Settings
from models.summary import Summary
from models.tape import Tape
from models.units import to_cash_e6
from risk.limits import Limits
from store.results.runs import save_run
from store.tape import open_tape
from tasks.recordings import bounds_ns, find_recording, refuse_empty, tape_of
from tasks.risk_policies import read_policies
from tasks.silences import Ages, ages_of

RUNS = "runs"
"""Folder under FLOOR_HOME where runs are saved."""


class Stopped(Exception):
    """Somebody asked to stop; nothing was saved. Handled by whoever passed the wish."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a step has come."""

    step: str
    """``reading`` the recording, ``running`` the agents, ``saving``."""
    done: int = 0
    total: int = 0
    at_ns: int | None = None
    """The time in the recording that was reached."""
    note: str = ""
    unit: str = "rows"


Tell = Callable[[Progress], None]


class Backtest:
    """One run: `load`, `play`, `summarise`, `save`, each once and in this order.

    The steps block and may be called from a thread. `stop` ends the step that runs with `Stopped`
    and keeps nothing of it.

    Parameters
    ----------
    spec
        What to run.
    tell
        Told how far a step has come, several times a second, in the step's own thread.
    """

    def __init__(self, spec: RunSpec, settings: Settings, tell: Tell = lambda _: None) -> None:
        self.spec = spec
        self.settings = settings
        self.folder: Path | None = None
        self._tell = tell
        self._stop = threading.Event()
        self._tape: Tape | None = None
        self._result: RunResult | None = None
        self._summary: Summary | None = None

    @property
    def tape(self) -> Tape:
        assert self._tape is not None, "load() comes first"
        return self._tape

    @property
    def result(self) -> RunResult:
        assert self._result is not None, "play() comes first"
        return self._result

    @property
    def summary(self) -> Summary:
        assert self._summary is not None, "summarise() comes first"
        return self._summary

    def stop(self) -> None:
        """End the step that runs; may be called from anywhere, also from a signal's handler."""
        self._stop.set()

    def load(self) -> None:
        """Find the recording and map its tape, made first where it must be.

        Raises
        ------
        ConfigError
            The recording is not there, can't be read, or has no window the run asks for.
        """
        self._at(Progress("reading"))
        path = tape_of(
            self.spec, self.settings, lambda done, total: self._at(Progress("reading", done, total))
        )
        self._at(Progress("reading"))
        self._tape = open_tape(path)
        if not len(self._tape):
            raise ConfigError(
                f"data {self.spec.data!r}: its tape is empty; there is nothing to play"
            )
        refuse_empty(self.spec, self._tape)

    def play(self) -> None:
        """Run the agents over the tape. Raises `ConfigError` for what they are refused for."""
        tape = self.tape
        config = config_of(self.spec, self.settings, ages_of(self.spec, tape))

        def tell(done: int, total: int) -> None:
            at_ns = int(tape.recv_ns[min(done, len(tape) - 1)])
            self._at(Progress("running", done, total, at_ns))

        self._result = run(tape, config, tell)

    def summarise(self) -> Summary:
        """Work out the figures."""
        self._summary = summarise(self.result)
        return self._summary

    def save(self, folder: Path | None = None, *, overwrite: bool = False) -> Path:
        """Save tables, figures and the report; the folder appears whole or not at all.

        Raises
        ------
        BadValue
            The folder exists and is not to be, or must not be, overwritten.
        """
        # matplotlib takes a second to import; only who saves a report pays it.
        from tasks.report.render import render_report

        self._at(Progress("saving"))
        report = render_report(self.result, self.summary)
        self._at(Progress("saving"))
        target = folder or unused(self.settings.floor_home / RUNS, self.spec.name)
        self.folder = save_run(target, self.result, self.summary, report, overwrite=overwrite)
        return self.folder

    def _at(self, progress: Progress) -> None:
        if self._stop.is_set():
            raise Stopped
        self._tell(progress)


def config_of(spec: RunSpec, settings: Settings, ages: Ages) -> BacktestConfig:
    """Return the engine's config of a run; limits an agent does not state are the settings'."""
    start_ns, end_ns = bounds_ns(spec)
    limits = [Limits.of(settings, agent) for agent in spec.agents]
    capital_e6 = to_cash_e6(settings.initial_capital)
    policies = read_policies(Path(spec.policies), capital_e6) if spec.policies else None
    if spec.shared_account and len(set(limits)) > 1:
        raise ConfigError(
            "shared_account: agents that share an account share its limits; give all agents the "
            "same capital_usd and risk"
        )
    return BacktestConfig(
        agents=tuple(
            BacktestAgent(agent, limit) for agent, limit in zip(spec.agents, limits, strict=True)
        ),
        fill_model=spec.fill_model,
        feed=_travel(spec.feed_latency),
        order=_travel(spec.order_latency),
        shared_account=spec.shared_account,
        sample_s=spec.sample_s,
        start_ns=start_ns,
        end_ns=end_ns,
        max_book_age_s=ages.book_s,
        max_spot_age_s=ages.spot_s,
        seed=spec.seed,
        policies=policies,
        floor_capital_e6=capital_e6 if policies else None,
        spec={"name": spec.name, "data": spec.data, "policies": spec.policies},
    )


def _travel(text: str) -> Travel:
    try:
        return Travel.parse(text)
    except BadValue as error:
        raise ConfigError(f"latency {text!r}: {error}") from None


def portable(spec: RunSpec, settings: Settings) -> RunSpec:
    """The same run with its files by whole paths, for processes that start in other folders."""
    found = {"data": str(find_recording(spec.data, settings))}
    if spec.policies:
        found["policies"] = str(Path(spec.policies).resolve())
    return spec.model_copy(update=found)


def unused(folder: Path, name: str) -> Path:
    """Return a path in `folder` that is not there: the name, the time, a number if need be."""
    stem = f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    path, number = folder / stem, 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}"
    return path
