"""Which API key is an agent's own."""

import hashlib


def api_nonce(agent: str) -> int:
    """Nonce of the agent's own API key, so that heartbeats and cancel-all act on it alone."""
    return int.from_bytes(hashlib.sha256(agent.encode()).digest()[:4], "big")
