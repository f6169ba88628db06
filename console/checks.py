"""The checks of `floor doctor` that need nothing to run: installation, settings, files."""

import shutil
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dotenv import dotenv_values
from packaging.requirements import Requirement

from console.checks_running import running_findings
from console.findings import Finding, fail, guarded, ok, warn
from console.floor import running
from console.ports import why_taken
from console.processes import wanted_programs
from models.errors import ConfigError
from models.settings import (
    ENV_FILE,
    ROOT,
    Liquidity,
    Settings,
    TradingMode,
    is_secret,
    load_settings,
    variables,
)
from tasks.agent_files import load_agents
from tasks.policies import load_policies
from venue.simulator.config import RECORDING

OLDEST_PYTHON = (3, 11)
LEAST_DISK_MB = 500
GOOD_DISK_MB = 5_000


def findings() -> Iterator[Finding]:
    """Check everything, what does not run included."""
    yield from guarded("python", python)
    yield from guarded("packages", packages)
    try:
        settings = load_settings()
    except ConfigError as error:
        for line in str(error).splitlines():
            yield fail("settings", line, "mend it in .env or the environment")
        return
    yield ok("settings", f"mode {settings.trading_mode.value}, all variables are well-formed")
    yield from guarded(".env", env_file)
    yield from guarded("credentials", lambda: credentials(settings))
    yield from guarded("agents", agent_files)
    yield from guarded("policies", lambda: policies(settings))
    yield from guarded("recording", lambda: recording(settings))
    yield from guarded("disk", lambda: disk(settings.floor_home))
    record = running(settings.floor_home)
    if record is None:
        yield warn("floor", "is not running", "`make run` or `floor up` starts it")
        yield from guarded("ports", lambda: ports(settings))
    yield from running_findings(settings, record)


def python() -> list[Finding]:
    words = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return [fail("python", f"{words} is too old", "install 3.11 or newer, then `make setup`")]
    return [ok("python", f"{words} ({sys.executable})")]


def packages() -> list[Finding]:
    """Compare what is installed with the bounds in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wrong = []
    for line in project["dependencies"]:
        requirement = Requirement(line)
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(fail("packages", f"{requirement.name} is missing", "`make setup`"))
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            wrong.append(
                fail(
                    "packages",
                    f"{requirement.name} {found} is outside {requirement.specifier}",
                    "`make setup` installs the pinned versions",
                )
            )
    traps = ", ".join(f"{name} {version(name)}" for name in ("prefect", "fastapi", "sqlalchemy"))
    return wrong or [ok("packages", f"all within their bounds ({traps})")]


def env_file() -> list[Finding]:
    if not ENV_FILE.is_file():
        return [ok(".env", "there is none; defaults and the environment apply")]
    values = dotenv_values(ENV_FILE, encoding="utf-8")
    found = [
        warn(".env", f"{name} is not a variable of ours", "see .env.example")
        for name in values
        if name.upper() not in variables()
    ]
    holds_secrets = any(is_secret(name) and value for name, value in values.items())
    if holds_secrets and ENV_FILE.stat().st_mode & 0o077:
        found.append(warn(".env", "holds secrets and others may read it", "chmod 600 .env"))
    return found or [ok(".env", f"{len(values)} variables")]


def credentials(settings: Settings) -> list[Finding]:
    key = settings.polymarket_private_key
    if key is None:
        if settings.trading_mode is TradingMode.LIVE:
            return [fail("credentials", "none", "set POLYMARKET_PRIVATE_KEY")]
        return [ok("credentials", f"none needed for mode {settings.trading_mode.value}")]
    # The package takes half a second to import, and most installations have no key.
    from eth_account import Account

    address = Account.from_key(key.get_secret_value()).address
    wallet = settings.polymarket_wallet or "derived from it"
    return [ok("credentials", f"signer {address}, wallet {wallet}")]


def agent_files() -> list[Finding]:
    specs = load_agents()
    if not specs:
        return [warn("agents", "there is no agent file", "add one to deployments/agents")]
    return [ok("agents", ", ".join(specs))]


def policies(settings: Settings) -> list[Finding]:
    """Read RISK_FILE: a wrong one stops the start, and changes nothing while the floor runs."""
    try:
        file = load_policies(settings)
    except ConfigError as error:
        mend = f"mend {settings.risk_file}; `floor risk check` reads it"
        return [fail("policies", line, mend) for line in str(error).splitlines()]
    names = ", ".join(dict.fromkeys(policy.type for policy in file.policies))
    if not file.policies:
        return [warn("policies", "there are none", "see deployments/risk.yaml")]
    return [ok("policies", names)]


def recording(settings: Settings) -> list[Finding]:
    path = settings.floor_data_dir / RECORDING
    if settings.trading_mode is not TradingMode.SIM:
        return []
    if settings.sim_liquidity is Liquidity.MODEL:
        return [ok("recording", "not needed: SIM_LIQUIDITY=model")]
    if path.is_file():
        return [ok("recording", f"{path} ({path.stat().st_size // 2**20} MB)")]
    if settings.sim_liquidity is Liquidity.REPLAY:
        return [fail("recording", f"{path} is missing", "set FLOOR_DATA_DIR or SIM_LIQUIDITY=auto")]
    return [warn("recording", f"{path} is missing: the model is used", "set FLOOR_DATA_DIR")]


def disk(home: Path) -> list[Finding]:
    place = home if home.exists() else home.parent
    if not place.exists():
        return [warn("disk", f"{place} does not exist", "check FLOOR_HOME")]
    free_mb = shutil.disk_usage(place).free // 2**20
    found = f"{free_mb} MB free at {place}"
    if free_mb < LEAST_DISK_MB:
        return [fail("disk", found, "free some: the database needs room to write")]
    if free_mb < GOOD_DISK_MB:
        return [warn("disk", found, "some days of market data need more")]
    return [ok("disk", found)]


def ports(settings: Settings) -> list[Finding]:
    found = []
    for program in wanted_programs(settings):
        port = program.port_number(settings)
        if port is not None and (reason := why_taken(port)):
            mend = f"free it or set {program.port.upper()}"
            found.append(fail("ports", f"{port} for the {program.about} {reason}", mend))
    return found or [ok("ports", "all free")]
