"""Keep a finished run in a folder: all of it or nothing, and never over another by accident.

=====================  =====================================================
file                   what it holds
=====================  =====================================================
``run.json``           what was run, on which markets, what reading found
``summary.json``       the figures
``<table>.parquet``    one for each table of `models.results.TABLES`
``report.html``        the report, when there is one
=====================  =====================================================
"""

import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from models.errors import BadValue, ConfigError
from models.markets import Market
from models.results import TABLES, RunResult
from models.summary import SUMMARY_VERSION, Summary
from models.tape import Report
from store.results.tables import read_table, write_table

FORMAT_VERSION = 1
RUN, SUMMARY, REPORT = "run.json", "summary.json", "report.html"

_MARKETS = TypeAdapter(tuple[Market, ...])
_REPORTS = TypeAdapter(tuple[Report, ...])


@dataclass(frozen=True, slots=True)
class SavedRun:
    """A run read back."""

    result: RunResult
    summary: Summary
    report: Path | None
    """The HTML report beside it, if there is one."""


def save_run(
    folder: Path,
    result: RunResult,
    summary: Summary,
    report: str | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Write a run to `folder`, which appears whole or not at all.

    Parameters
    ----------
    report
        HTML text to keep beside it.
    overwrite
        Replace a saved run of that name. Anything else at that place is never touched.

    Returns
    -------
    The folder.

    Raises
    ------
    BadValue
        The folder exists (and is no saved run, or `overwrite` is not set), or the run's spec
        can't be written as JSON.
    """
    folder = folder.absolute()
    _refuse(folder, overwrite)
    document = _document(result)
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        scratch.chmod(0o755)
        for name in TABLES:
            write_table(scratch / f"{name}.parquet", result.tables[name])
        (scratch / SUMMARY).write_text(summary.model_dump_json(indent=1), encoding="utf-8")
        if report is not None:
            (scratch / REPORT).write_text(report, encoding="utf-8", errors="backslashreplace")
        (scratch / RUN).write_text(document, encoding="utf-8")
        for path in (*scratch.iterdir(), scratch):
            _to_disk(path)
        _put(scratch, folder, overwrite)
        _to_disk(folder.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _refuse(folder: Path, overwrite: bool) -> None:
    if not folder.exists() and not folder.is_symlink():
        return
    if not overwrite:
        raise BadValue(f"{folder} exists; choose another name, or say that it may be overwritten")
    if not (folder / RUN).is_file():
        raise BadValue(f"{folder} exists and is no saved run (no {RUN}); choose another name")


def _put(scratch: Path, folder: Path, overwrite: bool) -> None:
    """Give the finished folder its name; an old run stays until the new one is there."""
    if not overwrite or not folder.exists():
        # Refuses when somebody else made the folder meanwhile, unless it is empty.
        try:
            scratch.rename(folder)
        except OSError as error:
            raise BadValue(f"{folder} could not be made ({error}); choose another name") from error
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".old", dir=folder.parent))
    folder.rename(old / "run")
    try:
        scratch.rename(folder)
    except OSError:
        (old / "run").rename(folder)
        old.rmdir()
        raise
    shutil.rmtree(old, ignore_errors=True)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _document(result: RunResult) -> str:
    document = {
        "version": FORMAT_VERSION,
        "spec": result.spec,
        "agents": result.agents,
        "capital_e6": result.capital_e6,
        "start_ns": result.start_ns,
        "end_ns": result.end_ns,
        "events": result.events,
        "wakes": result.wakes,
        "wall_s": result.wall_s,
        "failures": dict(result.failures),
        "winners": result.winners,
        "rows": {name: len(result.tables[name]["agent"]) for name in TABLES},
        "markets": [asdict(market) for market in result.markets],
        "data": _REPORTS.dump_python(result.data, mode="json"),
    }
    try:
        # Plain ASCII: escapes keep even text that UTF-8 has no bytes for.
        return json.dumps(document, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadValue(f"run: its spec can't be written as JSON ({error}); use plain values") from (
            error
        )


def load_run(folder: Path) -> SavedRun:
    """Read a saved run back, equal to what was saved.

    Lists and tuples of the spec both come back as lists, as JSON has only these.

    Raises
    ------
    ConfigError
        There is no run, it is of a version this program does not know, or a file of it is
        missing or spoilt; names the file.
    """
    document = _json(folder / RUN)
    if document.get("version") != FORMAT_VERSION:
        raise ConfigError(
            f"{folder / RUN}: version {document.get('version')!r}, this program reads "
            f"{FORMAT_VERSION}; run it again"
        )
    tables = {name: read_table(folder / f"{name}.parquet", name) for name in TABLES}
    try:
        for name, rows in document["rows"].items():
            if len(tables[name]["agent"]) != rows:
                raise ConfigError(
                    f"{folder / name}.parquet: {len(tables[name]['agent'])} rows, {rows} were "
                    "saved; run it again"
                )
        result = RunResult(
            spec=document["spec"],
            agents=tuple(document["agents"]),
            capital_e6=tuple(document["capital_e6"]),
            markets=_MARKETS.validate_python(document["markets"]),
            tables=tables,
            start_ns=document["start_ns"],
            end_ns=document["end_ns"],
            events=document["events"],
            wakes=document["wakes"],
            wall_s=document["wall_s"],
            data=_REPORTS.validate_python(document["data"]),
            failures=document["failures"],
            winners=tuple(document["winners"]),
        )
    except (KeyError, AttributeError, TypeError, BadValue, ValidationError) as error:
        raise ConfigError(f"{folder / RUN}: not a saved run ({error}); run it again") from error
    report = folder / REPORT
    return SavedRun(result, load_summary(folder), report if report.is_file() else None)


def load_summary(folder: Path) -> Summary:
    """Read the figures alone, which is quick. Raises `ConfigError` as `load_run`."""
    document = _json(folder / SUMMARY)
    if document.get("version") != SUMMARY_VERSION:
        raise ConfigError(
            f"{folder / SUMMARY}: version {document.get('version')!r}, this program reads "
            f"{SUMMARY_VERSION}; run it again"
        )
    try:
        return Summary.model_validate(document)
    except ValidationError as error:
        raise ConfigError(f"{folder / SUMMARY}: {error}; run it again") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: missing; {path.parent} holds no saved run") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not readable as JSON ({error}); run it again") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: not an object; {path.parent} holds no saved run")
    return document
