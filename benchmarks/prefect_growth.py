"""How Prefect's database grows under the floor's load, and where its clean-up stops it.

A real server with the floor's settings runs one supervise-like run and one hour-long session for
its rows; copies of them, dated day by day, make WEEKS weeks at SHARE of a floor's rate. After each
day Prefect's own clean-up runs with its clock set to that day. Exit code 1 when the size of the
last two weeks differs by more than TOLERANCE: the database grows without bound.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
from prefect import flow, get_run_logger, task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.server.database import provide_database_interface
from prefect.server.services import db_vacuum
from prefect.types._datetime import now

from console.environment import child_environment, prefect_api_url
from models.settings import ROOT, Settings
from store.embedded import prepare_postgres
from store.urls import ensure_databases, urls
from tasks.inprocess import InProcessWorker

WEEKS, SHARE, TOLERANCE = 4, 0.1, 0.02
OPS_RUNS_PER_DAY = 2_880 + 1_440
"""supervise every 30 seconds and reconcile every minute."""
SESSIONS_PER_DAY = 3 * 24
"""Two agents and the collector, an hour each."""
HEARTBEATS = 119
"""More heartbeats of an hour than the template's one."""
WINDOWS = 4
POOL = "growth"
TAGS = {
    "minutely": ["floor", "supervise"],
    "hourly": ["floor", "trader", "agent:a", "strategy:b", "mode:sim", "market:btc-15m"],
}
PORTS = {"postgres_port": 26_480, "prefect_port": 26_481}

TABLES = {
    "flow_run": ("id", "state_id"),
    "flow_run_state": ("id", "flow_run_id"),
    "task_run": ("id", "flow_run_id", "state_id"),
    "task_run_state": ("id", "task_run_id"),
    "log": ("id", "flow_run_id", "task_run_id"),
    "artifact": ("id", "flow_run_id", "task_run_id"),
    "events": ("id", "follows"),
    "event_resources": ("id", "event_id"),
}
"""Tables that grow with every run, and their columns that hold ids of a run's own rows."""

_EVENTS_OF = (
    "SELECT event_id FROM event_resources WHERE resource_id = 'prefect.flow-run.' || {run}::text"
)
_ROWS_OF = {
    "flow_run": "t.id = {run}",
    "flow_run_state": "t.flow_run_id = {run}",
    "task_run": "t.flow_run_id = {run}",
    "task_run_state": "t.task_run_id IN (SELECT id FROM task_run WHERE flow_run_id = {run})",
    "log": "t.flow_run_id = {run}",
    "artifact": "t.flow_run_id = {run}",
    "events": f"t.id IN ({_EVENTS_OF})",
    "event_resources": f"t.event_id IN ({_EVENTS_OF})",
}


# --- templates ----------------------------------------------------------------------------------


@flow(name="minutely")
async def minutely() -> str:
    return "2 agents as desired"


@task(name="step", cache_policy=NO_CACHE)
async def step(number: int) -> int:
    return number


@flow(name="hourly")
async def hourly() -> str:
    """What an hour of a session leaves: two steps and a page a window, a page of its own."""
    log = get_run_logger()
    for number in range(WINDOWS):
        await step(number)
        await step(number)
        await acreate_markdown_artifact("| P&L | $1.00 |\n" * 12, key=f"pnl-{number}")
    await acreate_markdown_artifact("| window | Up | 3 | $1.00 |\n" * 40, key="session")
    log.info("handed over")
    return "4 windows traded"


async def make_templates() -> dict[str, UUID]:
    """Run each template once, as a deployment of a worker does; return the runs."""
    runs: dict[str, FlowRun] = {}
    async with InProcessWorker(work_pool_name=POOL) as worker, get_client() as client:
        for each in (minutely, hourly):
            deployment = await client.create_deployment(
                flow_id=await client.create_flow(each),
                name=each.name,
                entrypoint=f"benchmarks.prefect_growth.{each.name}",
                work_pool_name=POOL,
                tags=TAGS[each.name],
            )
            runs[each.name] = await client.create_flow_run_from_deployment(deployment)
        await worker.get_and_submit_flow_runs()
        for run in runs.values():
            await _final(client, run)
    # Events arrive in the database a little later.
    await asyncio.sleep(10)
    return {name: run.id for name, run in runs.items()}


