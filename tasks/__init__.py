"""Prefect tasks: one retried side effect each, wiring the rooms together."""
