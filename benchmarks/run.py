"""Run every benchmark of this folder, one after the other: ``make bench [NAME …]``.

Each is a program of its own that prints its figures beside those of its peer. Figures of one
machine on one day are worth their ratios; quote those.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TIMEOUT_S = 600


def main(wanted: list[str]) -> int:
    known = {path.stem: path for path in sorted(HERE.glob("*.py")) if path.stem != "run"}
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
    sys.exit(main(sys.argv[1:]))
