"""Recording a live session, and playing it again through the backtester.

`Recorder` puts itself between a trader and its ports and writes down what passes. `rehearse` has
the backtester's agent hear the same again; `compare` says where the two differ.
"""

from engine.recording.recorder import Recorder
from engine.recording.rehearsal import Rehearsal, rehearse

__all__ = ["Recorder", "Rehearsal", "rehearse"]
