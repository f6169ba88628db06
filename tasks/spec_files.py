"""Reading run and sweep files, with errors that say which file, which key and what is right."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from models.agents import AgentRisk, AgentSpec, MarketSelector
from models.errors import ConfigError
from models.runs import Range, RunSpec, SweepSpec, WalkForward
from models.settings import ROOT
from strategies import library
from tasks.agent_files import AGENTS_DIR, find_agent

Spec = TypeVar("Spec", RunSpec, SweepSpec)

_MODELS: tuple[type[BaseModel], ...] = (
    RunSpec, SweepSpec, AgentSpec, AgentRisk, MarketSelector, WalkForward, Range,
)  # fmt: skip
_KEYS = sorted({key for model in _MODELS for key in model.model_fields})


def load_run(path: Path, agents: Path = AGENTS_DIR) -> RunSpec:
    """Read and check one run file, its agents' strategies and parameters included.

    An agent is written out, or the name of an agent file. A `data` path is relative to the run
    file if there is something of that name beside it.

    Raises
    ------
    ConfigError
        The file can't be read, a key or value is wrong, or a strategy refuses its parameters;
        one line a fault.
    """
    return check_run(read_yaml(path), path.name, agents, path.parent)


def load_sweep(path: Path, agents: Path = AGENTS_DIR) -> SweepSpec:
    """Read and check one sweep file; its `run` is written out or the path of a run file.

    Raises `ConfigError` as `load_run`.
    """
    raw = read_yaml(path)
    run = raw.get("run")
    if isinstance(run, str):
        raw["run"] = load_run(_beside(path.parent, run), agents).model_dump(mode="json")
    return check_sweep(raw, path.name, agents, path.parent)


def check_run(
    raw: Mapping[str, Any], source: str, agents: Path = AGENTS_DIR, beside: Path | None = None
) -> RunSpec:
    """Turn keys and values into a run. `source` is named in errors. Raises as `load_run`."""
    spec = _validated(RunSpec, _whole(raw, agents, beside), source)
    _refuse_agents(spec, source)
    return spec


def check_sweep(
    raw: Mapping[str, Any], source: str, agents: Path = AGENTS_DIR, beside: Path | None = None
) -> SweepSpec:
    """Turn keys and values into a sweep. Raises as `load_run`."""
    run = raw.get("run")
    whole = dict(raw) | ({"run": _whole(run, agents, beside)} if isinstance(run, Mapping) else {})
    spec = _validated(SweepSpec, whole, source)
    _refuse_agents(spec.run, source)
    return spec


def run_of(spec: Mapping[str, Any] | str) -> RunSpec:
    """Return the run that a flow's parameter means: keys and values, or a run file's path.

    A path is looked up here and in the project's folder. Raises `ConfigError` as `load_run`.
    """
    return load_run(_beside(ROOT, spec)) if isinstance(spec, str) else check_run(spec, "spec")


def sweep_of(spec: Mapping[str, Any] | str) -> SweepSpec:
    """Return the sweep that a flow's parameter means; see `run_of`."""
    return load_sweep(_beside(ROOT, spec)) if isinstance(spec, str) else check_sweep(spec, "spec")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of keys and values. Raises `ConfigError`."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: is not valid YAML: {' '.join(str(error).split())}") from (
            None
        )
    if not isinstance(raw, dict):
        raise ConfigError(f"{path.name}: must hold keys and values, not {type(raw).__name__}")
    return raw


def _whole(raw: Mapping[str, Any], agents: Path, beside: Path | None) -> dict[str, Any]:
    """Put agent files in the place of their names, and a path in that of one beside the file."""
    found = dict(raw)
    if isinstance(found.get("agents"), list):
        found["agents"] = [
            find_agent(one, agents).model_dump(mode="json") if isinstance(one, str) else one
            for one in found["agents"]
        ]
    data = found.get("data")
    if beside is not None and isinstance(data, str) and (beside / data).exists():
        found["data"] = str((beside / data).resolve())
    return found


def _beside(folder: Path, name: str) -> Path:
    return folder / name if (folder / name).exists() else Path(name)


def _validated(kind: type[Spec], raw: Mapping[str, Any], source: str) -> Spec:
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        lines = dict.fromkeys(_line(source, item) for item in _telling(error))
        raise ConfigError("\n".join(lines)) from None


def _telling(error: ValidationError) -> Iterator[Any]:
    """Yield the faults that say something: not that a list with wrong items is too short."""
    items = error.errors()
    telling = [item for item in items if item["type"] != "too_short" or not item.get("input")]
    yield from telling or items


def _line(source: str, item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"]) or "file"
    if item["type"] == "extra_forbidden":
        close = get_close_matches(str(item["loc"][-1]), _KEYS, n=1)
        return f"{source}: unknown key {where!r}" + (
            f"; did you mean {close[0]!r}?" if close else ""
        )
    if item["type"] == "missing":
        return f"{source}: key {where!r} is missing"
    reason = str(item["msg"]).removeprefix("Value error, ")
    if not item["loc"]:
        return f"{source}: {reason}"
    return f"{source}: {where}={item.get('input')!r}: {reason}"


def _refuse_agents(spec: RunSpec, source: str) -> None:
    faults = []
    for agent in spec.agents:
        try:
            library.create(agent.strategy, agent.parameters)
        except ConfigError as error:
            faults += [f"{source}: {agent.name}: {line}" for line in str(error).splitlines()]
    if faults:
        raise ConfigError("\n".join(faults))
