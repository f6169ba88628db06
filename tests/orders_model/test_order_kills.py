"""Kill sessions at random await points: after recovery, venue, books and table agree.

HYPOTHESIS_PROFILE=explore kills a thousand, and ORDER_SEED another thousand.
"""

import os
import random
from typing import Any

import pytest

from tests.orders_model.mayhem import Mayhem

EXPLORE = os.environ.get("HYPOTHESIS_PROFILE") == "explore"
KILLS = int(os.environ.get("ORDER_KILLS", "1000" if EXPLORE else "12"))
SEED = int(os.environ.get("ORDER_SEED", "1"))


@pytest.mark.timeout(7_200 if EXPLORE else 300)
def test_sessions_killed_anywhere_lose_and_double_nothing(open_stage: Any) -> None:
    rng = random.Random(SEED)
    mayhem = Mayhem(
        rng,
        lambda: open_stage(
            taker_delay_ms=rng.choice((0, 150)), seed=rng.randint(1, 1_000), timeout_s=0.5
        ),
    )
    mayhem.run(KILLS)
    print(mayhem.report())
    assert mayhem.failures == []
    assert mayhem.kills >= KILLS
