"""Reading what the service sent: decoding, and turning a refusal into its error."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from hsm_stub.client.commands import Answer, AnswerFrame, Refused
from hsm_stub.client.errors import HsmProtocolError, HsmRefused
from hsm_stub.client.handshake import PROTOCOL_VERSION, Greeting, Hello, Welcome, welcome_is_right

A = TypeVar("A", bound=msgspec.Struct)


def read_greeting(body: bytes) -> Greeting:
    """Return the service's greeting; raises `HsmProtocolError`, or `HsmRefused` when it is full."""
    greeting = _decode(body, Greeting)
    if greeting.protocol_version != PROTOCOL_VERSION:
        raise HsmProtocolError(
            f"the key service speaks protocol {greeting.protocol_version}, this program "
            f"{PROTOCOL_VERSION}; bring both to the same release"
        )
    return greeting


def check_welcome(body: bytes, hello: Hello, greeting: Greeting, key: bytes) -> None:
    """Raise unless the service let us in and knows the token behind `key` itself."""
    if not welcome_is_right(_decode(body, Welcome), hello, greeting, key):
        raise HsmProtocolError("the program at this address does not know the token: do not use it")


def read_answer(body: bytes) -> AnswerFrame:
    """Return the answer in `body`; raises `HsmProtocolError`, or `HsmRefused` for answer 0."""
    try:
        answered = msgspec.msgpack.decode(body, type=AnswerFrame)
    except msgspec.DecodeError as error:
        raise HsmProtocolError(f"the key service sent no answer: {error}") from None
    if answered.request_id == 0:
        refusal = expect(answered.answer, Refused)
        raise HsmRefused(refusal.code, refusal.message)
    return answered


def expect(answer: Answer, kind: type[A]) -> A:
    """Return `answer` as `kind`; raises `HsmRefused` for a refusal, else `HsmProtocolError`."""
    if isinstance(answer, Refused) and kind is not Refused:
        raise HsmRefused(answer.code, answer.message)
    if isinstance(answer, kind):
        return answer
    raise HsmProtocolError(
        f"the key service answered with {type(answer).__name__} instead of {kind.__name__}"
    )


def _decode(body: bytes, kind: type[A]) -> A:
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except msgspec.DecodeError:
        read_answer(body)  # A refusal may stand in place of a greeting; then it is raised here.
    raise HsmProtocolError(f"expected {kind.__name__}, got something else")
