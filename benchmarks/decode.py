"""How fast market messages become events, beside json and pydantic; and what an order costs.

    python benchmarks/decode.py

Builds its own messages (nothing recorded is needed). Times are CPU seconds of this process, so
that other programs disturb them less.
"""

import asyncio
import json
import random
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pydantic
from eth_account import Account
from polymarket.models import ApiKeyCreds

from models.markets import FeeSchedule, Market, Outcome, Side
from models.orders import OrderRequest
from models.settings import Settings
from models.units import SECOND_NS
from venue.polymarket import environment as sdk
from venue.polymarket.amounts import order_amounts
from venue.polymarket.endpoints import endpoints
from venue.polymarket.market_wire import (
    WireBook,
    WirePriceChange,
    book_changes,
    decode_frame,
    snapshot,
)

UP = "71321045679252212594626385532706912750332728571942532289631379312455583992563"
DOWN = "52114319501245915516055106046884209969926127482827954674443846427813813222426"
CONDITION = "0x5f65177b394277fd294cd75650044e32ba009a95022d88a0c1d565897d72f8f1"


def price_changes(count: int, rng: random.Random) -> list[bytes]:
    """Messages as the venue sends them today: one level of both tokens of a market."""
    messages = []
    for number in range(count):
        up = rng.randint(1, 99)
        rows = [
            {
                "asset_id": token, "price": f"{price / 100:g}", "side": side,
                "size": f"{rng.randint(0, 50_000) / 100:g}", "hash": rng.randbytes(20).hex(),
                "best_bid": "0.48", "best_ask": "0.49",
            }
            for token, price, side in [(UP, up, "BUY"), (DOWN, 100 - up, "SELL")]
        ]  # fmt: skip
        body = {"event_type": "price_change", "market": CONDITION, "price_changes": rows,
                "timestamp": str(1_757_908_892_351 + number)}  # fmt: skip
        messages.append(json.dumps(body, separators=(",", ":")).encode())
    return messages


def book(rng: random.Random, levels: int = 45) -> bytes:
    def side(start: int) -> list[dict[str, str]]:
        return [{"price": f"{(start + i) / 100:g}", "size": f"{rng.randint(1, 99_999) / 100:g}"}
                for i in range(levels)]  # fmt: skip

    body = {"event_type": "book", "market": CONDITION, "asset_id": UP, "bids": side(1),
            "asks": side(50), "timestamp": "1757908892351",
            "hash": rng.randbytes(20).hex()}  # fmt: skip
    return json.dumps(body, separators=(",", ":")).encode()


class Row(pydantic.BaseModel):
    asset_id: str
    price: Decimal
    side: Side
    size: Decimal


class PriceChange(pydantic.BaseModel):
    market: str
    timestamp: int
    price_changes: list[Row]


def ours(message: bytes) -> int:
    (wire,), _ = decode_frame(message)
    assert isinstance(wire, WirePriceChange)
    return sum(len(event.changes) for event in book_changes(wire, 0))


def by_json(message: bytes) -> int:
    decoded = json.loads(message)
    rows = [(row["side"], round(float(row["price"]) * 1e4), round(float(row["size"]) * 1e6))
            for row in decoded["price_changes"]]  # fmt: skip
    return len(rows)


def by_pydantic(message: bytes) -> int:
    decoded = PriceChange.model_validate_json(message)
    rows = [(row.side, int(row.price * 10_000), int(row.size * 1_000_000))
            for row in decoded.price_changes]  # fmt: skip
    return len(rows)


def our_book(message: bytes) -> int:
    (wire,), _ = decode_frame(message)
    assert isinstance(wire, WireBook)
    event = snapshot(wire, 0)
    return len(event.bids) + len(event.asks)


def rate(name: str, work: Callable[[bytes], int], messages: list[bytes]) -> None:
    """Print the median of five runs."""
    runs = []
    for _ in range(5):
        began = time.process_time()
        rows = sum(work(message) for message in messages)
        runs.append((time.process_time() - began, rows))
    seconds, rows = sorted(runs)[2]
    print(f"{name:34s}{len(messages) / seconds:12,.0f} messages/s{rows / seconds:12,.0f} rows/s")


async def signing() -> None:
    """Time one order's amounts, signature and id, without a venue."""
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(_env_file=None, floor_home=Path(home))
        account = Account.create()
        creds: Any = {"apiKey": "k", "secret": "c2VjcmV0", "passphrase": "p"}
        client = await sdk.open_client(
            private_key=account.key.hex(), wallet=account.address, where=endpoints(settings),
            credentials=ApiKeyCreds.model_validate(creds), on_rate_limit=lambda update: None,
        )  # fmt: skip
        end = 900 * SECOND_NS
        market = Market(CONDITION, "btc-updown-15m-0", "", "BTC", "15m", UP, DOWN, 0, end, 100,
                        5_000_000, FeeSchedule())  # fmt: skip
        request = OrderRequest("i", "a", CONDITION, UP, Outcome.UP, Side.BUY, 4800, 10_000_000)
        took, theirs = [], []
        for _ in range(500):
            began = time.process_time()
            maker, taker = order_amounts(request, market, 0.0)
            draft = sdk.draft(
                client, token_id=UP, side="BUY", order_type="GTC", maker_amount=maker,
                taker_amount=taker, expires_s=0, neg_risk=False,
            )  # fmt: skip
            sdk.sign_draft(client, draft, False)
            took.append((time.process_time() - began) * 1e3)
            began = time.process_time()
            await client._sign_order(draft, post_only=False)
            theirs.append((time.process_time() - began) * 1e3)
        await client.close()
    for name, times in (("sign an order and know its id", took), ("the SDK's signing", theirs)):
        times.sort()
        print(f"{name:34s}{times[250]:12.3f} ms median{times[495]:12.3f} ms p99")


def main() -> None:
    rng = random.Random(7)
    messages = price_changes(20_000, rng)
    print(f"price_change, {len(messages[0])} bytes, 2 rows")
    rate("msgspec, to events in integers", ours, messages)
    rate("json, floats, no events", by_json, messages)
    rate("pydantic, Decimal, no events", by_pydantic, messages)
    books = [book(rng) for _ in range(2_000)]
    print(f"book, {len(books[0])} bytes, 90 levels")
    rate("msgspec, to sorted snapshots", our_book, books)
    asyncio.run(signing())


if __name__ == "__main__":
    main()
