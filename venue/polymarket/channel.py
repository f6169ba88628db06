"""What all channels share: one sink, one state told once, and a count of what went wrong."""

import time
import traceback

import structlog

from engine.ports import Sink
from engine.steady import STEADY
from models.events import Channel, FeedEvent, FeedState, FeedStatus

log = structlog.get_logger(__name__)

LOG_EVERY_S = 10.0


class Outlet:
    """Hands one channel's events to the sink and announces changes of the channel's state."""

    def __init__(self, channel: Channel, sink: Sink) -> None:
        self._channel = channel
        self._sink = sink
        self._logged_at = 0.0
        self.state: FeedState | None = None
        self.unreadable = 0
        """Messages that could not be read."""
        self.refused = 0
        """Events the sink raised on."""

    def emit(self, event: FeedEvent) -> None:
        """Hand over one event. A sink that raises is the consumer's fault and stops nothing."""
        try:
            self._sink(event)
        except Exception:
            self.refused += 1
            log.error(
                "sink_failed",
                channel=self._channel,
                kind=type(event).__name__,
                trace=traceback.format_exc(limit=-4),
            )

    def set(self, state: FeedState, detail: str = "") -> None:
        """Announce a state, unless it is the one announced last."""
        if state is self.state:
            return
        self.state = state
        now = STEADY.now_ns()
        self.emit(FeedStatus(now, now, self._channel, state, detail))

    def bad(self, count: int, frame: bytes) -> None:
        """Count messages that could not be read; log now and then, of public ones a sample."""
        if count == 0:
            return
        self.unreadable += count
        now = time.monotonic()
        if now - self._logged_at > LOG_EVERY_S:
            self._logged_at = now
            log.warning(
                "unreadable_message",
                channel=self._channel,
                total=self.unreadable,
                sample=""
                if self._channel is Channel.USER
                else frame[:200].decode(errors="replace"),
            )
