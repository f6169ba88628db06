"""``python -m engine.matching`` compiles the matching loops, so that nothing waits for it later."""

import sys

from engine.matching.warm import warm_up

sys.stdout.write(f"matching loops ready after {warm_up():.1f} s\n")
