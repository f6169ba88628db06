"""Where the compiled loops find what: columns of their integer arrays, and why they stop."""

from models.units import PRICE_ONE

PRICES = PRICE_ONE + 1
"""One place for every price in e4."""
WORDS = PRICES
"""Where a side's bits begin, after its sizes: one for every price, set while it has size."""
HEADS = WORDS + (PRICES + 63) // 64
"""Where the bits of those words begin: set while the word has any."""
PLACES = HEADS + (HEADS - WORDS + 63) // 64
"""Length of a side of a ladder."""
NEVER = (1 << 63) - 1
NO_BID, NO_ASK = 0, PRICE_ONE
"""Best prices of empty sides; they cross nothing."""
BID, ASK = 0, 1

# --- a ladder's facts: columns of `meta`, one row a slot
BEST_BID = 0
BEST_ASK = 1
BIDS = 2
"""How many levels the side has; `ASKS` follows."""
ASKS = 3
READY = 4
TS = 5
RECV = 6
ASSET = 7
"""One more than the index of the market's asset; 0 for a slot that is free."""
CHANGED = 8
"""Something in view changed since this was last taken back (ladders of the view)."""
ARMED = 9
"""From this time on a change stops the loop (ladders of the view)."""
TELL = 10
"""Whether every print stops the loop (ladders of the view)."""
ENGAGED = 11
"""Whether orders of ours, or what they took, are in this book (ladders of the venue)."""
OUR_BID = 12
OUR_ASK = 13
EVERY = 14
"""Whether every row concerns our orders: the feed shows some levels only."""
HIT = 15
"""Something that concerns our orders happened in the last moment (ladders of the venue)."""
EMPTIED = 16
"""Whether a side lost its last level since the venue's books were last as far as the view's
(ladders of the view)."""
META = 17

# --- where the loops are: places of `at`
VIEW = 0
"""Next row to be seen."""
VENUE = 1
"""Next row to happen."""
END = 2
SEEN = 3
"""Time of the last row seen."""
HAPPENED = 4
"""Time of the last row that happened."""
ROW = 5
"""Row that a stop is about."""
STOP = 6
"""Whether the moment that is being taken stops the loop at its end."""
PRINTS = 7
"""Prints in the buffer."""
MOVED = 8
"""Levels in the buffer of those we took of that changed in this moment."""
SPOTS = 9
"""Spot prices in the buffer."""
EVERY_SPOT = 10
"""Whether every spot price stops the loop."""
SLOTS = 11
"""Slots in use so far, free ones among them included."""
AT = 12

# --- why a loop stopped
LIMIT = 0
"""Nothing more happens up to the limit."""
TOUCHED = 1
"""Something changed that a window waits for."""
SPECIAL = 2
"""A row that needs thought: spot, a print to tell, a tick, a resolution, the feed dark."""
NEW_MARKET = 3
"""A market's first row: it needs a slot."""
OURS = 4
"""Something at the venue that concerns our orders; the moment is complete."""

UNKNOWN, IGNORED = -1, -2
"""In `slot_of`: a market not met yet, and one nobody trades."""

RESTS, TOOK = 1, 2
"""In `watch`: an order of ours rests at the level, or only took something of it."""
MOST_MOVED = 1024
MOST_SPOTS = 4096
MOST_PRINTS = 4096
"""Prints of one moment that may concern our orders."""
