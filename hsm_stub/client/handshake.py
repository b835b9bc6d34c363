"""The greeting that opens every connection.

1. service → client `Greeting`: protocol version, nonce (16 bytes)
2. client → service `Hello`: its name, nonce (16), proof = HMAC-SHA-256(key, "spk hsm client" ‖
   both nonces ‖ name)
3. service → client `Welcome`: proof = HMAC-SHA-256(key, "spk hsm service" ‖ both nonces)

Both nonces means the service's, then the client's. The key is SHA-256 of the token after a prefix
(`token_key`), empty where there is no token. The token itself never travels, so another program
that took the port learns nothing it could use. Over a unix socket without tokens the file's mode
is the guard, and the service asks the system for the account behind it.
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

PROTOCOL_VERSION: Final = 2
TOKEN_CHARS_MIN: Final = 16
HANDSHAKE_TIMEOUT_MS: Final = 5_000


class Credentials(msgspec.Struct, frozen=True):
    """Who a client says it is, and the key it proves that with. Both may be empty."""

    client: str = ""
    key: bytes = b""

    def __repr__(self) -> str:
        """Return the name alone: the key opens the door."""
        return f"Credentials({self.client!r})"


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
    client: Annotated[str, Meta(pattern=r"^([a-z0-9][a-z0-9-]{0,31})?\Z")] = ""


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag="welcome"):
    """The service's proof that it knows the token too; requests may follow."""

    proof: Bytes32


def new_greeting() -> Greeting:
    """Return a greeting with a fresh nonce."""
    return Greeting(protocol_version=PROTOCOL_VERSION, nonce=os.urandom(16))


def hello_to(greeting: Greeting, credentials: Credentials) -> Hello:
    """Return the client's answer to `greeting`, with a fresh nonce."""
    nonce, name = os.urandom(16), credentials.client
    proof = _proof(credentials.key, b"spk hsm client", greeting.nonce, nonce, name.encode())
    return Hello(protocol_version=PROTOCOL_VERSION, nonce=nonce, proof=proof, client=name)


def hello_is_right(hello: Hello, greeting: Greeting, key: bytes) -> bool:
    """Return whether the client knows the token behind `key` (compared in constant time)."""
    name = hello.client.encode()
    expected = _proof(key, b"spk hsm client", greeting.nonce, hello.nonce, name)
    return hmac.compare_digest(hello.proof, expected)


def welcome_to(hello: Hello, greeting: Greeting, key: bytes) -> Welcome:
    """Return the service's proof."""
    return Welcome(proof=_proof(key, b"spk hsm service", greeting.nonce, hello.nonce))


def welcome_is_right(welcome: Welcome, hello: Hello, greeting: Greeting, key: bytes) -> bool:
    """Return whether the service knows the token too (compared in constant time)."""
    expected = _proof(key, b"spk hsm service", greeting.nonce, hello.nonce)
    return hmac.compare_digest(welcome.proof, expected)


def token_key(token: bytes) -> bytes:
    """Return what proofs are made with, and what the service keeps; empty without a token."""
    return hashlib.sha256(b"spk hsm token\0" + token).digest() if token else b""


def usable_token(text: str) -> bytes:
    """Return a shared token as bytes; raises `HsmAddressError` when it is too short."""
    token = text.strip().encode()
    if len(token) < TOKEN_CHARS_MIN:
        raise HsmAddressError(
            f"the key service's token has {len(token)} characters, it needs at least "
            f"{TOKEN_CHARS_MIN}; make one with: openssl rand -hex 32"
        )
    return token


def _proof(
    key: bytes, role: bytes, service_nonce: bytes, client_nonce: bytes, name: bytes = b""
) -> bytes:
    return hmac.new(key, role + service_nonce + client_nonce + name, hashlib.sha256).digest()
