"""What a run comes to: a `RunResult` in, a `Summary` out. Pure."""
