"""The checks of `floor doctor` that ask what runs: processes, servers, clocks, the venue."""

import asyncio
import time
from collections.abc import Iterator

import httpx
import redis

from console.environment import prefect_api_url, prefect_login
from console.findings import Finding, fail, guarded, ok, warn
from console.records import FloorRecord
from console.status import gather
from models.settings import Settings, TradingMode
from store import schema
from store.database import Database
from store.urls import urls
from venue.polymarket.endpoints import endpoints

WARN_SKEW_S = 1.0
FAIL_SKEW_S = 5.0
"""The venue refuses requests whose timestamp is further off than its own tolerance."""
TIMEOUT_S = 5.0
NOT_RUNNING = "not running: the floor is down"


def running_findings(settings: Settings, record: FloorRecord | None) -> Iterator[Finding]:
    """Check what runs; `record` is None while the floor is down."""
    up = record is not None
    if up:
        yield from guarded("processes", lambda: processes(settings))
    if up or settings.database_url is not None:
        yield from guarded("database", lambda: database(settings))
    else:
        yield warn("database", NOT_RUNNING)
    if up or settings.redis_url is not None:
        yield from guarded("redis", lambda: redis_server(settings))
    else:
        yield warn("redis", NOT_RUNNING)
    if up:
        yield from guarded("prefect", lambda: prefect(settings))
    else:
        yield warn("prefect", NOT_RUNNING)
    if up or settings.trading_mode is not TradingMode.SIM:
        yield from guarded("venue", lambda: venue(settings))
    else:
        yield warn("venue", "the simulator is not running: the floor is down")


def processes(settings: Settings) -> list[Finding]:
    status = gather(settings)
    found = []
    for row in status.programs:
        if row.state not in ("running", "done"):
            found.append(fail("processes", f"{row.name}: {row.state}", f"`floor logs {row.name}`"))
        elif row.restarts > 1:
            words = f"{row.name} was started {row.restarts + 1} times lately"
            found.append(warn("processes", words, f"`floor logs {row.name}`"))
    if status.halt:
        found.append(warn("halt", status.halt, "`floor drain --off` lifts it"))
    return found or [ok("processes", ", ".join(row.name for row in status.programs))]


def database(settings: Settings) -> list[Finding]:
    address = urls(settings).database
    found = [asyncio.run(_database_clock(address))]
    differences = schema.check(address)
    if differences:
        more = f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""
        found.append(fail("tables", f"{differences[0]}{more}", "`floor db upgrade`"))
    else:
        found.append(ok("tables", "those of the code"))
    return found


async def _database_clock(address: str) -> Finding:
    async with Database(address, max_size=1, timeout_s=3.0) as db:
        before = time.time()
        row = await db.fetch_one(
            "SELECT extract(epoch FROM clock_timestamp())::float8 AS at, version() AS version"
        )
        after = time.time()
    if row is None:
        return fail("database", "answers without a row")
    name = " ".join(str(row["version"]).split()[:2])
    return _skew("database", name, row["at"] - (before + after) / 2, (after - before) / 2)


def redis_server(settings: Settings) -> list[Finding]:
    address = urls(settings).redis
    try:
        with redis.Redis.from_url(address, socket_timeout=3, socket_connect_timeout=3) as client:
            client.ping()
            version = client.info("server")["redis_version"]
    except redis.RedisError as error:
        kind = type(error).__name__
        return [fail("redis", f"does not answer ({kind})", "`floor logs redis`, check REDIS_URL")]
    return [ok("redis", f"version {version}")]


def prefect(settings: Settings) -> list[Finding]:
    """Ask Prefect's server, and whether its scheduler really schedules."""
    api = prefect_api_url(settings)
    login = prefect_login(settings)
    with httpx.Client(timeout=TIMEOUT_S, trust_env=False, auth=login) as client:
        try:
            client.get(f"{api}/ready").raise_for_status()
            version = client.get(f"{api}/admin/version").raise_for_status().json()
            deployments = client.post(f"{api}/deployments/filter", json={}).raise_for_status()
            runs = client.post(
                f"{api}/flow_runs/count",
                json={"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}},
            ).raise_for_status()
        except httpx.HTTPError as error:
            kind = type(error).__name__
            return [fail("prefect", f"{api} does not answer ({kind})", "`floor logs prefect`")]
    found = [ok("prefect", f"version {version} at {api}")]
    scheduled = [row["name"] for row in deployments.json() if _scheduled(row)]
    if not scheduled:
        mend = "`floor logs deployments`, then `floor down` and `floor up`"
        return [*found, fail("schedules", "no deployment has an active schedule", mend)]
    if not runs.json():
        # What SQLAlchemy 2.1 does to the server: everything looks well and nothing ever runs.
        words = f"{', '.join(scheduled)} have schedules but no run is scheduled"
        return [*found, fail("schedules", words, "`make setup`, then `floor down` and `floor up`")]
    return [*found, ok("schedules", f"{runs.json()} runs ahead for {', '.join(scheduled)}")]


def _scheduled(deployment: dict[str, object]) -> bool:
    schedules = deployment.get("schedules")
    listed = schedules if isinstance(schedules, list) else []
    return not deployment.get("paused") and any(each.get("active") for each in listed)


def venue(settings: Settings) -> list[Finding]:
    """Ask the venue the time: says whether it can be reached and how far our clock is off."""
    places = endpoints(settings)
    addresses = {"venue": places.clob}
    if places.clob_data != places.clob:
        addresses["venue data"] = places.clob_data
    return [_venue_clock(part, address) for part, address in addresses.items()]


def _venue_clock(part: str, address: str) -> Finding:
    before = time.time()
    try:
        answer = httpx.get(f"{address}/time", timeout=TIMEOUT_S)
        answer.raise_for_status()
        theirs = float(answer.text.strip().strip('"'))
    except (httpx.HTTPError, ValueError) as error:
        mend = "check the network, or the POLYMARKET_*_URL variables"
        if "127.0.0.1" in address:
            mend = "`floor logs simulator`"
        return fail(part, f"{address} does not answer ({type(error).__name__})", mend)
    after = time.time()
    # Whole seconds only: the truth lies up to a second later.
    middle = theirs + 0.5 - (before + after) / 2
    return _skew(part, address, middle, (after - before) / 2 + 0.5)


def _skew(part: str, name: str, skew_s: float, uncertain_s: float) -> Finding:
    """Judge how far our clock is from theirs, giving it the benefit of the doubt."""
    least = max(0.0, abs(skew_s) - uncertain_s)
    words = f"{name}, clock off by {skew_s:+.1f} s" if least else f"{name}, clocks agree"
    mend = "synchronise this machine's clock (NTP)"
    if least > FAIL_SKEW_S:
        return fail(part, words, mend)
    return warn(part, words, mend) if least > WARN_SKEW_S else ok(part, words)
