"""The greeting that opens every connection.

1. service → client `Greeting`: protocol version, nonce (16 bytes)
2. client → service `Hello`: nonce (16), proof = HMAC-SHA-256(token, "spk hsm client" ‖ both nonces)
3. service → client `Welcome`: proof = HMAC-SHA-256(token, "spk hsm service" ‖ both nonces)

Both nonces means the service's, then the client's. The token itself never travels, so another
program that took the port learns nothing it could use. Over a unix socket the file's mode is the
guard and the token is empty.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from hsm_stub.client.commands import Bytes16, Bytes32
from hsm_stub.client.errors import HsmAddressError

PROTOCOL_VERSION: Final = 1
TOKEN_CHARS_MIN: Final = 16
HANDSHAKE_TIMEOUT_MS: Final = 5_000


class Greeting(msgspec.Struct, frozen=True, kw_only=True, tag="greeting"):
    """The service's first words."""

    service: Annotated[str, Meta(pattern="^spk hsm$")] = "spk hsm"
    protocol_version: int
    nonce: Bytes16


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """The client's answer to the greeting."""

    protocol_version: int
    nonce: Bytes16
    proof: Bytes32


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag="welcome"):
    """The service's proof that it knows the token too; requests may follow."""

    proof: Bytes32


def new_greeting() -> Greeting:
    """Return a greeting with a fresh nonce."""
    return Greeting(protocol_version=PROTOCOL_VERSION, nonce=os.urandom(16))


def hello_to(greeting: Greeting, token: bytes) -> Hello:
    """Return the client's answer to `greeting`, with a fresh nonce."""
    nonce = os.urandom(16)
    proof = _proof(token, b"spk hsm client", greeting.nonce, nonce)
    return Hello(protocol_version=PROTOCOL_VERSION, nonce=nonce, proof=proof)


def hello_is_right(hello: Hello, greeting: Greeting, token: bytes) -> bool:
    """Return whether the client knows `token` (compared in constant time)."""
    expected = _proof(token, b"spk hsm client", greeting.nonce, hello.nonce)
    return hmac.compare_digest(hello.proof, expected)


def welcome_to(hello: Hello, greeting: Greeting, token: bytes) -> Welcome:
    """Return the service's proof."""
    return Welcome(proof=_proof(token, b"spk hsm service", greeting.nonce, hello.nonce))


def welcome_is_right(welcome: Welcome, hello: Hello, greeting: Greeting, token: bytes) -> bool:
    """Return whether the service knows `token` (compared in constant time)."""
    expected = _proof(token, b"spk hsm service", greeting.nonce, hello.nonce)
    return hmac.compare_digest(welcome.proof, expected)


def usable_token(text: str) -> bytes:
    """Return a shared token as bytes; raises `HsmAddressError` when it is too short."""
    token = text.strip().encode()
    if len(token) < TOKEN_CHARS_MIN:
        raise HsmAddressError(
            f"the key service's token has {len(token)} characters, it needs at least "
            f"{TOKEN_CHARS_MIN}; make one with: openssl rand -hex 32"
        )
    return token


def _proof(token: bytes, role: bytes, service_nonce: bytes, client_nonce: bytes) -> bytes:
    return hmac.new(token, role + service_nonce + client_nonce, hashlib.sha256).digest()
