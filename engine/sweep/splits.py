"""Walk-forward splits: train on what was known, test on what came after.

The test parts follow each other without overlap to the end of the data, so that together they
are one continuous out-of-sample run. Source: R. Pardo, "The Evaluation and Optimization of
Trading Strategies" (2008), chapter on walk-forward analysis; the embargo is M. Lopez de Prado's,
"Advances in Financial Machine Learning" (2018), 7.4.
"""

import itertools
from dataclasses import dataclass

from models.errors import BadValue
from models.runs import WalkForward
from models.units import SECOND_NS


@dataclass(frozen=True, slots=True)
class Split:
    """Two spans of time, each from its start up to but without its end; in ns."""

    train_start_ns: int
    train_end_ns: int
    test_start_ns: int
    test_end_ns: int


def splits(start_ns: int, end_ns: int, how: WalkForward, grid_ns: int = 1) -> tuple[Split, ...]:
    """Cut a span of time into folds.

    With a test part of length `t`, training takes ``train_share * t`` before each, less the
    embargo at its end.

    Parameters
    ----------
    grid_ns
        Cuts lie on multiples of this, such as a market window's length, so that none is cut in
        two. Counted from the epoch.

    Raises
    ------
    BadValue
        The span is too short for so many folds on that grid, or the embargo leaves no training.
    """
    if not start_ns < end_ns or grid_ns < 1:
        raise BadValue(f"walk-forward: start {start_ns} must be before end {end_ns}, grid >= 1 ns")
    test_ns = (end_ns - start_ns) / (how.folds + how.train_share)
    embargo_ns = round(how.embargo_s * SECOND_NS)
    cuts = [
        _on_grid(end_ns - round(test_ns * (how.folds - fold)), grid_ns) for fold in range(how.folds)
    ]
    cuts.append(end_ns)
    found = []
    for fold, (test_start, test_end) in enumerate(itertools.pairwise(cuts)):
        train_start = start_ns
        if not how.anchored and fold:
            train_start = _on_grid(test_start - round(test_ns * how.train_share), grid_ns)
        split = Split(max(start_ns, train_start), test_start - embargo_ns, test_start, test_end)
        if split.train_start_ns >= split.train_end_ns or test_start >= test_end:
            raise BadValue(
                f"walk-forward: {(end_ns - start_ns) / SECOND_NS:.0f} s of data are too short "
                f"for {how.folds} folds with {how.embargo_s:g} s of embargo; "
                "use fewer folds or more data"
            )
        found.append(split)
    return tuple(found)


def _on_grid(at_ns: int, grid_ns: int) -> int:
    return at_ns // grid_ns * grid_ns
