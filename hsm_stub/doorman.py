"""Who is at the door: which client of the policy a connection belongs to."""

from __future__ import annotations

import pwd
import socket
import struct
from collections.abc import Callable
from typing import Final

from hsm_stub.client.handshake import Greeting, Hello, hello_is_right
from hsm_stub.desk import Caller
from hsm_stub.policy import Policy

UNNAMED: Final = "local"
"""How a client is called that gave no name, where the policy names none either."""
_CREDENTIALS: Final = struct.Struct("3i")


class Doorman:
    """Lets clients in by the policy in force. `token` is what all share while it names nobody."""

    def __init__(self, policy: Callable[[], Policy], token: bytes) -> None:
        self._policy = policy
        self._token = token

    def admitted(self, hello: Hello, greeting: Greeting, uid: int) -> tuple[Caller, bytes] | None:
        """Return who came in, and the token both share; None for nobody the policy knows.

        `uid` is the account behind a unix socket, -1 where it is not known.
        """
        clients = self._policy().clients
        if not clients:
            if not hello_is_right(hello, greeting, self._token):
                return None
            return Caller(hello.client or UNNAMED, uid), self._token
        name = hello.client or self._policy().client_of_user(account_of(uid))
        if name is None or (client := clients.get(name)) is None:
            return None
        if client.user:
            known = account_of(uid) == client.user
            return (Caller(name, uid), b"") if known else None
        key = bytes.fromhex(client.token_key)
        return (Caller(name, uid), key) if hello_is_right(hello, greeting, key) else None


def uid_of(connected: socket.socket | None) -> int:
    """Return the account behind a unix socket (SO_PEERCRED); -1 where there is none to know."""
    if connected is None or connected.family != socket.AF_UNIX:
        return -1
    packed = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(packed)
    return int(uid)


def account_of(uid: int) -> str:
    """Return the name of an account; empty for one that has none."""
    try:
        return pwd.getpwuid(uid).pw_name if uid >= 0 else ""
    except KeyError:
        return ""
