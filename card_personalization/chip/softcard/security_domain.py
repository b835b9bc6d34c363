"""The issuer security domain of the software Java card: GET DATA and PUT KEY.

GlobalPlatform Card Specification v2.3 §11.3 and §11.8, Amendment D §7.2.
"""

from __future__ import annotations

from typing import Final

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from card_personalization.chip import tlv
from card_personalization.chip.apdu import Command, Response, Sw
from card_personalization.chip.softcard.session import Refused, Session
from card_personalization.chip.softcard.state import (
    CHANNEL_KEY_BYTES,
    FACTORY_CHANNEL_VERSION,
    CardState,
    KeySet,
    Platform,
)

DOMAIN_AID: Final = bytes.fromhex("A000000151000000")
GET_DATA: Final = 0xCA
PUT_KEY: Final = 0xD8
_CPLC: Final = 0x9F7F
_KEY_INFORMATION: Final = 0x00E0
# Extended card resources (ETSI TS 102 226 §8.2.1.7.2): applications, free lasting and fast memory.
_RESOURCES: Final = 0xFF21
_AES_KEY: Final = 0x88
_SEVERAL_KEYS_FROM_1: Final = 0x81
_CHECK_VALUE_BYTES: Final = 3
_FAST_MEMORY_BYTES: Final = 4_096


def _platform(session: Session) -> Platform:
    platform = session.state.platform
    if platform is None:
        raise Refused(Sw.INSTRUCTION_UNSUPPORTED)
    return platform


def selected_answer() -> Response:
    """What SELECT of the domain answers: its name and the largest command data."""
    proprietary = tlv.encode(0xA5, tlv.encode(0x9F65, b"\xff"))
    return Response(tlv.encode(0x6F, tlv.encode(0x84, DOMAIN_AID) + proprietary), Sw.OK)


def get_data(session: Session, command: Command) -> Response:
    """GET DATA (CA): production data (CPLC), key information, free memory."""
    platform = _platform(session)
    tag = command.p1 << 8 | command.p2
    told = {
        _CPLC: _production_data,
        _KEY_INFORMATION: _key_information,
        _RESOURCES: _resources,
    }.get(tag)
    if told is None:
        raise Refused(Sw.REFERENCE_NOT_FOUND)
    return Response(tlv.encode(tag, told(session.state, platform)), Sw.OK)


def _production_data(state: CardState, _: Platform) -> bytes:
    # Fabricator and the like are zero: nobody fabricated this card. Its serial stands at 12.
    return bytes(12) + state.serial.to_bytes(4, "big") + bytes(26)


def _key_information(_: CardState, platform: Platform) -> bytes:
    version, length = platform.key_set.version, len(platform.key_set.enc)
    entries = (bytes([number, version, _AES_KEY, length]) for number in (1, 2, 3))
    return b"".join(tlv.encode(0xC0, entry) for entry in entries)


def _resources(state: CardState, _: Platform) -> bytes:
    return (
        tlv.encode(0x81, b"\x01")
        + tlv.encode(0x82, max(0, state.free_bytes).to_bytes(4, "big"))
        + tlv.encode(0x83, _FAST_MEMORY_BYTES.to_bytes(4, "big"))
    )


def put_key(session: Session, command: Command) -> Response:
    """PUT KEY (D8) of a whole SCP03 set, through a secure channel; its version and check values.

    P1 names the version to replace; 0 adds a set, which the factory's gives way to.
    """
    platform = _platform(session)
    if not session.secured:
        raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)
    adds = command.p1 == 0 and platform.key_set.version == FACTORY_CHANNEL_VERSION
    if not adds and command.p1 != platform.key_set.version:
        raise Refused(Sw.REFERENCE_NOT_FOUND)
    if command.p2 != _SEVERAL_KEYS_FROM_1:
        raise Refused(Sw.WRONG_P1_P2)
    version, rest = command.data[:1], command.data[1:]
    keys: list[bytes] = []
    told = version
    for _ in range(3):
        key, check, rest = _one_key(platform.key_set.dek, rest)
        keys.append(key)
        told += check
    if rest or not version or not 1 <= version[0] <= 0x7F or len({len(key) for key in keys}) != 1:
        raise Refused(Sw.WRONG_DATA)
    changed = msgspec.structs.replace(
        platform, key_set=KeySet(version[0], *keys), initialized=0, failures=0
    )
    session.change(platform=changed)
    return Response(told, Sw.OK)


def _one_key(dek: bytes, data: bytes) -> tuple[bytes, bytes, bytes]:
    """A key out of PUT KEY's data, its check value, and what follows it. Refused: 6A80."""
    if len(data) < 3 or data[0] != _AES_KEY:
        raise Refused(Sw.WRONG_DATA)
    block, rest = data[2 : 2 + data[1]], data[2 + data[1] :]
    # Table 7-10 tells the key's length first; some hosts leave it out where it fills whole blocks.
    told = len(block) % 16 == 1
    length, enciphered = (block[0], block[1:]) if told else (len(block), block)
    if length not in CHANNEL_KEY_BYTES or len(enciphered) % 16 or len(enciphered) < length:
        raise Refused(Sw.WRONG_DATA)
    decryptor = Cipher(algorithms.AES(dek), modes.CBC(bytes(16))).decryptor()
    key = (decryptor.update(enciphered) + decryptor.finalize())[:length]
    # B.6 of the card specification: one block of 01 under the key, its first three bytes.
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
    check = encryptor.update(b"\x01" * 16)[:_CHECK_VALUE_BYTES]
    if not rest or rest[0] not in (0, _CHECK_VALUE_BYTES):
        raise Refused(Sw.WRONG_DATA)
    offered, rest = rest[1 : 1 + rest[0]], rest[1 + rest[0] :]
    if offered and offered != check:
        raise Refused(Sw.WRONG_DATA)
    return key, check, rest
