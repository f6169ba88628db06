"""An environment of its own for each peer, made with uv below .floor/peers.

The pins are the `bench-*` groups of pyproject.toml; they agree neither with ours nor with each
other's.
"""

import hashlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / ".floor" / "peers"
TIMEOUT_S = 600

sys.path.insert(0, str(ROOT))
from deployments.bootstrap import environment  # noqa: E402


class NotInstallable(Exception):
    """A peer that can't be had here, with the reason in one line."""


def python_of(peer: str, wanted: str | None = None) -> Path:
    """Make a peer's environment if it is not there yet; return its Python.

    Parameters
    ----------
    wanted
        Python it needs, ``3.12``; it is looked for, never downloaded. None takes ours.

    Raises
    ------
    NotInstallable
        There is no such Python, or no package index that has the pins.
    """
    group = f"bench-{peer}"
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"][group]
    base = sys.executable if wanted is None else _find(wanted)
    made_from = hashlib.sha256(repr((pins, base)).encode()).hexdigest()
    folder = PLACE / peer
    python, stamp = folder / "bin" / "python", folder / ".made-from"
    if stamp.is_file() and stamp.read_text() == made_from:
        return python
    print(f"   installing {', '.join(pins)}", flush=True)
    _uv("venv", "--quiet", "--clear", "--python", base, str(folder))
    _uv("pip", "install", "--quiet", "--python", str(python), "--group", f"pyproject.toml:{group}")
    stamp.write_text(made_from)
    return python


def _find(wanted: str) -> str:
    """Path of a Python that starts and is of the version wanted."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    places = [*sorted(pyenv.glob(f"{wanted}*/bin/python"), reverse=True), f"python{wanted}"]
    for place in places:
        command = [str(place), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError:
            continue
        if done.returncode == 0 and done.stdout.strip() == wanted:
            return str(place)
    raise NotInstallable(f"needs Python {wanted}, which is not here")


def _uv(*arguments: str) -> None:
    command = [str(Path(sys.executable).parent / "uv"), *arguments]
    env = {**environment(), "UV_PYTHON_DOWNLOADS": "never"}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, check=False,
            timeout=TIMEOUT_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstallable(f"uv {arguments[0]}: {type(error).__name__}") from error
    if done.returncode:
        lines = [line.strip(" ×╰─▶|│\t") for line in done.stderr.splitlines()]
        said = " ".join(line for line in lines if line)[:300]
        raise NotInstallable(
            f"uv {' '.join(arguments[:2])} failed: {said or 'it does not say why'}"
        )
