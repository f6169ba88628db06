"""Keys of Gamma's answers that its website reads and no trading client does.

They are here because the venue sends them: a reader that chokes on one of them should choke on the
simulator first. Values are those of a quiet crypto market; sums of volume are the window's own.
"""

from typing import Any

from venue.simulator.windows import Window
from venue.simulator.wire import iso

_FLAGS_OF_BOTH: dict[str, Any] = {
    "competitive": 0.99,
    "cyom": False,
    "automaticallyActive": True,
    "pendingDeployment": False,
    "deploying": False,
    "requiresTranslation": False,
}
_FLAGS_OF_MARKET: dict[str, Any] = _FLAGS_OF_BOTH | {
    "groupItemThreshold": "0",
    "hasReviewedDates": True,
    "ready": False,
    "funded": False,
    "pagerDutyNotificationEnabled": False,
    "approved": True,
    "rewardsMinSize": 50,
    "rewardsMaxSpread": 4.5,
    "clearBookOnStart": False,
    "showGmpSeries": False,
    "showGmpOutcome": False,
    "manualActivation": False,
    "negRiskOther": False,
    "rfqEnabled": False,
    "holdingRewardsEnabled": False,
    "makerRebatesFeeShareBps": 10_000,
}
_FLAGS_OF_EVENT: dict[str, Any] = _FLAGS_OF_BOTH | {
    "openInterest": 0,
    "commentCount": 0,
    "showAllOutcomes": True,
    "showMarketImages": True,
    "enableNegRisk": False,
    "negRiskAugmented": False,
    "liquidity": 0,
    "liquidityClob": 0,
}
_FLAGS_OF_SERIES: dict[str, Any] = {
    "seriesType": "single",
    "image": "",
    "icon": "",
    "active": True,
    "closed": False,
    "archived": False,
    "featured": False,
    "restricted": True,
    "volume": 0,
    "volume24hr": 0,
    "liquidity": 0,
    "commentCount": 0,
    "requiresTranslation": False,
}
_SPANS = ("24hr", "1wk", "1mo", "1yr")


def of_market(volume: float) -> dict[str, Any]:
    """Further keys of a market that traded so much."""
    spans = {f"volume{span}{of}": volume for span in _SPANS for of in ("", "Clob")}
    return _FLAGS_OF_MARKET | spans | {"liquidityClob": 0}


def of_event(volume: float) -> dict[str, Any]:
    """Further keys of the event around such a market."""
    return _FLAGS_OF_EVENT | {f"volume{span}": volume for span in _SPANS}


def series_of(window: Window, slug: str, title: str) -> dict[str, Any]:
    """The series a window belongs to, with the number the venue gives it."""
    length_s = window.market.window_s
    listed = iso(window.listed_ns)
    return _FLAGS_OF_SERIES | {
        "id": str(10_000 + length_s % 9_999),
        "ticker": slug,
        "slug": slug,
        "title": title,
        "recurrence": window.market.timeframe,
        "createdAt": listed,
        "updatedAt": listed,
    }
