"""Make the project's virtual environment from nothing: ``python3 deployments/bootstrap.py``.

Needs only Python's standard library and a package index. Does nothing when the environment was
already made from the same pins. Everything is checked against the hashes in requirements.lock.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / ".made-from"
OLDEST = (3, 11)
NEEDS_MB = 2500


class SetupError(Exception):
    """What stops the set-up, in one line a person can act on."""


def main() -> int:
    try:
        check_machine()
        fingerprint = pins_fingerprint()
        if STAMP.is_file() and STAMP.read_text() == fingerprint and usable(python()):
            return 0
        make(fingerprint)
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


def check_machine() -> None:
    """Refuse a Python that can't do it, and say which package would mend it."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST:
        raise SetupError(f"Python {version} is too old; install Python 3.11 or newer")
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        short = ".".join(map(str, sys.version_info[:2]))
        raise SetupError(
            f"Python {version} ({sys.executable}) comes without {error.name!r}; "
            f"on Debian or Ubuntu: apt install python{short}-venv"
        ) from None
    free_mb = shutil.disk_usage(ROOT).free // 2**20
    if not VENV.exists() and free_mb < NEEDS_MB:
        raise SetupError(f"{free_mb} MB free below {ROOT}; the packages need {NEEDS_MB} MB")


def pins_fingerprint() -> str:
    """Return what the environment is made of: pins, project file, Python's version, place."""
    digest = hashlib.sha256()
    for path in (LOCK, ROOT / "pyproject.toml", Path(__file__)):
        digest.update(path.read_bytes())
    digest.update(f"{sys.version_info[:3]}{ROOT}".encode())
    return digest.hexdigest()


def make(fingerprint: str) -> None:
    started = time.monotonic()
    say(f"setting up {VENV.name} with Python {sys.version.split()[0]}")
    STAMP.unlink(missing_ok=True)
    if not usable(python()):
        run([sys.executable, "-m", "venv", "--clear", str(VENV)], "create the virtual environment")
    install_installer()
    say("installing the pinned packages (about 1 GB with bytecode; half a minute to some minutes)")
    install_packages()
    say("installing the project itself")
    own = ["--no-deps", "--no-build-isolation", "-e", str(ROOT)]
    run([*pip(), "install", "--quiet", *own], "install the project")
    say("compiling the matching loops (up to half a minute)")
    run([str(python()), "-m", "engine.matching"], "compile the matching loops")
    STAMP.write_text(fingerprint)
    say(f"set up in {time.monotonic() - started:.0f} s")


def install_installer() -> None:
    """Install uv by its own pinned and hashed lines of the lock."""
    lines = pinned("uv")
    with tempfile.TemporaryDirectory() as folder:
        requirement = Path(folder) / "uv.txt"
        requirement.write_text("\n".join(lines) + "\n")
        arguments = ["install", "--quiet", "--require-hashes", "-r", str(requirement)]
        run([*pip(), *arguments], "install uv (is a package index reachable?)")


def install_packages() -> None:
    """Sync to the lock with uv; with pip where uv can't reach the index but pip's settings can."""
    arguments = ["pip", "sync", "--require-hashes", "--compile-bytecode", str(LOCK)]
    command = [str(VENV / "bin" / "uv"), *arguments, "--python", str(python())]
    if subprocess.run(command, cwd=ROOT, env=environment(), check=False).returncode == 0:
        return
    say("uv could not install them; trying pip, which takes some minutes")
    by_pip = ["install", "--require-hashes", "--no-deps", "-r", str(LOCK)]
    run([*pip(), *by_pip], "install the packages (is a package index reachable?)")


def pinned(package: str) -> list[str]:
    """Return the package's lines (pin and hashes) of the lock."""
    lines: list[str] = []
    for line in LOCK.read_text().splitlines():
        if line.startswith(f"{package}=="):
            lines.append(line)
        elif lines:
            if not line.startswith("    --hash"):
                return lines
            lines.append(line)
    if not lines:
        raise SetupError(f"{LOCK.name} pins no {package}; run `make lock`")
    return lines


def environment() -> dict[str, str]:
    """Return the environment for the installers: bytecode wanted, no other environment active."""
    dropped = {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_USER"}
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    kept["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    kept["PIP_ROOT_USER_ACTION"] = "ignore"
    # uv does not read pip's settings, where a machine's own index and certificates are named.
    kept.setdefault("UV_SYSTEM_CERTS", "true")
    index, certificates = pip_setting("index-url"), pip_setting("cert")
    if index and not {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & kept.keys():
        kept["UV_DEFAULT_INDEX"] = index
    if certificates:
        kept.setdefault("SSL_CERT_FILE", certificates)
    return kept


def pip_setting(name: str) -> str:
    variable = "PIP_" + name.upper().replace("-", "_")
    if variable in os.environ:
        return os.environ[variable]
    command = [*pip(), "config", "get", f"global.{name}"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    return asked.stdout.strip() if asked.returncode == 0 else ""


def python() -> Path:
    return VENV / "bin" / "python"


def pip() -> list[str]:
    return [str(python()), "-m", "pip"]


def usable(interpreter: Path) -> bool:
    """Whether the environment's Python still starts, is this version, and has pip."""
    probe = f"import sys, pip; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})"
    try:
        command = [str(interpreter), "-c", probe]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def run(command: list[str], what: str) -> None:
    env = environment() if VENV.joinpath("bin", "python").exists() else dict(os.environ)
    if subprocess.run(command, cwd=ROOT, env=env, check=False).returncode != 0:
        raise SetupError(f"could not {what}; the lines above say why")


def say(text: str) -> None:
    print(f"==> {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
