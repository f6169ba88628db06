"""A sweep's folder: trials as they finish, so that a killed sweep goes on, and the results.

=====================  =============================================================
file                   what it holds
=====================  =============================================================
``trials.jsonl``       every outcome on a line of its own, written as it comes
``trials.parquet``     one row a trial: parameters, figures, how it ended
``sweep.json``         the whole result; there only when the sweep is finished
``report.html``        the page
``parts/``             the folds' tapes, until the sweep is finished
=====================  =============================================================
"""

import base64
import fcntl
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from pydantic import ValidationError

from models.errors import BadValue, ConfigError
from models.sweeps import SWEEP_VERSION, RunFigures, SweepResult
from tasks.sweeping.trial import Outcome

LOG, TABLE, RESULT, REPORT, PARTS, LOCK = (
    "trials.jsonl", "trials.parquet", "sweep.json", "report.html", "parts", ".lock",
)  # fmt: skip


class TrialLog:
    """Outcomes by part and parameters, on disk as they come.

    A line that was being written when the power went is not counted.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._path = folder / LOG
        self._known: dict[str, Outcome] = {}
        folder.mkdir(parents=True, exist_ok=True)
        good = self._read(key)
        self._file = self._path.open("r+b" if good else "wb")
        self._file.truncate(good)
        self._file.seek(good)
        if not good:
            self._write({"key": key, "version": SWEEP_VERSION})

    def __len__(self) -> int:
        return len(self._known)

    def find(self, part: str, parameters: Mapping[str, Any]) -> Outcome | None:
        return self._known.get(_name(part, parameters))

    def add(self, part: str, parameters: Mapping[str, Any], outcome: Outcome) -> None:
        name = _name(part, parameters)
        self._known[name] = outcome
        figures = outcome.figures
        self._write(
            {
                "name": name,
                "figures": None if figures is None else figures.model_dump(mode="json"),
                "returns": _packed(outcome.returns),
                "failure": outcome.failure,
            }
        )

    def close(self) -> None:
        self._file.close()

    def _write(self, row: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(row, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self, key: str) -> int:
        """Take in what is there; return up to where it is whole, 0 when it is of another sweep."""
        if not self._path.is_file():
            return 0
        good = 0
        with self._path.open("rb") as file:
            for line in file:
                try:
                    row = json.loads(line)
                    if good == 0 and row != {"key": key, "version": SWEEP_VERSION}:
                        return 0
                    # What failed is tried again: the reason may have been the machine's.
                    if good and line.endswith(b"\n") and not row["failure"]:
                        self._known[row["name"]] = _outcome(row)
                except (ValueError, KeyError, TypeError, ValidationError, zlib.error):
                    break
                if not line.endswith(b"\n"):
                    break
                good += len(line)
        return good


def _name(part: str, parameters: Mapping[str, Any]) -> str:
    return part + json.dumps(parameters, sort_keys=True, default=str)


def _packed(returns: Any) -> str:
    data = np.ascontiguousarray(returns, np.float64).tobytes()
    return base64.b64encode(zlib.compress(data, 1)).decode()


def _outcome(row: Mapping[str, Any]) -> Outcome:
    figures = row["figures"]
    returns = np.frombuffer(zlib.decompress(base64.b64decode(row["returns"])), np.float64)
    return Outcome(
        None if figures is None else RunFigures.model_validate(figures), returns, row["failure"]
    )


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a sweep's folder. Raises `BadValue` while another process does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadValue(f"{folder}: this sweep is running already, in another process") from None
        yield


def save_result(folder: Path, result: SweepResult, report: str) -> None:
    """Write the results; `sweep.json` comes last and says that all is there."""
    draft = folder / f".{TABLE}"
    pq.write_table(_table(result), draft, compression="zstd")
    draft.replace(folder / TABLE)
    for name, text in ((REPORT, report), (RESULT, result.model_dump_json(indent=1))):
        draft = folder / f".{name}"
        draft.write_text(text, encoding="utf-8")
        draft.replace(folder / name)


def load_result(folder: Path) -> SweepResult:
    """Read a finished sweep. Raises `ConfigError` when there is none, or it can't be read."""
    path = folder / RESULT
    try:
        return SweepResult.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"{path}: missing; {folder} holds no finished sweep") from None
    except (OSError, ValidationError) as error:
        raise ConfigError(f"{path}: can't be read ({error}); sweep again with --fresh") from error


def _table(result: SweepResult) -> Any:
    columns: dict[str, list[Any]] = {
        "fold": [t.fold for t in result.trials],
        "number": [t.number for t in result.trials],
        "end": [t.end.value for t in result.trials],
        "note": [t.note for t in result.trials],
    }
    for name in result.searched:
        columns[f"param_{name}"] = _plain([t.parameters.get(name) for t in result.trials])
    for prefix, which in (("train_", "figures"), ("test_", "judged")):
        runs = [getattr(t, which) for t in result.trials]
        for name in RunFigures.model_fields:
            columns[prefix + name] = [None if run is None else getattr(run, name) for run in runs]
    return pa.table({name: pa.array(values) for name, values in columns.items()})


def _plain(values: list[Any]) -> list[Any]:
    """Values of one parameter as one type: numbers, else text."""
    if all(isinstance(value, bool) for value in values):
        return values
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return [float(value) for value in values]
    return [value if isinstance(value, str) else json.dumps(value) for value in values]
