"""What a Prefect server among several, or for several hosts, is started with."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from console.environment import child_environment, prefect_api_url, prefect_login, prefect_ui_url
from console.shared_prefect import beside, shared_environment
from models.settings import Settings
from store.urls import urls

LOGIN = "floor:hunter2hunter2"


@pytest.mark.parametrize(
    ("redis", "expected"),
    [
        ("redis://:word@cache:6379/0", "redis://:word@cache:6379/1"),
        ("rediss://user:word@cache", "rediss://user:word@cache/1"),
        ("redis://cache:6379/14?a=b", "redis://cache:6379/15?a=b"),
    ],
)
def test_prefect_keeps_to_a_database_of_its_own(redis: str, expected: str) -> None:
    assert beside(redis) == expected


def test_prefect_reads_what_several_servers_share_as_it_is_meant(tmp_path: Path) -> None:
    """Prefect ignores a misspelt variable without a word, so its own view is what counts."""
    settings = Settings(
        floor_home=tmp_path, prefect_shared=True, listen_host="0.0.0.0", prefect_auth=LOGIN
    )
    script = """
import json
from prefect.settings import get_current_settings
from prefect_redis.client import RedisMessagingSettings
s = get_current_settings()
print(json.dumps([
    s.server.events.messaging_broker, s.server.events.messaging_cache,
    s.server.events.causal_ordering, s.server.concurrency.lease_storage,
    s.server.docket.url.get_secret_value() if hasattr(s.server.docket.url, "get_secret_value")
    else s.server.docket.url,
    RedisMessagingSettings().url, s.server.ui.api_url,
    s.server.api.auth_string.get_secret_value(), s.api.auth_string.get_secret_value(),
]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=child_environment(settings, server=True),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    redis = beside(urls(settings).redis)
    messaging = "prefect_redis.messaging"
    assert json.loads(done.stdout) == [
        messaging, messaging, "prefect_redis.ordering", "prefect_redis.lease_storage",
        redis, redis, "/api", LOGIN, LOGIN,
    ]  # fmt: skip


def test_a_server_alone_needs_no_redis(tmp_path: Path) -> None:
    environment = child_environment(Settings(floor_home=tmp_path), server=True)
    shared = shared_environment("redis://cache")
    lease = "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"
    assert not (shared.keys() - {lease}) & environment.keys()
    assert environment[lease].endswith("filesystem")


def test_hosts_know_where_the_servers_are_and_what_they_ask(tmp_path: Path) -> None:
    for url in ("http://servers:4200/api", "http://servers:4200/api/", "http://servers:4200"):
        settings = Settings(floor_home=tmp_path, prefect_url=url, prefect_auth=LOGIN)
        assert prefect_api_url(settings) == "http://servers:4200/api"
        assert prefect_ui_url(settings) == "http://servers:4200"
        environment = child_environment(settings, {})
        assert environment["PREFECT_API_URL"] == "http://servers:4200/api"
        assert environment["PREFECT_API_AUTH_STRING"] == LOGIN
        assert prefect_login(settings) == ("floor", "hunter2hunter2")
        assert not [key for key in environment if key.startswith("PREFECT_SERVER_API_AUTH")]
    assert prefect_login(Settings(floor_home=tmp_path)) is None