async def _final(client: PrefectClient, run: FlowRun) -> None:
    while True:
        state = (await client.read_flow_run(run.id)).state
        if state is not None and state.is_final():
            return
        await asyncio.sleep(0.5)


# --- weeks --------------------------------------------------------------------------------------


class Weeks:
    """Copies templates day by day and cleans up as Prefect would have."""

    def __init__(self, connection: psycopg.Connection[Any], templates: dict[str, UUID]) -> None:
        self._connection = connection
        self._began = now("UTC")
        self._columns = {table: self._columns_of(table) for table in TABLES}
        for name, run in templates.items():
            for table in TABLES:
                rows = _ROWS_OF[table].format(run=f"'{run}'::uuid")
                connection.execute(
                    f"CREATE TEMP TABLE {name}_{table} AS SELECT t.* FROM {table} t WHERE {rows}"
                )
        # Copies keep their keys by being made with them, so no row need be looked up.
        connection.execute("SET session_replication_role = replica")
        connection.execute("CREATE TEMP TABLE copies (key text, shift interval)")

    def live(self, day: int) -> None:
        """Add what a day brings."""
        self._copy("minutely", day, int(OPS_RUNS_PER_DAY * SHARE), TABLES)
        sessions = max(1, int(SESSIONS_PER_DAY * SHARE))
        self._copy("hourly", day, sessions, TABLES)
        beats = ("events", "event_resources")
        self._copy("hourly", day, sessions * HEARTBEATS, beats, "prefect.flow-run.heartbeat")

    def clean(self, day: int) -> float:
        """Clean up at the end of the day; return the seconds it took."""
        began = time.perf_counter()
        asyncio.run(_clean(self._began + timedelta(days=day + 1)))
        for table in TABLES:
            self._connection.execute(f"VACUUM ANALYZE {table}")
        return time.perf_counter() - began

    def figures(self) -> dict[str, float]:
        """Return rows by table, and the bytes of each with its indexes."""
        found: dict[str, float] = {}
        for table in TABLES:
            found[table] = self._one(f"SELECT count(*) FROM {table}")
            found[f"{table} bytes"] = self._one(f"SELECT pg_total_relation_size('{table}')")
        return found

    def others(self) -> dict[str, int]:
        """Return the rows of every other table that has some."""
        names = self._connection.execute(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1"
        ).fetchall()
        rows = {name: self._one(f'SELECT count(*) FROM "{name}"') for (name,) in names}
        return {name: count for name, count in rows.items() if count and name not in TABLES}

    def _copy(
        self, template: str, day: int, count: int, tables: Any, event: str | None = None
    ) -> None:
        self._connection.execute("TRUNCATE copies")
        self._connection.execute(
            "INSERT INTO copies SELECT %s || n, (%s + n::float8 / %s) * interval '1 day'"
            " FROM generate_series(0, %s) n",
            (f"{template}-{event}-{day}-", day, count, count - 1),
        )
        for table in tables:
            mapped, only = TABLES[table], ""
            if event is not None:
                which = "t.id" if table == "events" else "t.event_id"
                only = (
                    f" WHERE {which} IN"
                    f" (SELECT id FROM {template}_events WHERE event = '{event}' LIMIT 1)"
                )
            values = ", ".join(
                _copied(name, kind, mapped) for name, kind in self._columns[table].items()
            )
            names = ", ".join(f'"{name}"' for name in self._columns[table])
            self._connection.execute(
                f"INSERT INTO {table} ({names}) SELECT {values}"
                f" FROM {template}_{table} t CROSS JOIN copies c{only}"
            )

    def _columns_of(self, table: str) -> dict[str, str]:
        rows = self._connection.execute(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_name = %s AND is_generated = 'NEVER' ORDER BY ordinal_position",
            [table],
        )
        return dict(rows.fetchall())

    def _one(self, query: str) -> int:
        row = self._connection.execute(query).fetchone()  # type: ignore[arg-type]
        assert row is not None
        return int(row[0])


def _copied(name: str, kind: str, mapped: tuple[str, ...]) -> str:
    if name in mapped:
        return (
            f'CASE WHEN t."{name}" IS NULL THEN NULL ELSE md5(c.key || t."{name}"::text)::uuid END'
        )
    if name == "idempotency_key":
        return "NULL"
    return f't."{name}" + c.shift' if kind.startswith("timestamp") else f't."{name}"'


