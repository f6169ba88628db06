"""Drills: faults on purpose, and what must hold whatever happens."""
