"""A drill looks at stores that may still be recovering from what it did to them."""

import pytest

from models.errors import NotReady, StoreUnavailable
from tasks.drilling.run import once_answered


async def test_a_store_that_is_not_back_yet_is_asked_again() -> None:
    errors = [StoreUnavailable("no answer within 2 s"), NotReady("the simulator does not answer")]

    async def look() -> str:
        if errors:
            raise errors.pop()
        return "lease 7"

    assert await once_answered(look) == "lease 7"


async def test_a_store_that_stays_away_is_named() -> None:
    async def look() -> None:
        raise StoreUnavailable("no answer within 2 s")

    with pytest.raises(StoreUnavailable, match="no answer"):
        await once_answered(look, patience_s=0.3)


async def test_a_mistake_of_ours_is_not_waited_for() -> None:
    async def look() -> None:
        raise KeyError("market-maker")

    with pytest.raises(KeyError):
        await once_answered(look)
