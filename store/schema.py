"""Bring the database's tables to the version of the code, and prove that they are."""


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate up to `revision`. Safe to call from several processes at once."""
    raise NotImplementedError


def downgrade(url: str, revision: str) -> None:
    """Migrate down to `revision` (``base`` removes every table)."""
    raise NotImplementedError


def check(url: str) -> list[str]:
    """List what differs between the database and the models; empty when they agree."""
    raise NotImplementedError
