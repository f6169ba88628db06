"""What several Prefect servers on one database must share, and through which Redis."""

from urllib.parse import urlsplit


def shared_environment(redis: str) -> dict[str, str]:
    """Return the settings of a Prefect server that is one of several, as environment variables.

    Events reach every server's triggers exactly once, leases of concurrency limits survive the
    server that gave them, and the servers' own background jobs are shared out.

    Parameters
    ----------
    redis
        Address of the floor's Redis. Prefect's keys carry no prefix of ours, so they are kept in
        the database next to it.
    """
    url = beside(redis)
    return {
        "PREFECT_REDIS_MESSAGING_URL": url,
        "PREFECT_SERVER_EVENTS_MESSAGING_BROKER": "prefect_redis.messaging",
        "PREFECT_SERVER_EVENTS_MESSAGING_CACHE": "prefect_redis.messaging",
        "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage",
        "PREFECT_SERVER_DOCKET_URL": url,
    }


def beside(redis: str) -> str:
    """Return the address of the next numbered database of the same Redis."""
    parts = urlsplit(redis)
    number = parts.path.strip("/")
    return parts._replace(path=f"/{(int(number) if number.isdigit() else 0) + 1}").geturl()
