"""Small things every HTTP handler needs."""

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog
from aiohttp import web

from venue.simulator.errors import Refusal, bad

log = structlog.get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_encode = msgspec.json.encode
MAX_BODY = 4 << 20


def reply(data: Any, headers: dict[str, str] | None = None, status: int = 200) -> web.Response:
    """JSON answer with a content length; header and body leave in one write."""
    return web.Response(
        body=_encode(data), status=status, content_type="application/json", headers=headers
    )


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn refusals into the venue's error bodies."""
    try:
        return await handler(request)
    except Refusal as refusal:
        if refusal.page is not None:
            return web.Response(text=refusal.page, status=refusal.status, content_type="text/html")
        return reply(refusal.body, refusal.headers, refusal.status)
    except web.HTTPRequestEntityTooLarge:
        return reply({"error": "Invalid payload"}, status=400)
    except web.RequestPayloadError:
        # A body that can't be decoded: nobody shall try to read the rest of it, or after it.
        request.content.feed_eof()
        answer = reply({"error": "Invalid payload"}, status=400)
        answer.force_close()
        return answer
    except web.HTTPException as error:
        if error.status >= 400:
            return reply({"error": error.reason.lower()}, status=error.status)
        raise
    except Exception:
        log.exception("simulator_request_failed", method=request.method, path=request.path)
        return reply({"error": "could not run the execution"}, status=500)


def parse(body: bytes, error: str = "Invalid payload") -> Any:
    """JSON of a request body. Raises Refusal 400 when it is none."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise bad(error) from None


CURSOR_START, CURSOR_END = "MA==", "LTE="


def page(items: list[Any], request: web.Request, limit: int) -> dict[str, Any]:
    """One page of a list, with the venue's base64 offset cursors.

    Raises
    ------
    Refusal
        400 for a cursor that is not one of ours.
    """
    cursor = request.query.get("next_cursor") or CURSOR_START
    offset = len(items)
    if cursor != CURSOR_END:
        try:
            offset = int(base64.b64decode(cursor, validate=True).decode("ascii"))
        except (binascii.Error, ValueError):
            raise bad("invalid next_cursor") from None
        if not 0 <= offset <= 10**12:
            raise bad("invalid next_cursor")
    data = items[offset : offset + limit]
    more = offset + limit < len(items)
    following = base64.b64encode(str(offset + limit).encode()).decode() if more else CURSOR_END
    return {"limit": limit, "count": len(data), "next_cursor": following, "data": data}


def integer(request: web.Request, name: str, default: int, low: int, high: int) -> int:
    """A whole number of the query string, kept between `low` and `high`."""
    raw = request.query.get(name)
    if raw is None or raw == "":
        return default
    try:
        value = int(raw)
    except ValueError:
        raise bad(f"invalid {name}") from None
    return max(low, min(high, value))
