"""The host's side of Secure Channel Protocol '03': GlobalPlatform Card Specification, Amendment D.

Sections named here are those of Amendment D v1.1.1. Mutual authentication proves both sides' keys,
then each command carries a C-MAC chained to the one before, its data are enciphered (C-DECRYPTION),
and answers may be protected likewise (R-MAC, R-ENCRYPTION). MACs and challenges of 8 bytes (S8).

A wrong key shows in the card's cryptogram, before anything is sent that a card would count.
"""

from __future__ import annotations

import hmac
import os
from enum import IntEnum, IntFlag
from typing import Final

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from card_personalization.chip.apdu import (
    CHAINING_BIT,
    SHORT_ANSWER_BYTES,
    SHORT_DATA_BYTES,
    Command,
    Response,
    Sw,
)
from card_personalization.chip.chaining import Channel
from card_personalization.chip.errors import CardFault, ChannelError

BLOCK_BYTES: Final = 16
MAC_BYTES: Final = 8
CHALLENGE_BYTES: Final = 8
CRYPTOGRAM_BYTES: Final = 8
PROTOCOL: Final = 0x03
KEY_BYTES: Final = (16, 24, 32)

GP_CLA: Final = 0x80
SECURE_CLA_BIT: Final = 0x04
INITIALIZE_UPDATE: Final = 0x50
EXTERNAL_AUTHENTICATE: Final = 0x82

# Diversification data 10, key version, protocol and parameter i 3, challenge 8, cryptogram 8; the
# sequence counter of 3 follows when challenges are pseudo-random (section 7.1.1.1).
_KEY_INFORMATION_AT: Final = 10
_CHALLENGE_AT: Final = 13
_CRYPTOGRAM_AT: Final = 21
_ANSWER_BYTES: Final = (29, 32)
# S16 cards of Amendment D v1.2 set this bit of i; their MACs and challenges have 16 bytes.
_I_S16: Final = 0x01
_I_R_MAC: Final = 0x20
_I_R_ENCRYPTION: Final = 0x40
_CHANNEL_BROKEN: Final = frozenset({0x6882, 0x6987, 0x6988})


class Derivation(IntEnum):
    """Derivation constants (table 4-1)."""

    CARD_CRYPTOGRAM = 0x00
    HOST_CRYPTOGRAM = 0x01
    CARD_CHALLENGE = 0x02
    S_ENC = 0x04
    S_MAC = 0x06
    S_RMAC = 0x07


class SecurityLevel(IntFlag):
    """What EXTERNAL AUTHENTICATE asks for in P1 (table 7-3)."""

    C_MAC = 0x01
    C_DECRYPTION = 0x02
    R_MAC = 0x10
    R_ENCRYPTION = 0x20


ENCRYPTED_COMMANDS: Final = SecurityLevel.C_MAC | SecurityLevel.C_DECRYPTION
FULL_PROTECTION: Final = ENCRYPTED_COMMANDS | SecurityLevel.R_MAC | SecurityLevel.R_ENCRYPTION
_LEVELS: Final = frozenset({0x01, 0x03, 0x11, 0x13, 0x33})


class ChannelKeys(msgspec.Struct, frozen=True):
    """A static key set: Key-ENC, Key-MAC and Key-DEK of one length, and its version number.

    Version 0 lets the card take its first set. ValueError for lengths that no AES has.
    """

    enc: bytes
    mac: bytes
    dek: bytes
    version: int = 0

    def __post_init__(self) -> None:
        lengths = {len(self.enc), len(self.mac), len(self.dek)}
        if len(lengths) != 1 or not lengths <= set(KEY_BYTES):
            raise ValueError("secure-channel keys are three AES keys of one length")
        if not 0 <= self.version <= 0xFF:
            raise ValueError("a key version is one byte")


class SessionKeys(msgspec.Struct, frozen=True):
    """S-ENC, S-MAC and S-RMAC of one session."""

    enc: bytes
    mac: bytes
    rmac: bytes


