"""Reading agent files, with errors that say which file, which key and what would be right."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from models.agents import AgentSpec
from models.errors import ConfigError
from models.settings import ROOT
from strategies import library

AGENTS_DIR = ROOT / "deployments" / "agents"


def load_agent(path: Path) -> AgentSpec:
    """Read and check one agent file, its strategy and parameters included.

    Raises
    ------
    ConfigError
        The file can't be read, a key or value is wrong, or the strategy refuses its parameters.
    """
    raw = _read(path)
    try:
        spec = AgentSpec.model_validate(raw)
    except ValidationError as error:
        # A list whose items are wrong is reported as too short as well, which helps nobody.
        items = [item for item in error.errors() if item["type"] != "too_short"] or error.errors()
        lines = [_line(path, item) for item in items]
        raise ConfigError("\n".join(lines)) from None
    if spec.name != path.stem:
        raise ConfigError(f"{path.name}: name {spec.name!r} must be the file's name {path.stem!r}")
    try:
        library.create(spec.strategy, spec.parameters)
    except ConfigError as error:
        raise ConfigError(f"{path.name}: {error}") from None
    except Exception as error:
        # A defect of one strategy must not keep the other agents' files from being read.
        raise ConfigError(f"{path.name}: strategy {spec.strategy!r} fails: {error!r}") from error
    return spec


def read_agents(folder: Path = AGENTS_DIR) -> tuple[dict[str, AgentSpec], list[str]]:
    """Read every agent file of `folder`: the good ones by name, and what is wrong with others."""
    specs: dict[str, AgentSpec] = {}
    faults: list[str] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            spec = load_agent(path)
        except ConfigError as error:
            faults.append(str(error))
        else:
            specs[spec.name] = spec
    return specs, faults


def load_agents(folder: Path = AGENTS_DIR) -> dict[str, AgentSpec]:
    """Read every agent file of `folder`, by name. One wrong file stops all, naming each fault."""
    specs, faults = read_agents(folder)
    if faults:
        raise ConfigError("\n".join(faults))
    return specs


def find_agent(name: str, folder: Path = AGENTS_DIR) -> AgentSpec:
    """Read the agent file of `name`. Raises `ConfigError` naming the agents there are."""
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = sorted(file.stem for file in folder.glob("*.yaml"))
        raise ConfigError(f"no agent {name!r}; there are: {', '.join(known) or 'none'}")
    return load_agent(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path.name}: can't be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: is not valid YAML: {_flat(error)}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path.name}: must hold keys and values, not {type(raw).__name__}")
    return raw


def _line(path: Path, item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"]) or "file"
    if item["type"] == "extra_forbidden":
        close = get_close_matches(str(item["loc"][-1]), AgentSpec.model_fields, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"{path.name}: unknown key {where!r}{hint}"
    if item["type"] == "missing":
        return f"{path.name}: key {where!r} is missing"
    reason = str(item["msg"]).removeprefix("Value error, ")
    return f"{path.name}: {where}={item.get('input')!r}: {reason}"


def _flat(error: Exception) -> str:
    return " ".join(str(error).split())
