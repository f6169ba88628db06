"""Run every benchmark of this folder, one after the other: ``make bench [ONLY="NAME …"]``.

Each is a program of its own that prints its figures beside those of its peer: a file, or a folder
with a `__main__.py` (``peers``, which installs those it can). Figures of one machine on one day
are worth their ratios; quote those.
"""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TIMEOUT_S = 1_800


def benchmarks() -> dict[str, Path]:
    """Programs by name."""
    files = {path.stem: path for path in HERE.glob("*.py") if path.stem != "run"}
    folders = {path.parent.name: path.parent for path in HERE.glob("*/__main__.py")}
    return dict(sorted({**files, **folders}.items()))


def main(wanted: list[str]) -> int:
    known = benchmarks()
    unknown = [name for name in wanted if name not in known]
    if unknown:
        print(f"error: no benchmark {unknown[0]!r}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    failed = []
    for name in wanted or known:
        print(f"== {name}", flush=True)
        try:
            done = subprocess.run(
                [sys.executable, str(known[name])], cwd=HERE.parent, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            print(f"not done within {TIMEOUT_S} s")
            failed.append(name)
            continue
        if done.returncode != 0:
            failed.append(name)
    if failed:
        print(f"error: {', '.join(failed)} did not end well", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    # make hands its own arguments on in the environment.
    sys.exit(main(sys.argv[1:] or os.environ.get("ONLY", "").split()))
