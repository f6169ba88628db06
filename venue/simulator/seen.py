"""Which order ids the disk may know: a Bloom filter, so that new orders need not ask it.

An order id is a Keccak digest, so parts of the id itself serve as the filter's hash functions. A
"no" is certain; a "perhaps" is rare (below 1 in 400 up to a million ids) and costs one look at the
disk, which is also all that more ids would cost.
"""

from collections.abc import Iterable

BITS = 1 << 24
PARTS = (slice(2, 8), slice(8, 14), slice(14, 20), slice(20, 26))
"""Hexadecimal digits of an id that name one bit each."""


class Seen:
    """A set of order ids (0x and 64 hexadecimal digits) that never forgets, in 2 MB."""

    __slots__ = ("_bits",)

    def __init__(self, order_ids: Iterable[str] = ()) -> None:
        self._bits = bytearray(BITS >> 3)
        for order_id in order_ids:
            self.add(order_id)

    def add(self, order_id: str) -> None:
        bits = self._bits
        for part in PARTS:
            bit = int(order_id[part], 16)
            bits[bit >> 3] |= 1 << (bit & 7)

    def perhaps(self, order_id: str) -> bool:
        """Whether `order_id` may have been added. False is certain, for any text."""
        bits = self._bits
        try:
            wanted = [int(order_id[part], 16) for part in PARTS]
        except ValueError:
            return False
        return all(0 <= bit < BITS and bits[bit >> 3] >> (bit & 7) & 1 for bit in wanted)
