"""From the name of a recording to a tape that is mapped from disk, made once and then kept."""

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from models.agents import MarketSelector
from models.errors import ConfigError
from models.runs import RunSpec
from models.settings import ROOT, Settings
from models.tape import Tape
from models.units import MILLISECOND_NS, SECOND_NS
from risk.digital import up_probabilities
from store.tape import ReadOptions, convert, reader_of, recorded_sets
from store.tape.convert import Reader

Progress = Callable[[int, int], None]

TAPES = "tapes"
"""Folder under FLOOR_HOME where tapes made of recordings are kept; it may be deleted."""
_READERS = (ROOT / "store" / "tape", ROOT / "risk" / "digital.py")
"""What a recording's tape depends on besides the recording."""


def find_recording(data: str, settings: Settings) -> Path:
    """Return the file or folder that `data` means.

    A path that exists, or a recorded set: its name as in ``floor data list``, a part of it, or
    the name of its reader, as long as only one set is meant.

    Raises
    ------
    ConfigError
        Nothing or more than one thing is meant; says what there is.
    """
    path = Path(data).expanduser()
    if path.exists():
        return path.resolve()
    folder = settings.floor_data_dir
    if not folder.is_dir():
        raise ConfigError(
            f"data {data!r}: no such file, and FLOOR_DATA_DIR={folder} is no folder of recordings"
        )
    sets = {
        str(found.relative_to(folder)): (found, reader.name)
        for found, reader in recorded_sets(folder)
        if reader is not None
    }
    meant = [name for name, (_, reader) in sets.items() if data in name or data == reader]
    if data in sets:
        meant = [data]
    if len(meant) == 1:
        return sets[meant[0]][0].resolve()
    if meant:
        raise ConfigError(f"data {data!r} may mean {', '.join(meant)}; write more of the name")
    close = get_close_matches(data, sets, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    there = ", ".join(sets) or "none"
    raise ConfigError(f"data {data!r}: no such file or recorded set{hint}; there are: {there}")


def tape_of(spec: RunSpec, settings: Settings, on_progress: Progress | None = None) -> Path:
    """Return a tape file of the run's recording, converting it the first time.

    A tape is returned as it is. What a recording becomes depends on the reader and on the
    markets and times the run asks for; it is kept under FLOOR_HOME until any of them changes.

    Raises
    ------
    ConfigError
        The recording is not there, no reader knows it, or it can't be read.
    """
    source = find_recording(spec.data, settings)
    reader = reader_of(source)
    if reader.name == "tape":
        return source
    options = _options(spec, reader)
    kept = settings.floor_home / TAPES / f"{source.stem}-{_digest(source, options)}.tape"
    if kept.is_file():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    # Two that convert the same at once each put a whole file there; the last one stays.
    draft = kept.with_name(f".{kept.stem}.{os.getpid()}")
    try:
        convert(source, draft, options, on_progress)
        draft.replace(kept)
    finally:
        draft.unlink(missing_ok=True)
    return kept


def refuse_empty(spec: RunSpec, tape: Tape) -> None:
    """Raise `ConfigError` when no market of the agents lies in the run's time."""
    wanted = {(one.asset, one.timeframe) for agent in spec.agents for one in agent.markets}
    start_ns, end_ns = bounds_ns(spec)
    mine = [m for m in tape.markets if (m.asset, m.timeframe) in wanted]
    asked = ", ".join(f"{asset} {timeframe}" for asset, timeframe in sorted(wanted))
    if not mine:
        kinds = {f"{m.asset} {m.timeframe}".strip() for m in tape.markets}
        there = sorted(kind or "markets of no known asset" for kind in kinds) or ["no market"]
        raise ConfigError(f"data {spec.data!r} has no {asked} window; it has {', '.join(there)}")
    if not any(
        (end_ns is None or m.start_ns < end_ns) and (start_ns is None or m.end_ns > start_ns)
        for m in mine
    ):
        first, last = min(m.start_ns for m in mine), max(m.end_ns for m in mine)
        raise ConfigError(
            f"data {spec.data!r} has no {asked} window between "
            f"{'its start' if start_ns is None else _time(start_ns)} and "
            f"{'its end' if end_ns is None else _time(end_ns)}; "
            f"it has them from {_time(first)} to {_time(last)}"
        )


def bounds_ns(spec: RunSpec) -> tuple[int | None, int | None]:
    """First and last moment of a run in ns, None where the recording's counts."""

    return _ns(spec.start), _ns(spec.end)


def _ns(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1_000) * MILLISECOND_NS


def _options(spec: RunSpec, reader: Reader) -> ReadOptions:
    markets = [one for agent in spec.agents for one in agent.markets]
    if reader.name == "bars":
        start_ns, end_ns = bounds_ns(spec)
        return ReadOptions(
            value=up_probabilities, timeframe=_one(spec, reader, markets, "timeframe"),
            start_ns=start_ns, end_ns=end_ns,
        )  # fmt: skip
    if reader.name == "csv":
        return ReadOptions(
            asset=_one(spec, reader, markets, "asset"),
            timeframe=_one(spec, reader, markets, "timeframe"),
        )
    if reader.name == "captures":
        return ReadOptions(
            assets=tuple(sorted({one.asset for one in markets})),
            timeframes=tuple(sorted({one.timeframe for one in markets})),
        )
    return ReadOptions()


def _one(spec: RunSpec, reader: Reader, markets: list[MarketSelector], key: str) -> str:
    values = sorted({str(getattr(one, key)) for one in markets})
    if len(values) > 1:
        raise ConfigError(
            f"data {spec.data!r}: {reader.name} are made into windows of one {key}, the agents "
            f"trade {' and '.join(values)}; run them one by one"
        )
    return values[0]


def _digest(source: Path, options: ReadOptions) -> str:
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    facts = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    # The value function's representation holds its address; which one it is says `_code`.
    told = repr(options).replace(repr(options.value), "")
    return hashlib.sha256(repr((facts, told, _code())).encode()).hexdigest()[:16]


@cache
def _code() -> str:
    files: list[Path] = []
    for each in _READERS:
        files += sorted(each.rglob("*.py")) if each.is_dir() else [each]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _time(ns: int) -> str:
    return datetime.fromtimestamp(ns // SECOND_NS, UTC).strftime("%Y-%m-%dT%H:%M")
