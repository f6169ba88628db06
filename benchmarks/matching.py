"""How fast the matching core is, beside a naive Python book in the same run.

    python benchmarks/matching.py [orders]

Three streams (place and cancel, place and match, mixed) run through the compiled batch, through
single `Exchange` calls with events, and through a plain dictionary-and-heap book. Times are CPU
seconds of this process, so that other programs disturb them less.
"""

import heapq
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

from engine.matching import Exchange, batch
from engine.matching.audit import imbalances
from engine.matching.types import CancelRefused, CoreOrder
from models.markets import FeeSchedule, Market, Side
from models.units import SHARE

MARKET = Market(
    "m", "btc-updown-15m-0", "Bitcoin Up or Down", "BTC", "15m", "up", "down", 0, 900 * 10**9,
    100, 5 * SHARE, FeeSchedule(70_000, 1, 200_000),
)  # fmt: skip
ACCOUNTS = ("ann", "bob", "cyd")
SINGLE = 50_000
"""Orders of a stream that single calls and the naive book run."""

Step = tuple[str, int, str, str, Side, int, int]
"""(what, index, account, token, side, price_e4, size_e6); a cancel needs its order's index."""


def place_and_cancel(count: int, rng: random.Random) -> Iterator[Step]:
    """Every order rests and is cancelled some orders later."""
    waiting: deque[int] = deque()
    for index in range(count):
        if len(waiting) >= 500 or (waiting and index % 2):
            yield "cancel", waiting.popleft(), "", "", Side.BUY, 0, 0
            continue
        side = rng.choice((Side.BUY, Side.SELL))
        price = rng.randrange(30, 50) if side is Side.BUY else rng.randrange(51, 71)
        waiting.append(index)
        yield "place", index, rng.choice(ACCOUNTS), "up", side, price * 100, 10 * SHARE


def place_and_match(count: int, rng: random.Random) -> Iterator[Step]:
    """Every second order takes what the one before it brought."""
    for index in range(count):
        account = ACCOUNTS[index % 3]
        if index % 2 == 0:
            yield "place", index, account, "up", Side.SELL, 5_000, 10 * SHARE
        elif rng.random() < 0.5:
            yield "place", index, account, "up", Side.BUY, 5_000, 10 * SHARE
        else:
            yield "place", index, account, "down", Side.SELL, 5_000, 10 * SHARE


def mixed(count: int, rng: random.Random) -> Iterator[Step]:
    """Both tokens and sides around one price; two fifths of the orders are cancelled."""
    recent: deque[int] = deque(maxlen=200)
    for index in range(count):
        if recent and rng.random() < 0.4:
            yield "cancel", rng.choice(recent), "", "", Side.BUY, 0, 0
            continue
        token, side = rng.choice(("up", "down")), rng.choice((Side.BUY, Side.SELL))
        bid = (token == "up") == (side is Side.BUY)
        price = 50 - rng.randrange(-2, 8) if bid else 50 + rng.randrange(-2, 8)
        price = price if token == "up" else 100 - price
        recent.append(index)
        size = rng.randrange(500, 2_000) * 10_000
        yield "place", index, rng.choice(ACCOUNTS), token, side, price * 100, size


def new_exchange() -> Exchange:
    exchange = Exchange()
    exchange.add_market(MARKET)
    for account in ACCOUNTS:
        exchange.open_account(account, 10**15)
        for token in ("up", "down"):
            exchange.deposit_shares(account, token, 10**15)
    return exchange


