import pytest
from polymarket.clients._transport import AsyncTransport
from polymarket.errors import (
    RateLimitError,
    RequestRejectedError,
    SigningError,
    TransportError,
    UnexpectedResponseError,
    UserInputError,
)
from polymarket.errors import TimeoutError as SdkTimeout

from models.errors import (
    BadValue,
    FloorError,
    VenueRejected,
    VenueUnavailable,
    VenueUnknown,
)
from venue.polymarket.errors import Call, decide, never_arrived, refused_in_reply

# Every text of the fact sheet's section 3.8 (and the issues it quotes), by status.
REFUSALS = [
    (400, "Invalid order payload", "other"),
    (400, "Invalid token id", "other"),
    (400, "Invalid side", "other"),
    (400, "the order owner has to be the owner of the API KEY", "auth"),
    (400, "the order signer address has to be the address of the API KEY", "signature"),
    (400, "'0xabc' address banned", "closed"),
    (400, "'0xabc' address in closed only mode", "closed"),
    (400, "order 0x1 is invalid. Price (0.485) breaks minimum tick size rule: 0.01", "tick"),
    (400, "order 0x1 is invalid. Size (3) lower than the minimum: 5", "min_size"),
    (400, "invalid amount for a marketable BUY order ($0.5), min size: $1", "min_size"),
    (400, "order 0x1 is invalid. Duplicated.", "duplicate"),
    (400, "order 0x1 crosses the book", "crosses"),
    (400, "invalid post-only order: order crosses book", "crosses"),
    (400, "not enough balance / allowance", "balance"),
    (400, "invalid nonce", "other"),
    (400, "invalid expiration", "other"),
    (400, "the market is not yet ready to process new orders", "closed"),
    (
        400,
        "order couldn't be fully filled. FOK orders are fully filled or killed.",
        "unmatched",
    ),
    (
        400,
        "no orders found to match with FAK order. FAK orders are partially filled or killed if "
        "no match is found.",
        "unmatched",
    ),
    (400, "invalid signature", "signature"),
    (400, "invalid POLY_PROXY signature", "signature"),
    (400, "order_version_mismatch", "signature"),
    (400, "maker address not allowed, please use the deposit wallet flow", "signature"),
    (401, "Unauthorized/Invalid api key", "auth"),
    (404, "No orderbook exists for the requested token id", "closed"),
]
IN_DOUBT = [
    (500, "could not run the execution"),
    (500, "could not insert order"),
    (500, "there are no matching orders"),
    (500, "the trade contains rounding issues"),
    (502, "Request failed with status 502 and unreadable response body"),
    (503, "Request failed with status 503 and unreadable response body"),
    (504, "gateway"),
    (524, "blocked by Cloudflare with status 524"),
    (400, "context canceled"),
    (400, "order match delayed due to market conditions"),
]


@pytest.mark.parametrize(("status", "text", "code"), REFUSALS)
def test_a_refused_order_is_dead_with_a_reason(status: int, text: str, code: str) -> None:
    decided = decide(RequestRejectedError(text, status=status), Call.SUBMIT)
    assert isinstance(decided, VenueRejected)
    assert decided.code == code
    assert text in str(decided)


@pytest.mark.parametrize(("status", "text"), IN_DOUBT)
@pytest.mark.parametrize("call", list(Call))
def test_an_order_in_doubt_is_never_called_dead(status: int, text: str, call: Call) -> None:
    assert isinstance(decide(RequestRejectedError(text, status=status), call), VenueUnknown)


@pytest.mark.parametrize("call", [Call.CANCEL, Call.READ])
@pytest.mark.parametrize(("status", "text", "code"), REFUSALS)
def test_only_submit_is_rejected(status: int, text: str, code: str, call: Call) -> None:
    decided = decide(RequestRejectedError(text, status=status), call)
    assert isinstance(decided, VenueUnavailable)


