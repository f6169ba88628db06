"""How our orders would have filled in a market that does not know of them.

`queue` says where an order stands, `depth` what is displayed less what we took, `latency` how
long messages take, `shadow` runs one model with its money, `triple` the three side by side.
"""

from engine.fills.latency import ConstantDelay, Latency, SampledDelay
from engine.fills.orders import Fill, OurOrder, Print, print_of
from engine.fills.shadow import Shadow
from engine.fills.triple import CENTRAL, OPTIMISTIC, PESSIMISTIC, FillTriple, Result

__all__ = [
    "CENTRAL",
    "OPTIMISTIC",
    "PESSIMISTIC",
    "ConstantDelay",
    "Fill",
    "FillTriple",
    "Latency",
    "OurOrder",
    "Print",
    "Result",
    "SampledDelay",
    "Shadow",
    "print_of",
]
