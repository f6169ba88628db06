"""An agent's floor on which every behaviour has to do its own work."""

import pytest
from fakes.floor import Floor

from engine.orders import OrderSettings


@pytest.fixture
def floor() -> Floor:
    """A floor without periodic reconciliation, which would mend everything by and by."""
    return Floor(settings=OrderSettings(settle_s=30, reconcile_s=100_000, heartbeat_always=True))
