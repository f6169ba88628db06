"""What the `floor data` commands do; imported by them alone, as it takes long to import."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from models.errors import BadValue, ConfigError
from models.tape import Report, Row, Tape
from models.units import SECOND_NS
from risk.digital import up_probabilities
from store.tape.check import check_tape
from store.tape.convert import ReadOptions, convert, read_recording, reader_of, recorded_sets
from store.tape.file import open_tape
from store.tape.parquet import export_parquet
from store.tape.readers.bars import ModelBook
from store.tape.readers.prices_csv import PriceBook, Volume
from store.tape.rules import RULES

console = Console()

Tell = Callable[[int, int], None]


def show_sets(folder: Path, as_json: bool) -> None:
    """Print what lies in a folder of recordings and what reads it."""
    found = [(str(path.relative_to(folder)), reader) for path, reader in recorded_sets(folder)]
    if as_json:
        rows = [
            {"path": path, "reader": reader and reader.name, "what": reader and reader.what}
            for path, reader in found
        ]
        print(json.dumps(rows, indent=2))
        return
    table = Table("set", "reader", "what", box=None)
    for path, reader in found:
        table.add_row(
            path,
            "-" if reader is None else reader.name,
            "no tape is made of it" if reader is None else reader.what,
        )
    console.print(table)


def show_info(path: Path, as_json: bool) -> None:
    """Print a tape's markets, times, rows by kind and reports."""
    tape = open_tape(path)
    facts = _facts(tape)
    if as_json:
        print(json.dumps(facts | {"reports": [_report(each) for each in tape.reports]}, indent=2))
        return
    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), _text(value))
    console.print(table)
    for report in tape.reports:
        _show(report)


def show_check(path: Path, gap_s: float, as_json: bool) -> bool:
    """Print what is wrong with a tape or a recording; return whether anything is."""
    reader = reader_of(path)
    with _progress("checking") as tell:
        if reader.name == "tape":
            reports: tuple[Report, ...] = (check_tape(path, gap_s, tell),)
        else:
            options = ReadOptions(value=up_probabilities, gap_s=gap_s)
            reports = read_recording(path, options).reports
    if as_json:
        print(json.dumps([_report(each) for each in reports], indent=2))
    else:
        for report in reports:
            _show(report)
    return any(report.counts for report in reports)


def export(source: Path, out: Path) -> None:
    """Export a tape to Parquet and say so. Raises `ConfigError` for what is no tape."""
    if reader_of(source).name != "tape":
        raise ConfigError(f"{source}: only a tape can be exported to Parquet; convert it first")
    with _progress("exporting") as tell:
        export_parquet(source, out, tell)
    console.print(f"wrote {out} ({_megabytes(out)})", highlight=False, soft_wrap=True)


def make_tape(source: Path, out: Path, options: ReadOptions) -> None:
    """Convert a recording and print what was found."""
    with _progress("converting") as tell:
        tape = convert(source, out, options, tell)
    console.print(
        f"wrote {out}: {len(tape):,} rows, {len(tape.markets)} markets ({_megabytes(out)})",
        highlight=False,
        soft_wrap=True,
    )
    for report in tape.reports:
        _show(report)


def options_of(
    *,
    start: datetime | None,
    end: datetime | None,
    timeframe: str,
    asset: str,
    assets: list[str] | None,
    spread: float,
    depth: int,
    seed: int,
    volume: str,
    gap: float | None,
) -> ReadOptions:
    """Translate the command's words. Raises `BadValue` for one that is wrong."""
    if volume not in tuple(Volume):
        raise BadValue(f"--volume {volume!r} is not one of {', '.join(Volume)}")
    spread_e4 = round(spread * 10_000)
    return ReadOptions(
        value=up_probabilities,
        timeframe=timeframe,
        model=ModelBook(spread_e4=spread_e4, depth=depth, seed=seed),
        assets=tuple(assets or ReadOptions().assets),
        asset=asset,
        book=PriceBook(spread_e4=spread_e4),
        volume=Volume(volume),
        gap_s=gap,
        start_ns=_ns(start),
        end_ns=_ns(end),
    )


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 2**20:.1f} MB"


def _ns(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    return round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()) * SECOND_NS


def _facts(tape: Tape) -> dict[str, Any]:
    kinds = [0] * len(Row)
    block = 1 << 20
    for start in range(0, len(tape), block):
        kind = tape.kind[start : start + block]
        for row in Row:
            kinds[row] += int((kind == row).sum())
        tape.release(start)
    slugs = [market.slug for market in tape.markets]
    return {
        "rows": len(tape),
        "from": _time(int(tape.recv_ns[0])) if len(tape) else None,
        "to": _time(int(tape.recv_ns[-1])) if len(tape) else None,
        "rows_by_kind": {row.name: kinds[row] for row in Row if kinds[row]},
        "assets": list(tape.assets),
        "levels_a_side": tape.depth,
        "markets": len(slugs),
        "first_markets": slugs[:5],
    }


def _time(ns: int) -> str:
    return datetime.fromtimestamp(ns / SECOND_NS, UTC).isoformat(timespec="milliseconds")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count:,}" for name, count in value.items())
    if isinstance(value, list):
        return ", ".join(value) or "-"
    return "all" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _report(report: Report) -> dict[str, Any]:
    return {
        "source": report.source,
        "rows": report.rows,
        "counts": dict(report.counts),
        "samples": {rule: list(texts) for rule, texts in report.samples.items()},
        "notes": list(report.notes),
    }


def _show(report: Report) -> None:
    _line(f"{report.source}: {report.rows:,} rows read")
    if not report.counts:
        _line("  nothing was skipped or repaired")
    for rule, count in report.counts.items():
        _line(f"  {rule}: {count:,} ({RULES.get(rule, '')})")
        for sample in report.samples.get(rule, ())[:3]:
            _line(f"    {sample}", style="dim")
    for note in report.notes:
        _line(f"  note: {note}")


def _line(text: str, style: str = "") -> None:
    console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _progress(what: str) -> Iterator[Tell]:
    """A bar on stderr while something goes over rows; none where nobody watches."""
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
