"""What exercises found, kept below FLOOR_HOME: a page for people, JSON for programs."""

import json
from pathlib import Path

from models.errors import NotReady
from tasks.drilling.report import DrillReport, as_json, from_json, markdown


def keep(home: Path, report: DrillReport) -> Path:
    """Write a report; returns the page's path. One of the same second gets a number."""
    folder = home / "drills"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stem = base = report.began.replace(":", "")
    number = 1
    while (folder / f"{stem}.json").exists():
        number += 1
        stem = f"{base}-{number}"
    page = folder / f"{stem}.md"
    page.write_text(markdown(report), encoding="utf-8")
    (folder / f"{stem}.json").write_text(json.dumps(as_json(report), indent=2), encoding="utf-8")
    return page


def newest(home: Path) -> DrillReport:
    """Return the last report that can be read.

    Raises
    ------
    NotReady
        There is none.
    """
    files = sorted((home / "drills").glob("*.json"), key=lambda path: path.stat().st_mtime)
    for path in reversed(files):
        try:
            return from_json(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    raise NotReady(f"no drill was run on the floor at {home} yet; `floor drill all` runs them")