@pytest.mark.parametrize(
    ("error", "mode", "wait"),
    [
        (RequestRejectedError("x", status=425, restriction="restarting"), "restarting", 2.0),
        (
            RequestRejectedError(
                "post-only mode: only post-only orders and cancels are allowed",
                status=503, code="post_only_mode", retry_after=79, restriction="post_only",
            ),
            "post_only", 79,
        ),
        (
            RequestRejectedError(
                "Trading is currently cancel-only. New orders are not accepted, but cancels are "
                "allowed.", status=503, restriction="cancel_only",
            ),
            "cancel_only", 2.0,
        ),
        (
            RequestRejectedError(
                "Trading is currently cancel-only.", status=503
            ),
            "cancel_only", 2.0,
        ),
        (
            RequestRejectedError(
                "Trading is currently disabled. Check polymarket.com for updates", status=503
            ),
            "disabled", 30.0,
        ),
        (RequestRejectedError("blocked by Cloudflare", status=403), "disabled", 30.0),
        (RateLimitError("slow down", retry_after=7), "rate_limited", 7),
        (RateLimitError("slow down"), "rate_limited", 1.0),
        (RateLimitError("slow down", retry_after=0), "rate_limited", 0),
    ],
)  # fmt: skip
def test_the_venue_is_away(error: Exception, mode: str, wait: float) -> None:
    for call in Call:
        decided = decide(error, call)
        assert isinstance(decided, VenueUnavailable)
        assert (decided.mode, decided.retry_after_s) == (mode, wait)


@pytest.mark.parametrize(
    "error",
    [TransportError("connection lost"), UnexpectedResponseError("odd"), TimeoutError(),
     SdkTimeout("waited")],
)  # fmt: skip
def test_a_lost_answer_is_unknown(error: Exception) -> None:
    assert isinstance(decide(error, Call.SUBMIT), VenueUnknown)


@pytest.mark.parametrize("error", [UserInputError("bad size"), SigningError("no key")])
def test_our_own_mistake_is_a_bad_value(error: Exception) -> None:
    assert isinstance(decide(error, Call.SUBMIT), BadValue)


def test_an_error_that_is_not_the_venues_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        decide(ZeroDivisionError(), Call.SUBMIT)


def test_addresses_lose_their_query() -> None:
    error = TransportError("GET https://clob.example/data/orders?owner=abcd failed")
    assert "abcd" not in str(decide(error, Call.READ))


@pytest.mark.parametrize(("_status", "text", "code"), REFUSALS)
def test_a_known_refusal_in_a_reply_is_one(_status: int, text: str, code: str) -> None:
    if code == "other" and text not in ("invalid nonce", "invalid expiration"):
        assert isinstance(refused_in_reply(text), VenueUnknown)
    else:
        decided = refused_in_reply(text)
        assert isinstance(decided, VenueRejected)
        assert decided.code == code


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", VenueUnknown),
        ("Unknown order failure", VenueUnknown),
        ("order match delayed due to market conditions", VenueUnknown),
        ("post-only mode: only post-only orders and cancels are allowed", VenueUnavailable),
        ("Trading is currently cancel-only.", VenueUnavailable),
    ],
)
def test_a_reply_that_says_neither_yes_nor_no_is_in_doubt(
    text: str, kind: type[FloorError]
) -> None:
    assert isinstance(refused_in_reply(text), kind)


async def test_a_venue_that_cannot_be_reached_is_absent_rather_than_failing() -> None:
    """The breaker on failed calls is for a venue that answers and errs; absence is waited out."""
    transport = AsyncTransport(base_url="http://127.0.0.1:1")
    try:
        with pytest.raises(TransportError) as caught:
            await transport.get_json("/time")
    finally:
        await transport.close()
    translated = decide(caught.value, Call.READ)
    translated.__cause__ = caught.value
    assert never_arrived(translated)
    assert not never_arrived(decide(TimeoutError(), Call.READ))
