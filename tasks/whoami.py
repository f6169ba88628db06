"""Who steers the floor, for the audit."""

import getpass
import os


def whoami() -> str:
    """Name of the person (or service) that runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
