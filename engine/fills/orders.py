"""Our orders as the fill models see them, the tape they meet, and the fills that come out."""

from dataclasses import dataclass

from engine.fills.queue import QueuePosition
from models.errors import BadValue
from models.markets import Outcome, Side
from models.orders import Role, TimeInForce
from models.units import PRICE_ONE


@dataclass(frozen=True, slots=True)
class OurOrder:
    """An order of ours, accepted by the venue. Price in e4 of its own token, size in e6.

    ``budget_e6`` is the cash a FAK or FOK BUY may spend at most; such an order may receive more
    shares than its size. 0 for every other order, which is limited by its size.
    """

    order_id: str
    account: str
    condition_id: str
    outcome: Outcome
    side: Side
    price_e4: int
    size_e6: int
    tif: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    budget_e6: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.price_e4 < PRICE_ONE or self.size_e6 <= 0 or self.budget_e6 < 0:
            raise BadValue(
                f"order {self.order_id}: price_e4 {self.price_e4} must lie in 1..9999, size_e6 "
                f"{self.size_e6} be positive and budget_e6 {self.budget_e6} not negative"
            )

    @property
    def bid(self) -> bool:
        """Whether it stands on the bid side of Up's book: a BUY of Up or a SELL of Down."""
        return (self.side is Side.BUY) == (self.outcome is Outcome.UP)

    @property
    def up_price_e4(self) -> int:
        return own_price(self.outcome, self.price_e4)


@dataclass(frozen=True, slots=True)
class Print:
    """A public trade in Up's book: a taker bought there (took asks) or sold (took bids)."""

    buys: bool
    price_e4: int
    size_e6: int


def print_of(outcome: Outcome, side: Side, price_e4: int, size_e6: int) -> Print:
    """A public trade of either token, seen in Up's book. `side` is the taker's."""
    buys = (side is Side.BUY) == (outcome is Outcome.UP)
    return Print(buys, own_price(outcome, price_e4), size_e6)


@dataclass(frozen=True, slots=True)
class Fill:
    """A fill of an order of ours, in its own token's price; `fee_e6` is paid beside it."""

    order_id: str
    account: str
    condition_id: str
    outcome: Outcome
    side: Side
    role: Role
    price_e4: int
    size_e6: int
    fee_e6: int
    at_ns: int


class Resting:
    """An order of ours that rests: how much is left and where it stands."""

    __slots__ = ("left_e6", "number", "order", "position")

    def __init__(self, order: OurOrder, left_e6: int, position: QueuePosition, number: int) -> None:
        self.order = order
        self.left_e6 = left_e6
        self.position = position
        self.number = number

    @property
    def rank(self) -> tuple[int, int]:
        """Best price first, then oldest first."""
        price = self.order.up_price_e4
        return (-price if self.order.bid else price, self.number)


def own_price(outcome: Outcome, price_e4: int) -> int:
    """From a token's price to Up's, or back."""
    return price_e4 if outcome is Outcome.UP else PRICE_ONE - price_e4
