"""Where callbacks may go: below the address that the participant registered, nowhere else.

An answer holds personal data, and whoever may choose its address may also make the centre knock
at any door of its own network.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from processing.exchange.dci.codes import Action, ErrorCode
from processing.exchange.dci.endpoints import CALLBACK_PATHS
from processing.exchange.dci.envelope import Refused
from processing.exchange.dci.model import Peer

URI_LENGTH_MAX = 500
"""Most characters of an address."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def read_uri(text: str) -> SplitResult:
    """Return an https address without login, query or fragment; raises ValueError.

    Plain http is for a participant on the same machine only.
    """
    parts = urlsplit(text)
    plain = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not (parts.scheme == "https" or plain) or not parts.hostname or parts.port == 0:
        raise ValueError("an address https://host/path is expected")
    if parts.username is not None or parts.query or parts.fragment or "\\" in text:
        raise ValueError("an address without login, query and fragment is expected")
    segments = parts.path.split("/")
    if len(text) > URI_LENGTH_MAX or not text.isprintable() or {".", ".."} & set(segments):
        raise ValueError(f"a plain address of at most {URI_LENGTH_MAX} characters is expected")
    if "%" in parts.path:
        raise ValueError("an address without percent signs is expected")
    return parts


def allowed_uri(peer: Peer, asked: str | None, action: Action) -> str:
    """Return where the answer to a message goes; raises `Refused` for a stranger's address."""
    if peer.callback_uri is None:
        raise Refused(ErrorCode.SENDER_URI_INVALID, "no callback address is registered")
    if asked is None:
        return peer.callback_uri.rstrip("/") + CALLBACK_PATHS[action]
    base = read_uri(peer.callback_uri)
    try:
        given = read_uri(asked)
    except ValueError as error:
        raise Refused(ErrorCode.SENDER_URI_INVALID, str(error)) from None
    same_door = (given.scheme, given.hostname, given.port) == (
        base.scheme,
        base.hostname,
        base.port,
    )
    root = base.path.rstrip("/")
    if not same_door or not (given.path == root or given.path.startswith(f"{root}/")):
        raise Refused(ErrorCode.SENDER_URI_INVALID)
    return asked
