"""Makes `stage` (a view to be set up by hand, beside this file) importable in these tests."""

import sys
from pathlib import Path

_HERE = str(Path(__file__).parent)
if _HERE not in sys.path:
    sys.path.insert(0, _HERE)
