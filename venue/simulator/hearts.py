"""Heartbeats: a key that armed them and falls silent loses its open orders."""

import uuid
from dataclasses import dataclass

from venue.simulator.auth import ApiKey
from venue.simulator.errors import Refusal

WRONG = "Invalid Heartbeat ID"


@dataclass(slots=True)
class Beat:
    """A key's last heartbeat: the id it must send next, and when it was heard."""

    heartbeat_id: str
    at_ns: int


class Hearts:
    """Last heartbeats by key. The first one arms a key; there is no way to disarm it."""

    def __init__(self, silence_ms: int) -> None:
        self._silence_ns = silence_ms * 1_000_000
        self._beats: dict[str, Beat] = {}

    def beat(self, key: ApiKey, given: str, now_ns: int) -> str:
        """Hear a heartbeat; returns the id to send next.

        Raises
        ------
        Refusal
            400 with the expected id when `given` is another one.
        """
        known = self._beats.get(key.key)
        if known is not None and given != known.heartbeat_id:
            body = {"error_msg": WRONG, "heartbeat_id": known.heartbeat_id}
            raise Refusal(400, WRONG, body=body)
        following = str(uuid.uuid5(uuid.UUID(key.key), f"{given}|{now_ns}"))
        self._beats[key.key] = Beat(following, now_ns)
        return following

    def silent(self, now_ns: int) -> list[str]:
        """Keys that were heard once and have been silent for too long."""
        return [k for k, b in self._beats.items() if now_ns - b.at_ns > self._silence_ns]

    def forget(self, key: str) -> None:
        self._beats.pop(key, None)

    def export(self) -> dict[str, str]:
        return {key: beat.heartbeat_id for key, beat in self._beats.items()}

    def restore(self, beats: dict[str, str], now_ns: int) -> None:
        """Take back armed keys after a restart; their silence starts anew."""
        self._beats = {key: Beat(beat, now_ns) for key, beat in beats.items()}
