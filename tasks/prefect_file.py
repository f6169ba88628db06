"""The trade deployments of prefect.yaml, one per agent file."""

import re
from collections.abc import Iterable
from pathlib import Path

from models.settings import ROOT

PREFECT_FILE = ROOT / "prefect.yaml"

BLOCK = """
  - name: {name}
    entrypoint: flows.trade.trade
    description: Trades deployments/agents/{name}.yaml.
    tags: [floor, trader, "agent:{name}"]
    parameters: {{agent: {name}}}
    work_pool: *traders
    triggers:
      - <<: *restart_on_crash
        name: restart-{name}
        match_related:
          prefect.resource.role: deployment
          prefect.resource.name: {name}
"""

_TRADE_BLOCK = re.compile(
    r"\n  - name: (?P<name>\S+)\n    entrypoint: flows\.trade\.trade\n(?:    .*\n|\n(?=    ))*"
)


def sync_trade_deployments(text: str, agents: Iterable[str]) -> str:
    """Return `text` of a prefect.yaml with exactly one trade deployment per agent, in order.

    Blocks of agents that are there stay as they are, so that what a person added is kept.
    """
    kept = {found["name"]: found.group(0) for found in _TRADE_BLOCK.finditer(text)}
    rest = _TRADE_BLOCK.sub("", text).rstrip("\n") + "\n"
    return rest + "".join(
        kept.get(name, BLOCK.format(name=name)).rstrip("\n") + "\n" for name in sorted(agents)
    )


def sync_prefect_file(agents: Iterable[str], path: Path = PREFECT_FILE) -> bool:
    """Bring the file's trade deployments in step with the agents; False when they were."""
    before = path.read_text(encoding="utf-8")
    after = sync_trade_deployments(before, agents)
    if after != before:
        path.write_text(after, encoding="utf-8")
    return after != before
