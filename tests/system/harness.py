"""Drives one whole floor from outside, as a person would."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
from psycopg.rows import dict_row

from models.settings import ROOT, Settings
from store.urls import urls


@dataclass
class Floor:
    """Drives one floor through its own command line, as a person would."""

    home: Path
    environment: dict[str, str]
    settings: Settings
    log: list[str] = field(default_factory=list)

    def command(self, *words: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "console.cli", *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        seen: dict[str, Any] = json.loads(self.command("status", "--json").stdout)
        return seen

    def query(self, sql: str, *params: Any) -> list[dict[str, Any]]:
        with psycopg.connect(urls(self.settings).database, row_factory=dict_row) as connection:
            return connection.execute(sql, params).fetchall()

    def one(self, sql: str, *params: Any) -> Any:
        return next(iter(self.query(sql, *params)[0].values()))

    def simulator(self, path: str) -> Any:
        return httpx.get(
            f"http://127.0.0.1:{self.settings.sim_port}{path}", timeout=60, trust_env=False
        ).json()

    def program(self, name: str) -> psutil.Process:
        """Return the process of a program that runs."""
        pid = {row["name"]: row["pid"] for row in self.status()["programs"]}[name]
        if pid is None:
            raise LookupError(f"{name} is not running")
        return psutil.Process(pid)

    def lease(self, agent: str) -> dict[str, Any]:
        rows = self.query(
            "SELECT *, holder IS NOT NULL AND expires_at > clock_timestamp() AS live "
            "FROM agent_leases WHERE agent = %s",
            agent,
        )
        return rows[0] if rows else {"live": False, "token": 0, "holder": None}

    def trader(self, agent: str) -> psutil.Process:
        """Return the process that trades for `agent`."""
        holder = self.lease(agent)["holder"]
        return psutil.Process(int(holder.split(":")[1]))

    def until(self, what: str, is_so: Callable[[], Any], seconds: float) -> float:
        """Wait until `is_so` returns something true; returns how long that took."""
        began = time.monotonic()
        fault: Exception | None = None
        while time.monotonic() - began < seconds:
            try:
                if is_so():
                    took = time.monotonic() - began
                    self.log.append(f"{what}: {took:.1f} s")
                    return took
            except (psycopg.Error, httpx.HTTPError, OSError, LookupError, psutil.Error) as error:
                fault = error
            time.sleep(0.25)
        detail = self.command("status").stdout + self.command("logs", "-n", "15").stdout
        raise AssertionError(f"{what}: not within {seconds} s ({fault})\n{detail}")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
