"""A sender of single messages to a gateway, without a connection."""

from __future__ import annotations

import asyncio
import time

from processing.gateways.iso8583 import Gateway
from processing.wire.iso8583.errors import Frame


class OneSender:
    """Takes the answer to one message, and no second one."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def send(self, message: bytes, tpdu: bytes) -> None:
        """Keep the answer; a second one is an error."""
        self.answer.set_result(message)


async def answer_to(gateway: Gateway, message: bytes) -> bytes:
    """Return the gateway's answer to one message."""
    sender = OneSender()
    gateway.begin(Frame(message), sender, time.monotonic_ns())
    return await sender.answer
