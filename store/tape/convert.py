"""Which reader reads what, and turning any recording into a tape."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from models.errors import ConfigError
from models.tape import Tape
from store.tape.cut import cut
from store.tape.file import ARROW_MAGIC, open_tape
from store.tape.parquet import Progress, import_parquet, is_tape_parquet
from store.tape.readers import bars, book5, captures, prices_csv, quotes
from store.tape.writer import write_tape


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What readers may be told; each looks at what concerns it.

    Parameters
    ----------
    value
        Fair value of the modelled books (`risk.digital.up_probabilities`); bars need it.
    timeframe
        Windows that bars are cut into.
    model
        How the modelled books quote.
    assets, timeframes
        Which markets of the captures.
    asset
        Of CSV prices whose market ids are no slugs.
    book, volume
        The book around CSV prices, and what their volume means.
    gap_s
        Silence after which the feed counts as dark; each reader has its own default.
    start_ns, end_ns
        The part of the recording that is wanted.
    """

    value: bars.FairValue | None = None
    timeframe: str = "15m"
    model: bars.ModelBook = field(default_factory=bars.ModelBook)
    assets: tuple[str, ...] = ("BTC", "ETH")
    timeframes: tuple[str, ...] = ("5m", "15m", "1h", "4h")
    asset: str = ""
    book: prices_csv.PriceBook = field(default_factory=prices_csv.PriceBook)
    volume: prices_csv.Volume = prices_csv.Volume.IGNORE
    gap_s: float | None = None
    start_ns: int | None = None
    end_ns: int | None = None


Read = Callable[[Path, ReadOptions], Tape]
Write = Callable[[Path, Path, ReadOptions, Progress | None], Tape]


@dataclass(frozen=True, slots=True)
class Reader:
    """One kind of recording: how it is known, and how it becomes a tape.

    `read` makes a tape in memory; `write` makes a file of one, which may be larger than memory,
    and at least one of them is there.
    """

    name: str
    what: str
    fits: Callable[[Path], bool]
    read: Read | None = None
    write: Write | None = None
    whole: bool = True
    """Whether it makes a tape of everything, of which the part that is wanted must be cut."""


def reader_of(path: Path) -> Reader:
    """Return the reader of a file or folder. Raises `ConfigError` where there is none."""
    if not path.exists():
        raise ConfigError(f"{path}: there is no such file or folder")
    for reader in READERS:
        if reader.fits(path):
            return reader
    raise ConfigError(
        f"{path}: no reader knows this; there are: "
        + "; ".join(f"{reader.name} ({reader.what})" for reader in READERS)
    )


def read_recording(path: Path, options: ReadOptions | None = None) -> Tape:
    """Make a tape of a recording in memory; a tape's own file is only opened.

    Raises
    ------
    ConfigError
        Nothing reads it, it can't be read, or it is of a kind too large for memory: convert it.
    """
    options = options or ReadOptions()
    reader = reader_of(path)
    if reader.read is None:
        raise ConfigError(f"{path}: is read by way of a file: `floor data convert` it first")
    tape = reader.read(path, options)
    return cut(tape, options.start_ns, options.end_ns) if _cuts(reader, options) else tape


def convert(
    path: Path, out: Path, options: ReadOptions | None = None, on_progress: Progress | None = None
) -> Tape:
    """Make a tape file of a recording and open it. Raises as `read_recording`."""
    options = options or ReadOptions()
    reader = reader_of(path)
    if path.resolve() == out.resolve():
        raise ConfigError(f"{out}: is the source itself; name another file")
    if not _cuts(reader, options):
        return _whole(reader, path, out, options, on_progress)
    draft = out.with_name(f".{out.name}.whole")
    try:
        tape = _whole(reader, path, draft, options, on_progress)
        return cut(tape, options.start_ns, options.end_ns, out)
    finally:
        draft.unlink(missing_ok=True)


def recorded_sets(folder: Path) -> Iterator[tuple[Path, Reader | None]]:
    """Yield what lies in the folder of recorded data, with its reader; None where nothing is."""
    if not folder.is_dir():
        raise ConfigError(f"{folder}: there is no such folder; set FLOOR_DATA_DIR")
    for path in sorted(path for path in folder.iterdir() if path.name != "README.md"):
        whole = _reader(path)
        files = sorted(path.iterdir()) if path.is_dir() else []
        single = [(file, reader) for file in files if (reader := _reader(file)) is not None]
        if whole is not None or not single:
            yield path, whole
        else:
            yield from single


