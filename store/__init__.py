"""Where it is kept: Postgres, Redis, the local spool."""
