"""Readers of recorded sets: each makes a `Tape` of files that others wrote."""
