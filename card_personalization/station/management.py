"""Slot 9B of an issued card: its key is diversified per card and used inside the key service."""

from __future__ import annotations

from card_personalization.chip.errors import CardError, CardFault
from card_personalization.station.card_keys import ADMIN_KEY_VERSION
from card_personalization.station.writing import ADMIN_KEY_ALGORITHM
from hsm_stub.client.client import HsmClient
from hsm_stub.client.commands import Refusal
from hsm_stub.client.errors import HsmRefused


class HsmManagementKey:
    """The host's half of 9B mutual authentication, done by the key service for one card.

    `card_master` is the generation that the card's key comes from, 0 for the active one.
    """

    algorithm = ADMIN_KEY_ALGORITHM

    def __init__(self, hsm: HsmClient, card_guid: bytes, card_master: int = 0) -> None:
        self._hsm = hsm
        self._card_guid = card_guid
        self._card_master = card_master
        self._handle = b""

    def begin(self, witness_ciphertext: bytes) -> tuple[bytes, bytes]:
        """The decrypted witness and a fresh challenge, 16 bytes each."""
        started = self._hsm.card_admin_begin(
            self._card_guid, ADMIN_KEY_VERSION, witness_ciphertext, self._card_master
        )
        self._handle = started.handle
        return started.witness, started.challenge

    def finish(self, response: bytes) -> None:
        """Check the card's answer to the challenge. CardError(CARD_UNPROVEN) if it is wrong."""
        try:
            self._hsm.card_admin_finish(self._handle, response)
        except HsmRefused as refusal:
            if refusal.code is Refusal.CARD_NOT_AUTHENTICATED:
                raise CardError(CardFault.CARD_UNPROVEN) from None
            raise