def _reader(path: Path) -> Reader | None:
    return next((reader for reader in READERS if reader.fits(path)), None)


def _cuts(reader: Reader, options: ReadOptions) -> bool:
    return reader.whole and (options.start_ns, options.end_ns) != (None, None)


def _whole(
    reader: Reader, path: Path, out: Path, options: ReadOptions, on_progress: Progress | None
) -> Tape:
    if reader.write is not None:
        return reader.write(path, out, options, on_progress)
    assert reader.read is not None
    return write_tape(reader.read(path, options), out)


def _has(path: Path, name: str) -> bool:
    return (path / name).is_file() if path.is_dir() else path.name == name and path.is_file()


def _begins(path: Path, magic: bytes) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _is_bars(path: Path) -> bool:
    if not path.is_file() or path.suffix != ".parquet" or "USD" not in path.name:
        return False
    try:
        names = pq.read_schema(path).names
    except (OSError, pa.ArrowException):
        return False
    return {"date", "open", "high", "low", "close"} <= set(names)


def _is_csv(path: Path) -> bool:
    if not path.is_file() or path.suffix.lower() != ".csv":
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        header = file.readline(1_000).lower()
    return all(name in header for name in prices_csv.COLUMNS)


def _fair_value(path: Path, options: ReadOptions) -> bars.FairValue:
    if options.value is None:
        raise ConfigError(f"{path}: bars need a fair value to model books around")
    return options.value


def _read_tape(path: Path, options: ReadOptions) -> Tape:
    return open_tape(path)


def _import(path: Path, out: Path, options: ReadOptions, on_progress: Progress | None) -> Tape:
    return import_parquet(path, out, on_progress)


def _read_book5(path: Path, options: ReadOptions) -> Tape:
    return book5.read_book5(path, gap_s=options.gap_s or 10.0)


def _read_captures(path: Path, options: ReadOptions) -> Tape:
    return captures.read_captures(
        path, assets=options.assets, timeframes=options.timeframes, gap_s=options.gap_s or 600.0
    )


def _read_bars(path: Path, options: ReadOptions) -> Tape:
    return bars.read_bars(
        path, _fair_value(path, options), timeframe=options.timeframe, model=options.model,
        start_ns=options.start_ns, end_ns=options.end_ns,
    )  # fmt: skip


def _write_bars(path: Path, out: Path, options: ReadOptions, on_progress: Progress | None) -> Tape:
    return bars.write_bars(
        path, out, _fair_value(path, options), timeframe=options.timeframe, model=options.model,
        start_ns=options.start_ns, end_ns=options.end_ns, on_progress=on_progress,
    )  # fmt: skip


def _write_quotes(
    path: Path, out: Path, options: ReadOptions, on_progress: Progress | None
) -> Tape:
    return quotes.write_quotes(path, out, on_progress=on_progress)


def _read_csv(path: Path, options: ReadOptions) -> Tape:
    return prices_csv.read_prices_csv(
        path, asset=options.asset, timeframe=options.timeframe, book=options.book,
        volume=options.volume, gap_s=options.gap_s or 3600.0,
    )  # fmt: skip


def _is_tape(path: Path) -> bool:
    return _begins(path, ARROW_MAGIC)


def _is_exported(path: Path) -> bool:
    return path.is_file() and path.suffix == ".parquet" and is_tape_parquet(path)


def _is_book5(path: Path) -> bool:
    return _has(path, book5.FILE)


def _are_captures(path: Path) -> bool:
    return _has(path, captures.CAPTURES)


def _are_quotes(path: Path) -> bool:
    return _has(path, quotes.FILE)


READERS = (
    Reader("tape", "a tape file of this floor", _is_tape, _read_tape),
    Reader("parquet", "a tape exported to Parquet", _is_exported, write=_import),
    Reader("book5", "15m BTC books at 1 Hz, five levels, spot, trades", _is_book5, _read_book5),
    Reader(
        "captures", "best bid and ask of up/down markets every two minutes, spot, outcomes",
        _are_captures, _read_captures,
    ),
    Reader(
        "bars", "1-minute spot bars; books are modelled", _is_bars, _read_bars, _write_bars, False
    ),
    Reader("quotes", "best bid and ask of a whole day, for load", _are_quotes, write=_write_quotes),
    Reader("csv", f"CSV with {', '.join(prices_csv.COLUMNS)}", _is_csv, _read_csv),
)  # fmt: skip
"""Every reader; the first that fits a path reads it."""
