"""The floor of a recorded session: its policies and facts as they change, and what it grants."""

from dataclasses import asdict

from engine.ports import Floor
from engine.recording.clock import RecordingClock
from engine.recording.ports import Calls, Write
from engine.recording.replies import Replies
from models.recording import Floored
from risk.facts import NOTHING_KNOWN, FloorFacts
from risk.gate import Gate
from risk.limits import Limits
from risk.policies import PolicyFile


class RecordedFloorPort:
    """Implements `engine.ports.Floor` over another one."""

    def __init__(self, inner: Floor, write: Write, clock: RecordingClock) -> None:
        self._inner = inner
        self._write = write
        self._clock = clock
        self._call = Calls(write, clock)
        self._told: tuple[Gate, FloorFacts, int] | None = None

    @property
    def gate(self) -> Gate:
        return self._inner.gate

    @property
    def facts(self) -> FloorFacts:
        return self._inner.facts

    @property
    def others_e6(self) -> int:
        return self._inner.others_e6

    async def take(self, open_e6: int) -> str:
        return await self._call("take", (), self._inner.take(open_e6))

    def look(self, write: Write) -> None:
        """Write down what has changed since the last look."""
        now = self._inner.gate, self._inner.facts, self._inner.others_e6
        told = self._told
        if told is not None and told[0] is now[0] and told[1] is now[1] and told[2] == now[2]:
            return
        self._told = now
        gate, facts, others_e6 = now
        write(
            Floored(
                self._clock.now_ns(), gate.file.model_dump(mode="json"), gate.capital_e6,
                gate.share, asdict(facts), others_e6,
            )
        )  # fmt: skip


class ReplayedFloor:
    """Implements `engine.ports.Floor`: what was told, and what was granted."""

    def __init__(self, gate: Gate, limits: Limits, replies: Replies) -> None:
        self.gate = gate
        self.facts = NOTHING_KNOWN
        self.others_e6 = 0
        self._limits = limits
        self._replies = replies
        self._shared = False

    def hear(self, told: Floored) -> None:
        """Take what the floor told."""
        self._shared = True
        file = PolicyFile.model_validate(told.file)
        self.gate = Gate(file, self._limits, told.capital_e6, told.share)
        facts = dict(told.facts)
        for name in ("greeks", "up_greeks"):
            facts[name] = {key: tuple(values) for key, values in facts[name].items()}
        self.facts = FloorFacts(**facts)
        self.others_e6 = told.others_e6

    async def take(self, open_e6: int) -> str:
        refusal: str = await self._replies.ask("take") if self._shared else ""
        return refusal
