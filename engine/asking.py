"""Calling a strategy: one hook in, a list of intents out, whatever the strategy does."""

import traceback
from itertools import islice

from strategies.base import INTENTS, Intent, Strategy, View

MOST_INTENTS = 100
"""More than this from one call of a hook is a fault of the strategy."""


class StrategyFailed(Exception):
    """A strategy raised, or answered nonsense. The window ends; nothing else is touched.

    Attributes
    ----------
    traceback
        Where the strategy raised, as text.
    """

    def __init__(self, hook: str, cause: BaseException) -> None:
        super().__init__(f"{hook} raised {type(cause).__name__}: {cause}")
        self.traceback = "".join(traceback.format_exception(cause))


def ask(strategy: Strategy, hook: str, view: View, *news: object) -> list[Intent]:
    """Call a hook and run through its intents, if it is a generator too.

    What a hook yields may still be nonsense: the desk refuses it, one by one.

    Raises
    ------
    StrategyFailed
        The hook raised, or wants more than `MOST_INTENTS` things at once.
    """
    try:
        answer = getattr(strategy, hook)(view, *news)
        if answer is None:
            return []
        if isinstance(answer, INTENTS):
            return [answer]
        intents = list(islice(answer, MOST_INTENTS + 1))
    except Exception as error:
        raise StrategyFailed(hook, error) from error
    if len(intents) > MOST_INTENTS:
        fault = ValueError(f"more than {MOST_INTENTS} intents at once")
        raise StrategyFailed(hook, fault)
    return intents
