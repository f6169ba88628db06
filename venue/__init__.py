"""The market outside: Polymarket, and the simulator that speaks the same wire."""
