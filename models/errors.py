"""Every error of ours, in one tree. Each says who handles it.

A message names the thing, its value and the mend, and never carries a secret.
"""


class FloorError(Exception):
    """Root of the tree. Shown to people as one line, without a traceback."""


class BadValue(FloorError, ValueError):
    """Input that can't be what it should be. The caller refuses it; nothing was changed."""


class ConfigError(FloorError):
    """A setting, agent file or recording is wrong. Start-up stops; a person mends it."""


class NotReady(FloorError):
    """A part the floor needs does not answer yet. The caller waits and tries again."""


class LeaseLost(FloorError):
    """This session no longer holds its agent's lease. It stops at once, sending nothing."""


class Suspended(FloorError):
    """Trading is suspended and nothing was sent. Whoever wished it asks again after that."""


class StoreUnavailable(FloorError):
    """Postgres or Redis is away. Writers spool or retry; new risk pauses."""


class VenueError(FloorError):
    """Root of what the venue answers."""


class VenueRejected(VenueError):
    """The venue refused the request for good and nothing happened. The order is dead.

    Parameters
    ----------
    message
        The venue's own text.
    code
        A short reason: ``balance``, ``tick``, ``min_size``, ``duplicate``, ``crosses``,
        ``unmatched`` (FOK or FAK found no match), ``signature``, ``auth``, ``closed`` or
        ``other``.
    """

    def __init__(self, message: str, code: str = "other") -> None:
        super().__init__(message)
        self.code = code


class VenueUnknown(VenueError):
    """Nobody knows whether the request took effect (time-out, 5xx, connection lost).

    The order manager asks the venue about the order's id before anything else.
    """


class VenueUnavailable(VenueError):
    """The venue refused everything of this kind for now and nothing happened.

    Parameters
    ----------
    mode
        ``restarting``, ``post_only``, ``cancel_only``, ``disabled`` or ``rate_limited``; or
        ``suspended``, where it was not the venue that refused but we.
    retry_after_s
        Seconds to wait before the next try.
    """

    def __init__(self, message: str, mode: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.mode = mode
        self.retry_after_s = retry_after_s
