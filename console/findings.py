"""What a check of `floor doctor` found."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from models.errors import FloorError


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of the floor: how it is, and what to do about it."""

    part: str
    verdict: Verdict
    found: str
    mend: str = ""

    @property
    def failed(self) -> bool:
        return self.verdict is Verdict.FAIL

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"verdict": self.verdict.value}


def ok(part: str, found: str) -> Finding:
    return Finding(part, Verdict.OK, found)


def warn(part: str, found: str, mend: str = "") -> Finding:
    return Finding(part, Verdict.WARN, found, mend)


def fail(part: str, found: str, mend: str = "") -> Finding:
    return Finding(part, Verdict.FAIL, found, mend)


def guarded(part: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    """Run a check; one that can't even be made is a finding, not a traceback."""
    try:
        return check()
    except FloorError as error:
        return [fail(part, line) for line in str(error).splitlines()]
    except Exception as error:
        # Doctor is what people run when anything may be broken: it must report all of it.
        reason = " ".join(str(error).split())[:200]
        return [fail(part, f"could not be checked: {type(error).__name__} {reason}")]