class Initialized(msgspec.Struct, frozen=True):
    """What INITIALIZE UPDATE told: the set in use, parameter i, and what the card drew."""

    diversification: bytes
    key_version: int
    parameter: int
    challenge: bytes
    cryptogram: bytes
    sequence: int | None


def cmac(key: bytes, message: bytes) -> bytes:
    """AES-CMAC (NIST SP 800-38B), 16 bytes."""
    mac = CMAC(algorithms.AES(key))
    mac.update(message)
    return mac.finalize()


def derive(key: bytes, constant: Derivation, context: bytes, length_bits: int) -> bytes:
    """KDF in counter mode (NIST SP 800-108) as section 4.1.5 lays its input out."""
    label = bytes(11) + bytes([constant, 0x00]) + length_bits.to_bytes(2, "big")
    blocks = -(-length_bits // (8 * BLOCK_BYTES))
    made = b"".join(cmac(key, label + bytes([i]) + context) for i in range(1, blocks + 1))
    return made[: length_bits // 8]


def session_keys(keys: ChannelKeys, host_challenge: bytes, card_challenge: bytes) -> SessionKeys:
    """The keys of one session (section 6.2.1)."""
    context = host_challenge + card_challenge
    length_bits = 8 * len(keys.enc)
    return SessionKeys(
        enc=derive(keys.enc, Derivation.S_ENC, context, length_bits),
        mac=derive(keys.mac, Derivation.S_MAC, context, length_bits),
        rmac=derive(keys.mac, Derivation.S_RMAC, context, length_bits),
    )


def card_challenge(keys: ChannelKeys, sequence: int, application: bytes) -> bytes:
    """The pseudo-random challenge of a card whose i has bit 0x10 (section 6.2.2.1), 8 bytes."""
    context = sequence.to_bytes(3, "big") + application
    return derive(keys.enc, Derivation.CARD_CHALLENGE, context, 8 * CHALLENGE_BYTES)


def encrypt_with_dek(keys: ChannelKeys, secret: bytes) -> bytes:
    """Key-sensitive data under the static Key-DEK, CBC from a zero block (section 6.2.8).

    A 24-byte key is followed by 8 random bytes. ValueError for what fills no blocks otherwise.
    """
    if len(secret) == 24:
        secret += os.urandom(8)
    if len(secret) % BLOCK_BYTES:
        raise ValueError(f"{len(secret)} bytes fill no blocks of {BLOCK_BYTES}")
    return _cbc(keys.dek, bytes(BLOCK_BYTES), secret)


def key_check_value(key: bytes) -> bytes:
    """The first 3 bytes of a block of 01 under an AES key (card specification, B.6)."""
    return _block(key, b"\x01" * BLOCK_BYTES)[:3]


def pad(data: bytes) -> bytes:
    """80 and zeros up to whole blocks (section 4.1.4)."""
    return data + b"\x80" + bytes(-(len(data) + 1) % BLOCK_BYTES)


class SecureChannel:
    """An open session: a Channel over a plain one. Commands longer than an APDU become a chain.

    Each link of a chain is protected by itself, as cards unwrap APDU by APDU. After any
    ChannelError the session is dead: open another. `key_version` is that of the set in use.
    """

    def __init__(
        self,
        inner: Channel,
        keys: SessionKeys,
        level: SecurityLevel,
        chaining_value: bytes,
        key_version: int,
    ) -> None:
        self._inner = inner
        self._keys = keys
        self.level = level
        self.key_version = key_version
        self._chaining_value = chaining_value
        self._counter = 0
        encrypted = SecurityLevel.C_DECRYPTION in level
        room = SHORT_DATA_BYTES - MAC_BYTES
        # Padding takes at least one byte.
        self._link_bytes = room - room % BLOCK_BYTES - 1 if encrypted else room

    def send(self, command: Command) -> Response:
        """The answer to the last link, or to the first that the card refused. ChannelError."""
        data = command.data
        while len(data) > self._link_bytes:
            cla = command.cla | CHAINING_BIT
            link = Command(command.ins, command.p1, command.p2, data[: self._link_bytes], None, cla)
            answer = self._exchange(link)
            if not answer.ok:
                return answer
            data = data[self._link_bytes :]
        last = msgspec.structs.replace(command, data=data, extended=False)
        return self._exchange(last)

    def _exchange(self, command: Command) -> Response:
        answer = self._inner.send(self.wrap(command))
        if answer.sw in _CHANNEL_BROKEN:
            raise ChannelError(CardFault.CHANNEL_ENDED, sw=f"{answer.sw:04X}")
        return self.unwrap(answer)

    def wrap(self, command: Command) -> Command:
        """The protected form of a command that fits into one APDU (sections 6.2.4, 6.2.6)."""
        self._counter += 1
        data = command.data
        if data and SecurityLevel.C_DECRYPTION in self.level:
            data = _cbc(self._keys.enc, self._initial_block(b"\x00"), pad(data))
        cla = command.cla | SECURE_CLA_BIT
        length = len(data) + MAC_BYTES
        head = bytes([cla, command.ins, command.p1, command.p2, length])
        self._chaining_value = cmac(self._keys.mac, self._chaining_value + head + data)
        answer_bytes = command.answer_bytes
        if answer_bytes is None and SecurityLevel.R_MAC in self.level:
            answer_bytes = SHORT_ANSWER_BYTES
        data += self._chaining_value[:MAC_BYTES]
        return Command(command.ins, command.p1, command.p2, data, answer_bytes, cla)

    def unwrap(self, answer: Response) -> Response:
        """The plain answer (sections 6.2.5, 6.2.7). ChannelError if it is not the card's own."""
        if SecurityLevel.R_MAC not in self.level:
            return answer
        if answer.sw != Sw.OK and answer.sw >> 8 not in (0x62, 0x63):
            if answer.data:
                raise ChannelError(CardFault.CHANNEL_FORGED, detail="data beside an error")
            return answer
        data, told = answer.data[:-MAC_BYTES], answer.data[-MAC_BYTES:]
        status = answer.sw.to_bytes(2, "big")
        expected = cmac(self._keys.rmac, self._chaining_value + data + status)[:MAC_BYTES]
        if not hmac.compare_digest(expected, told):
            raise ChannelError(CardFault.CHANNEL_FORGED, detail="R-MAC")
        if data and SecurityLevel.R_ENCRYPTION in self.level:
            data = self._decrypt(data)
        return Response(data, answer.sw)

    def _decrypt(self, data: bytes) -> bytes:
        if len(data) % BLOCK_BYTES:
            raise ChannelError(CardFault.CHANNEL_FORGED, detail="R-ENCRYPTION")
        block = self._initial_block(b"\x80")
        decryptor = Cipher(algorithms.AES(self._keys.enc), modes.CBC(block)).decryptor()
        bare = (decryptor.update(data) + decryptor.finalize()).rstrip(b"\x00")
        if not bare.endswith(b"\x80"):
            raise ChannelError(CardFault.CHANNEL_FORGED, detail="R-ENCRYPTION")
        return bare[:-1]

    def _initial_block(self, first: bytes) -> bytes:
        return _block(self._keys.enc, first + self._counter.to_bytes(BLOCK_BYTES - 1, "big"))


def initialize_update(channel: Channel, version: int, host_challenge: bytes) -> Initialized:
    """Ask for a session with the key set of a version. ChannelError in words of what is amiss."""
    command = Command(INITIALIZE_UPDATE, version, 0, host_challenge, cla=GP_CLA)
    answer = channel.send(command)
    if answer.sw in (Sw.REFERENCE_NOT_FOUND, Sw.NOT_FOUND):
        raise ChannelError(CardFault.CHANNEL_VERSION_ABSENT, version=version)
    if answer.sw in (Sw.INSTRUCTION_UNSUPPORTED, Sw.CLASS_UNSUPPORTED):
        raise ChannelError(CardFault.CHANNEL_PROTOCOL, detail="INITIALIZE UPDATE")
    if not answer.ok:
        raise ChannelError(CardFault.CHANNEL_REFUSED, sw=f"{answer.sw:04X}")
    return parse_initialized(answer.data)


def parse_initialized(data: bytes) -> Initialized:
    """What the answer to INITIALIZE UPDATE tells. ChannelError unless it is SCP03 in S8 mode."""
    protocol = data[_KEY_INFORMATION_AT + 1] if len(data) > _KEY_INFORMATION_AT + 2 else 0
    if protocol != PROTOCOL:
        raise ChannelError(CardFault.CHANNEL_PROTOCOL, detail=f"SCP{protocol:02X}")
    parameter = data[_KEY_INFORMATION_AT + 2]
    if parameter & _I_S16 or len(data) not in _ANSWER_BYTES:
        raise ChannelError(CardFault.CHANNEL_PROTOCOL, detail=f"SCP03 i={parameter:02X} (S16)")
    sequence = data[_CRYPTOGRAM_AT + CRYPTOGRAM_BYTES :]
    return Initialized(
        diversification=data[:_KEY_INFORMATION_AT],
        key_version=data[_KEY_INFORMATION_AT],
        parameter=parameter,
        challenge=data[_CHALLENGE_AT:_CRYPTOGRAM_AT],
        cryptogram=data[_CRYPTOGRAM_AT : _CRYPTOGRAM_AT + CRYPTOGRAM_BYTES],
        sequence=int.from_bytes(sequence, "big") if sequence else None,
    )


def open_secure_channel(
    inner: Channel,
    keys: ChannelKeys,
    level: SecurityLevel = ENCRYPTED_COMMANDS,
    host_challenge: bytes | None = None,
) -> SecureChannel:
    """Authenticate card and host to each other, and protect what follows as `level` says.

    `host_challenge` (8 bytes) is drawn unless given. ValueError for a level that table 7-3 lacks;
    ChannelError: CHANNEL_VERSION_ABSENT, CHANNEL_PROTOCOL, CHANNEL_KEYS_WRONG, CHANNEL_REFUSED.
    """
    if level not in _LEVELS:
        raise ValueError(f"security level {int(level):02X} is none of table 7-3")
    drawn = os.urandom(CHALLENGE_BYTES) if host_challenge is None else host_challenge
    told = initialize_update(inner, keys.version, drawn)
    _require_support(level, told.parameter)
    session = session_keys(keys, drawn, told.challenge)
    context = drawn + told.challenge
    expected = derive(session.mac, Derivation.CARD_CRYPTOGRAM, context, 8 * CRYPTOGRAM_BYTES)
    if not hmac.compare_digest(expected, told.cryptogram):
        raise ChannelError(CardFault.CHANNEL_KEYS_WRONG)
    proof = derive(session.mac, Derivation.HOST_CRYPTOGRAM, context, 8 * CRYPTOGRAM_BYTES)
    head = bytes([GP_CLA | SECURE_CLA_BIT, EXTERNAL_AUTHENTICATE, level, 0, len(proof) + MAC_BYTES])
    chaining_value = cmac(session.mac, bytes(BLOCK_BYTES) + head + proof)
    data = proof + chaining_value[:MAC_BYTES]
    command = Command(EXTERNAL_AUTHENTICATE, level, 0, data, None, GP_CLA | SECURE_CLA_BIT)
    answer = inner.send(command)
    if not answer.ok:
        raise ChannelError(CardFault.CHANNEL_REFUSED, sw=f"{answer.sw:04X}")
    return SecureChannel(inner, session, level, chaining_value, told.key_version)


def _require_support(level: SecurityLevel, parameter: int) -> None:
    wants = {SecurityLevel.R_MAC: _I_R_MAC, SecurityLevel.R_ENCRYPTION: _I_R_ENCRYPTION}
    for part, bit in wants.items():
        if part in level and not parameter & bit:
            raise ChannelError(CardFault.CHANNEL_PROTOCOL, detail=f"SCP03 i={parameter:02X}")


def _block(key: bytes, block: bytes) -> bytes:
    # One block, as the standard derives initial blocks and check values.
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
    return encryptor.update(block) + encryptor.finalize()


def _cbc(key: bytes, initial: bytes, data: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.CBC(initial)).encryptor()
    return encryptor.update(data) + encryptor.finalize()
