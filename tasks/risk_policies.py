"""The policy file, read when it changes; a wrong one is told and the last good one stays."""

from pathlib import Path

import structlog

from models.errors import ConfigError
from models.settings import ROOT
from risk.policies import PolicyFile, load

log = structlog.get_logger(__name__)

POLICIES = ROOT / "deployments" / "risk.yaml"


def read_policies(path: Path, capital_e6: int) -> PolicyFile:
    """Read the file. Raises `ConfigError` with a line per fault, each naming file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: can't be read: {error}") from None
    return load(text, path.name, capital_e6)


class Policies:
    """The policies in force; ask `current` as often as one likes, it looks at the file's stamp.

    Parameters
    ----------
    good
        What is in force while the file has never been right; the breakers' defaults for None.

    Attributes
    ----------
    fault
        What is wrong with the file as it is now; empty while it is the one in force.
    """

    def __init__(
        self, capital_e6: int, path: Path = POLICIES, good: PolicyFile | None = None
    ) -> None:
        self._path = path
        self._capital_e6 = capital_e6
        self._stamp: tuple[int, int] | None = (-1, -1)
        self._good = good or PolicyFile()
        self.fault = ""

    def current(self) -> PolicyFile:
        """The file as it is, or as it last was in order; the breakers' defaults without one."""
        stamp = self._look()
        if stamp == self._stamp:
            return self._good
        self._stamp = stamp
        try:
            self._good = read_policies(self._path, self._capital_e6)
            self.fault = ""
        except ConfigError as error:
            self.fault = str(error)
            log.error("policies_not_taken_up", reason=self.fault)
        return self._good

    def _look(self) -> tuple[int, int] | None:
        try:
            seen = self._path.stat()
        except OSError:
            return None
        return seen.st_mtime_ns, seen.st_size