def run_batch(steps: list[Step]) -> float:
    exchange = new_exchange()
    commands = batch.Commands(exchange, "m")
    index_of: dict[int, int] = {}
    for position, (what, index, account, token, side, price, size) in enumerate(steps):
        if what == "cancel":
            commands.cancel(index_of[index])
        else:
            index_of[index] = position
            commands.place(account, token, side, price, size, price * size // 10_000)
    rows = commands.array()
    batch.run(exchange, "m", rows[:0])
    seconds = timed(lambda: batch.run(exchange, "m", rows))
    assert imbalances(exchange) == []
    return seconds


def run_single(steps: list[Step]) -> float:
    exchange = new_exchange()
    calls: list[Callable[[], object]] = []
    for what, index, account, token, side, price, size in steps:
        if what == "cancel":
            calls.append(lambda i=str(index): exchange.cancel(i, 1))  # type: ignore[misc]
            continue
        cash = price * size // 10_000
        maker, taker = (cash, size) if side is Side.BUY else (size, cash)
        order = CoreOrder(str(index), account, "m", token, side, price, maker, taker, size)
        calls.append(lambda o=order: exchange.submit(o, 1))  # type: ignore[misc]

    def run() -> None:
        for call in calls:
            # A cancel may find its order filled or cancelled before; the batch has it too.
            with suppress(CancelRefused):
                call()

    return timed(run)


class Peer:
    """What one would write in plain Python: a heap of prices and a queue of orders at each."""

    def __init__(self) -> None:
        self.queues: dict[tuple[int, int], deque[list[int]]] = {}
        self.heaps: tuple[list[int], list[int]] = ([], [])
        self.orders: dict[int, list[int]] = {}
        self.cash = dict.fromkeys(range(3), 0)
        self.shares = dict.fromkeys(range(3), 0)

    def cancel(self, index: int) -> None:
        order = self.orders.pop(index, None)
        if order is not None:
            order[1] = 0

    def place(self, index: int, account: int, side: int, price: int, size: int) -> None:
        sign = 1 if side == 0 else -1
        opposite = self.heaps[1 - side]
        while size and opposite:
            best = sign * opposite[0]
            if sign * best > sign * price:
                break
            queue = self.queues[1 - side, best]
            while queue and size:
                maker = queue[0]
                part = min(maker[1], size)
                maker[1] -= part
                size -= part
                if part:
                    self.settle(account, maker[2], sign, best, part)
                if maker[1] == 0:
                    queue.popleft()
                    self.orders.pop(maker[0], None)
            if not queue:
                heapq.heappop(opposite)
                del self.queues[1 - side, best]
        if size:
            order = [index, size, account]
            self.orders[index] = order
            if (side, price) not in self.queues:
                self.queues[side, price] = deque()
                heapq.heappush(self.heaps[side], -price if side == 0 else price)
            self.queues[side, price].append(order)

    def settle(self, taker: int, maker: int, sign: int, price: int, size: int) -> None:
        cash = price * size // 10_000
        fee = size * 70_000 * price * (10_000 - price) // 10**15 * 10
        self.cash[taker] -= sign * cash + fee
        self.cash[maker] += sign * cash
        self.shares[taker] += sign * size
        self.shares[maker] -= sign * size


def run_peer(steps: list[Step]) -> float:
    peer = Peer()
    numbers = {name: number for number, name in enumerate(ACCOUNTS)}
    plain: list[tuple[int, ...]] = []
    for what, index, account, token, side, price, size in steps:
        if what == "cancel":
            plain.append((index,))
        else:
            bid = (token == "up") == (side is Side.BUY)
            up = price if token == "up" else 10_000 - price
            plain.append((index, numbers[account], 0 if bid else 1, up, size))

    def run() -> None:
        for step in plain:
            if len(step) == 1:
                peer.cancel(step[0])
            else:
                peer.place(*step)

    return timed(run)


def timed(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000
    start = time.perf_counter()
    warm = list(mixed(500, random.Random(1)))
    run_batch(warm), run_single(warm)
    print(f"loops ready after {time.perf_counter() - start:.1f} s (compiled once, then cached)\n")
    print(f"{'stream':<18}{'batch':>16}{'single call':>16}{'naive Python':>18}{'ratio':>8}")
    for name, stream in (
        ("place and cancel", place_and_cancel),
        ("place and match", place_and_match),
        ("mixed", mixed),
    ):
        steps = list(stream(count, random.Random(7)))
        few = steps[:SINGLE]
        rate = count / min(run_batch(steps) for _ in range(3))
        single = min(run_single(few) for _ in range(3)) / len(few) * 1e6
        peer = len(few) / min(run_peer(few) for _ in range(3))
        print(
            f"{name:<18}{rate / 1e6:>11.2f} M/s{single:>13.2f} µs{peer / 1e6:>13.2f} M/s"
            f"{rate / peer:>8.1f}"
        )


if __name__ == "__main__":
    main()
