"""Makes `fakes` (the in-memory venue and journal beside this file) importable in engine tests."""

import sys
from pathlib import Path

_HERE = str(Path(__file__).parent)
if _HERE not in sys.path:
    sys.path.insert(0, _HERE)