async def _clean(clock: datetime) -> None:
    """Run every clean-up of Prefect's once, as if it were `clock`."""
    db_vacuum.now = lambda zone: clock  # type: ignore[assignment]
    db = provide_database_interface()
    for each in (
        db_vacuum.vacuum_old_flow_runs,
        db_vacuum.vacuum_events_with_retention_overrides,
        db_vacuum.vacuum_old_events,
        db_vacuum.vacuum_orphaned_logs,
        db_vacuum.vacuum_orphaned_artifacts,
        db_vacuum.vacuum_stale_artifact_collections,
    ):
        await each(db=db)
    for config in db_vacuum._MAINTENANCE_CONFIGS.values():
        await (await config.engine()).dispose()
    db_vacuum._MAINTENANCE_CONFIGS.clear()
    await (await db.database_config.engine()).dispose()


def simulate(url: str, templates: dict[str, UUID]) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        weeks = Weeks(connection, templates)
        print(f"prefect_growth: {WEEKS} weeks at {SHARE:.0%} of a floor's rate, figures scaled up")
        print(
            "  week     runs     tasks    events resources      logs artifacts"
            "   MB of runs  of events      all  clean-up"
        )
        sizes = []
        for week in range(WEEKS):
            seconds = 0.0
            for day in range(7 * week, 7 * week + 7):
                weeks.live(day)
                seconds += weeks.clean(day)
            seen = {name: value / SHARE for name, value in weeks.figures().items()}
            mb = {name: seen[f"{name} bytes"] / 1e6 for name in TABLES}
            sizes.append(sum(mb.values()))
            of_events = mb["events"] + mb["event_resources"]
            names = ("flow_run", "task_run", "events", "event_resources", "log", "artifact")
            counts = " ".join(f"{seen[name]:9,.0f}" for name in names)
            print(
                f"  {week + 1:4}{counts} {sizes[-1] - of_events:12,.0f} {of_events:10,.0f}"
                f" {sizes[-1]:8,.0f} {seconds:7.1f} s",
                flush=True,
            )
        grown = sizes[-1] / sizes[-2] - 1
        print(f"  last week's growth {grown:+.2%} (at most {TOLERANCE:.0%})")
        print(f"  other tables, rows: {weeks.others()}")
    return int(abs(grown) > TOLERANCE)


# --- servers ------------------------------------------------------------------------------------


@contextmanager
def servers(home: Path) -> Iterator[Settings]:
    """Run an embedded Postgres and a Prefect server with the floor's settings."""
    settings = Settings(_env_file=None, floor_home=home, **PORTS)  # type: ignore[call-arg, arg-type]
    program = prepare_postgres(home, settings.postgres_port)
    command = ["server", "start", "--host", "127.0.0.1", "--port", str(settings.prefect_port)]
    with (home / "servers.log").open("wb") as log:
        running = [
            subprocess.Popen(
                program.argv, env=dict(program.env), cwd=program.cwd, stdout=log, stderr=log
            )
        ]
        try:
            _patiently(lambda: ensure_databases(urls(settings)))
            environment = child_environment(settings, server=True)
            running.append(
                subprocess.Popen(
                    [sys.executable, "-m", "prefect", *command],
                    cwd=ROOT, env=environment, stdout=log, stderr=log,
                )
            )  # fmt: skip
            ready = f"{prefect_api_url(settings)}/ready"
            _patiently(lambda: httpx.get(ready, trust_env=False).raise_for_status())
            yield settings
        finally:
            for process, sign in reversed(
                list(zip(running, (program.stop_signal, 15), strict=False))
            ):
                process.send_signal(sign)
                process.wait(60)


def _patiently(attempt: Any, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            attempt()
            return
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def main(arguments: list[str]) -> int:
    if arguments == ["inside"]:
        url = os.environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"].replace("+asyncpg", "", 1)
        return simulate(url, asyncio.run(make_templates()))
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as settings:
        # Prefect reads its settings once, when it is imported.
        return subprocess.run(
            [sys.executable, "-m", "benchmarks.prefect_growth", "inside"],
            cwd=ROOT,
            env=child_environment(settings, server=True),
            check=False,
        ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
