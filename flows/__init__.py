"""Prefect flows: one file per deployment; each reads like a description of itself."""
