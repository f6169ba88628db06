"""What to make of a failed call: one decision per failure, never a guess in the caller.

The question is always the same: did it happen? *Rejected*: no, and it never will.
*Unavailable*: no, try later. *Unknown*: nobody can say, ask by the order's id.
"""

import re
from enum import StrEnum

import httpx
from polymarket.errors import (
    PolymarketError,
    RateLimitError,
    RequestRejectedError,
    SigningError,
    TransportError,
    UnexpectedResponseError,
    UserInputError,
)

from models.errors import BadValue, FloorError, VenueRejected, VenueUnavailable, VenueUnknown


class Call(StrEnum):
    """What was asked of the venue."""

    SUBMIT = "submit"
    CANCEL = "cancel"
    READ = "read"


RESTART_WAIT_S = 2.0
"""First pause while the matching engine restarts (it takes about 90 s); callers back off."""
DISABLED_WAIT_S = 30.0
BLOCKED_WAIT_S = 30.0
RATE_WAIT_S = 1.0

_IN_DOUBT = (
    "order match delayed due to market conditions",
    "context canceled",
    "could not run the execution",
    "could not insert order",
)
"""Texts that leave open whether the order is in the book, whatever the status."""

_CODES: tuple[tuple[str, str], ...] = (
    ("not enough balance", "balance"),
    ("allowance", "balance"),
    ("minimum tick size", "tick"),
    ("more than 4 decimals", "tick"),
    ("decimal", "tick"),
    ("lower than the minimum", "min_size"),
    ("min size", "min_size"),
    ("duplicated", "duplicate"),
    ("crosses", "crosses"),
    ("fully filled or killed", "unmatched"),
    ("killed if no match", "unmatched"),
    ("there are no matching orders", "unmatched"),
    ("signature", "signature"),
    ("order_version_mismatch", "signature"),
    ("invalid order version", "signature"),
    ("signer address", "signature"),
    ("deposit wallet flow", "signature"),
    ("api key", "auth"),
    ("unauthorized", "auth"),
    ("l1 request headers", "auth"),
    ("closed only", "closed"),
    ("banned", "closed"),
    ("not yet ready", "closed"),
    ("no orderbook exists", "closed"),
    ("market not found", "closed"),
    ("market is closed", "closed"),
    ("not accepting orders", "closed"),
)

_SECRETS = re.compile(r"(?i)(https?://[^/\s]+)\S*")


def rejection_code(text: str) -> str:
    """Our short reason for the venue's refusal of an order, ``other`` for an unlisted text."""
    lowered = text.lower()
    return next((code for part, code in _CODES if part in lowered), "other")


def decide(error: Exception, call: Call) -> FloorError:
    """Translate a failure of an SDK call. Only `Call.SUBMIT` ever yields `VenueRejected`."""
    if isinstance(error, FloorError):
        return error
    if isinstance(error, TimeoutError):
        return VenueUnknown(f"{call}: the venue did not answer in time")
    if isinstance(error, TransportError | UnexpectedResponseError):
        return VenueUnknown(f"{call}: {_clean(error)}")
    if isinstance(error, RateLimitError):
        wait = error.retry_after if error.retry_after is not None else RATE_WAIT_S
        return VenueUnavailable(f"{call}: rate limited", "rate_limited", wait)
    if isinstance(error, RequestRejectedError):
        return _refused(error, call)
    if isinstance(error, UserInputError | SigningError):
        return BadValue(f"{call}: {_clean(error)}")
    if isinstance(error, PolymarketError):
        return VenueUnknown(f"{call}: {_clean(error)}")
    raise error


def never_arrived(error: BaseException | None) -> bool:
    """Whether a failure is one to reach the venue at all: no route, no name, a closed port."""
    while error is not None:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return True
        error = error.__cause__ or error.__context__
    return False


def _refused(error: RequestRejectedError, call: Call) -> FloorError:
    """A reply with an error status."""
    text, status = _clean(error), error.status
    where = f"{call}: {text} (status {status})"
    if (mode := _mode(error)) is not None:
        default = DISABLED_WAIT_S if mode == "disabled" else RESTART_WAIT_S
        return VenueUnavailable(where, mode, _wait(error, default))
    if status == 403:
        hint = "; blocked before the venue: check region, clock and network"
        return VenueUnavailable(where + hint, "disabled", _wait(error, BLOCKED_WAIT_S))
    if status >= 500 or status in (408, 409) or any(part in text.lower() for part in _IN_DOUBT):
        return VenueUnknown(where)
    if call is Call.SUBMIT:
        return VenueRejected(where, "auth" if status == 401 else rejection_code(text))
    return VenueUnavailable(where, "disabled", _wait(error, RATE_WAIT_S))


def _mode(error: RequestRejectedError) -> str | None:
    """Trading restriction a refusal speaks of, None when it is about this request alone."""
    if error.restriction is not None:
        return str(error.restriction)
    text = str(error).lower()
    if "post-only mode" in text:
        return "post_only"
    if "cancel-only" in text:
        return "cancel_only"
    if "trading is currently disabled" in text:
        return "disabled"
    return None


def refused_in_reply(text: str) -> FloorError:
    """Translate the ``errorMsg`` of a reply with status 200 that did not accept the order.

    A text we know as a refusal is one; any other leaves open what happened.
    """
    lowered = text.lower()
    if "post-only mode" in lowered:
        return VenueUnavailable(f"submit: {text}", "post_only", RESTART_WAIT_S)
    if "cancel-only" in lowered:
        return VenueUnavailable(f"submit: {text}", "cancel_only", RESTART_WAIT_S)
    code = rejection_code(text)
    known = code != "other" or lowered in ("invalid nonce", "invalid expiration")
    if known and not any(part in lowered for part in _IN_DOUBT):
        return VenueRejected(f"submit: {text}", code)
    return VenueUnknown(f"submit: reply does not say whether the order was taken: {text!r}")


def _wait(error: RequestRejectedError, default: float) -> float:
    return error.retry_after if error.retry_after is not None else default


def _clean(error: Exception) -> str:
    """Text of an error without the addresses' paths and queries."""
    return _SECRETS.sub(r"\1", str(error) or type(error).__name__)[:300]
