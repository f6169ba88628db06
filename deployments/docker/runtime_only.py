"""Uninstall what the floor does not need to run: ``python deployments/docker/runtime_only.py``.

The lock holds the tools of development too. What stays is what the project's own metadata asks
for, and what that asks for in turn.
"""

import subprocess
import sys
from importlib.metadata import distribution, distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "trading-floor"
KEPT = {"pip", "setuptools", "wheel"}
"""Come with every virtual environment."""


def needed(project: str) -> set[str]:
    """Return the names of all packages `project` needs here, itself among them."""
    found: set[tuple[str, str]] = set()
    todo = [(canonicalize_name(project), "")]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        for line in distribution(name).requires or ():
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or marker.evaluate({"extra": extra}):
                asked = canonicalize_name(requirement.name)
                todo += [(asked, each) for each in ("", *requirement.extras)]
    return {str(name) for name, _ in found}


def installed() -> set[str]:
    """Return the names of all packages of this environment."""
    return {canonicalize_name(each.metadata["Name"]) for each in distributions()}


def main() -> int:
    superfluous = sorted(installed() - needed(PROJECT) - KEPT)
    print(f"removing {len(superfluous)} packages: {', '.join(superfluous)}")
    if not superfluous:
        return 0
    command = [sys.executable, "-m", "pip", "uninstall", "--quiet", "--yes", *superfluous]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
