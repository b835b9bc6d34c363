"""How many messages a participant may send: the generic cell rate algorithm, one number each."""

from __future__ import annotations

from typing import Final

from processing.exchange.dci.model import Peer

BURST_SECONDS: Final = 10
"""A participant that was quiet may send what this many seconds allow at once."""

_MINUTE_NS: Final = 60 * 1_000_000_000


class PeerRates:
    """When the bucket of each participant is full again; participants are few."""

    def __init__(self) -> None:
        self._full_at_ns: dict[str, int] = {}

    def admit(self, peer: Peer, now_ns: int) -> bool:
        """Whether a participant may send one more message at `now_ns` of the monotonic clock."""
        interval_ns = _MINUTE_NS // peer.messages_per_minute
        full_at_ns = max(self._full_at_ns.get(peer.peer_id, 0), now_ns) + interval_ns
        if full_at_ns - now_ns > max(BURST_SECONDS * 1_000_000_000, interval_ns):
            return False
        self._full_at_ns[peer.peer_id] = full_at_ns
        return True
