"""How a trader behaves in time."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TraderSettings:
    """Patience of a trader. Seconds."""

    max_book_age_s: float = 30.0
    """Without a message about a book for this long, nothing new is sent and quotes are pulled.

    A frozen socket is found out long before (`venue.polymarket.market_channel`); this is for a
    book that nobody can confirm."""
    max_spot_age_s: float = 6.0
    """The same for the spot price (its feed ticks about once a second)."""
    quit_before_end_s: float = 3.0
    """Stop quoting and cancel this long before a window ends."""
    failure_backoff_s: float = 5.0
    """Pause after a strategy raised; doubled with every further failure in a row."""
    failure_backoff_most_s: float = 300.0
    resolution_first_s: float = 2.0
    """First question about a market's winner, this long after its end; then ever slower."""
    resolution_most_s: float = 30.0
    confirm_s: float = 60.0
    """How long a settlement waits for fills that are not on the chain yet."""
    adopt_s: float = 5.0
    """How long orders that were taken over stand while the first book and price are under way;
    never longer than the price that the session before heard last is young enough."""
    unclaimed_s: float = 10.0
    """Orders that were taken over are cancelled when nobody trades their market by then."""
