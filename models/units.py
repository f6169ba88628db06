"""Integer base units and the one place that converts to and from them.

=========  =====================  ==========================================
suffix     meaning                one unit is
=========  =====================  ==========================================
``_e4``    price of a share       1/10 000 of a dollar (covers every tick)
``_e6``    shares or cash         1e-6 share, 1e-6 pUSD (the chain's own)
``_e8``    spot price             1e-8 US dollar
``_ns``    time                   nanoseconds since the epoch, UTC
=========  =====================  ==========================================

Every path that adds up money uses these integers. ``Decimal`` and text are for the edges,
floats for statistics and signals only.
"""

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

from models.errors import BadValue

PRICE_ONE = 10_000
"""A price of 1 pUSD, in e4."""
SHARE = 1_000_000
"""One share, in e6."""
USD = 1_000_000
"""One pUSD, in e6."""
SPOT_USD = 100_000_000
"""One US dollar of spot price, in e8."""
SECOND_NS = 1_000_000_000
MILLISECOND_NS = 1_000_000
MINUTE_NS = 60 * SECOND_NS
DAY_NS = 86_400 * SECOND_NS


def _scaled(value: str | int | float | Decimal, scale: int, name: str) -> int:
    try:
        exact = Decimal(str(value)) * scale
        result = int(exact.to_integral_value(rounding=ROUND_HALF_EVEN))
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise BadValue(f"{name}: {value!r} is not a finite number") from error
    if result != exact:
        raise BadValue(f"{name}: {value!r} has more decimals than 1/{scale} can hold")
    return result


def to_price_e4(value: str | int | float | Decimal) -> int:
    """Convert a price in dollars to 1/10 000. Raises `BadValue` where that is not exact."""
    return _scaled(value, PRICE_ONE, "price")


def to_size_e6(value: str | int | float | Decimal) -> int:
    """Convert a number of shares to 1e-6 shares. Raises `BadValue` where that is not exact."""
    return _scaled(value, SHARE, "size")


def to_cash_e6(value: str | int | float | Decimal) -> int:
    """Convert pUSD to 1e-6 pUSD. Raises `BadValue` where that is not exact."""
    return _scaled(value, USD, "cash")


def to_spot_e8(value: str | int | float | Decimal) -> int:
    """Convert a spot price in US dollars to 1e-8 dollars, rounding what lies below (half even).

    Spot prices arrive with up to 18 decimals; only this conversion rounds.
    """
    try:
        return int((Decimal(str(value)) * SPOT_USD).to_integral_value(rounding=ROUND_HALF_EVEN))
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise BadValue(f"spot: {value!r} is not a finite number") from error


def price_decimal(price_e4: int) -> Decimal:
    return Decimal(price_e4).scaleb(-4)


def size_decimal(size_e6: int) -> Decimal:
    return Decimal(size_e6).scaleb(-6)


def cash_decimal(cash_e6: int) -> Decimal:
    return Decimal(cash_e6).scaleb(-6)


def spot_decimal(spot_e8: int) -> Decimal:
    return Decimal(spot_e8).scaleb(-8)


def notional_e6(price_e4: int, size_e6: int) -> int:
    """Cash that `size_e6` shares cost at `price_e4`, in e6, rounded down to the base unit.

    Down, as integer division on the chain does it, so that an order filled in many parts never
    costs more than it would in one.
    """
    return price_e4 * size_e6 // PRICE_ONE


def usd(cash_e6: int) -> str:
    """Format cash for people: ``-12.34``."""
    return f"{cash_decimal(cash_e6):.2f}"
