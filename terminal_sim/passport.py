"""A card's social passport renewed at the terminal, after the sale and never in its way.

The centre's key service proves the management key 9B to the card; the terminal carries the messages
(`processing.wire.passport_refresh`) and writes what comes back. Broken off anywhere, the card goes
on as it was, or with a torn passport that nobody believes and that the next sale mends.
"""

from __future__ import annotations

import hashlib
import ipaddress
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import date
from enum import Enum
from typing import Final, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from card_personalization.chip.errors import CardFault, StatusError
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.objects import Algorithm
from processing.wire.api import CardPassport
from processing.wire.parameter_file import ParameterFile
from processing.wire.passport_refresh import (
    BEGIN_PATH,
    FINISH_PATH,
    BeginRefresh,
    FinishRefresh,
    RefreshStarted,
)
from processing.wire.social_passport import PassportError, SocialPassport
from processing.wire.terminal_http import Claim
from terminal_sim.errors import TerminalError
from terminal_sim.keys import MacKey

ASK_AFTER_DAYS: Final = 7
"""How old a passport is when the centre is asked for a newer one: categories change."""
ASK_BEFORE_END_DAYS: Final = 60
REFRESH_TIMEOUT_MS: Final = 3_000
"""Longest wait for one answer: the citizen takes the card away soon."""
REFRESH_ANSWER_BYTES_MAX: Final = 8 * 1024

T = TypeVar("T", bound=msgspec.Struct)
Post = Callable[[str, bytes], bytes]
"""Sends a body to a path of the centre and returns the answer's; raises `TerminalError`."""


class Refreshed(Enum):
    """What became of a passport."""

    NOT_DUE = "not due"
    FRESH = "fresh"
    WRITTEN = "written"
    NOT_HERE = "not here"
    """The card cannot be written to here: through its contacts, or at the office only."""


class _Fresh(Exception):
    """The passport on the card is the right one: nothing is to be proven or written."""


class CentreHost:
    """The host's half of 9B authentication, done by the centre. Serves one card once."""

    algorithm = Algorithm.AES_192

    def __init__(self, post: Post, card_id: bytes, at_hand: bytes | None) -> None:
        self._post = post
        self._card_id = card_id
        self._sha256 = b"" if at_hand is None else hashlib.sha256(at_hand).digest()
        self._handle = b""
        self.passport = b""

    def begin(self, witness_ciphertext: bytes) -> tuple[bytes, bytes]:
        """Return the decrypted witness and the centre's challenge."""
        asked = BeginRefresh(
            card_id=UUID(bytes=self._card_id),
            passport_sha256=self._sha256,
            witness=witness_ciphertext,
        )
        started = _read(self._post(BEGIN_PATH, msgspec.json.encode(asked)), RefreshStarted)
        if started.fresh:
            raise _Fresh
        self._handle = started.handle
        return started.witness, started.challenge

    def finish(self, response: bytes) -> None:
        """Have the centre check the card's answer; the passport comes with its word."""
        answered = FinishRefresh(handle=self._handle, response=response)
        answer = _read(self._post(FINISH_PATH, msgspec.json.encode(answered)), CardPassport)
        self.passport = answer.passport


def refresh(
    card: PivClient, card_id: bytes, parameters: ParameterFile, today: date, post: Post
) -> Refreshed:
    """Renew the passport on a selected card if it is due. Raises `CardError`, `TerminalError`."""
    try:
        at_hand = _at_hand(card)
    except StatusError as error:
        if error.fault is CardFault.NOT_ALLOWED:
            return Refreshed.NOT_HERE
        raise
    if not is_due(at_hand, card_id, parameters.content_keys, today):
        return Refreshed.NOT_DUE
    host = CentreHost(post, card_id, at_hand)
    try:
        card.authenticate_management(host)
        # What does not serve offline here is not worth a card's only passport.
        SocialPassport.decode(host.passport, card_id, parameters.content_keys)
        card.write_passport(host.passport)
    except _Fresh:
        return Refreshed.FRESH
    except PassportError as error:
        raise TerminalError(error.fault.ru, error.fault.en) from error
    except StatusError as error:
        if error.fault in _OFFICE_ONLY:
            return Refreshed.NOT_HERE
        raise
    return Refreshed.WRITTEN


def is_due(
    at_hand: bytes | None, card_id: bytes, public_keys: tuple[bytes, ...], today: date
) -> bool:
    """Whether the centre is worth asking for another passport."""
    if at_hand is None:
        return True
    try:
        passport = SocialPassport.decode(at_hand, card_id, public_keys)
    except PassportError:
        return True
    age, left = (today - passport.valid_from).days, (passport.valid_to - today).days
    return age >= ASK_AFTER_DAYS or left < ASK_BEFORE_END_DAYS


def poster(parameters: ParameterFile, key: MacKey, now_ms: Callable[[], int]) -> Post:
    """Return what posts to the centre, under the terminal's MAC key.

    Raises `TerminalError` for an address to which a citizen's categories would travel in the clear.
    """
    base = parameters.content_url.rstrip("/")
    if not _is_safe(base):
        raise TerminalError(
            f"Паспорт обновляется только по https: {base or 'адрес не указан'}",
            f"a passport is renewed over https only: {base or 'no address'}",
        )

    def post(path: str, body: bytes) -> bytes:
        claim = Claim.of(parameters.terminal_id, key.generation, key.key, now_ms(), path, body)
        # The scheme was checked above: no file of this machine is read.
        request = urllib.request.Request(  # noqa: S310
            base + path,
            body,
            {"Authorization": claim.header, "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(  # noqa: S310
                request, timeout=REFRESH_TIMEOUT_MS / 1000
            ) as answer:
                data: bytes = answer.read(REFRESH_ANSWER_BYTES_MAX)
        except urllib.error.HTTPError as error:
            raise _not_now(f"HTTP {error.code}") from error
        except OSError as error:
            raise _not_now(str(error)) from error
        return data

    return post


def _at_hand(card: PivClient) -> bytes | None:
    try:
        return card.read_passport()
    except StatusError as error:
        if error.fault is CardFault.NOT_FOUND:
            return None
        raise


def _read(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_now(str(error)) from error


def _is_safe(address: str) -> bool:
    parts = urlsplit(address)
    host = parts.hostname or ""
    if parts.scheme == "https":
        return bool(host)
    try:
        near = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        near = False
    return parts.scheme == "http" and near


def _not_now(why: str) -> TerminalError:
    return TerminalError(
        f"Паспорт на карте не обновлён ({why}): обновится в другой раз",
        f"the passport on the card was not renewed ({why}): another time",
    )


_OFFICE_ONLY: Final = frozenset(
    {CardFault.NOT_ALLOWED, CardFault.MANAGEMENT_KEY_WRONG, CardFault.NOT_SUPPORTED}
)
"""How a card says no to 9B or to being written: an OpenFIPS201 card asks for its own channel."""
