"""The matching core: pure, deterministic, integer base units, no clock of its own."""
