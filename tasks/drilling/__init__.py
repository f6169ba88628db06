"""Drills: real faults against a running floor on the simulator, and what must hold through them."""
