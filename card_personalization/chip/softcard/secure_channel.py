"""The card's side of SCP03, written from the standard and not from the host's side.

GlobalPlatform Card Specification v2.3, Amendment D v1.1.1, S8 mode, i=70: pseudo-random challenges,
R-MAC and R-ENCRYPTION. CMAC is computed here from single AES blocks (NIST SP 800-38B), so that a
mistake would have to be made twice, in two ways, to go unseen.
"""

from __future__ import annotations

import hmac
from typing import Final

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from card_personalization.chip.apdu import Command, Response, Sw
from card_personalization.chip.softcard.session import Refused, Session
from card_personalization.chip.softcard.state import KeySet, Platform

_BLOCK: Final = 16
_MAC: Final = 8
_PARAMETER_I: Final = 0x70
_SEQUENCE_MAX: Final = 0xFFFFFF
# Java cards take some wrong cryptograms before they close for good; ours takes this many.
FAILURES_MAX: Final = 10

_C_MAC, _C_DECRYPTION, _R_MAC, _R_ENCRYPTION = 0x01, 0x02, 0x10, 0x20
_LEVELS: Final = (0x00, 0x01, 0x03, 0x11, 0x13, 0x33)


def _aes(key: bytes, block: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
    return encryptor.update(block)


def _doubled(block: bytes) -> bytes:
    """Times x in GF(2^128), as SP 800-38B §6.1 makes subkeys."""
    number = int.from_bytes(block, "big") << 1
    if number >> 128:
        number = (number & ((1 << 128) - 1)) ^ 0x87
    return number.to_bytes(_BLOCK, "big")


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def aes_cmac(key: bytes, message: bytes) -> bytes:
    """AES-CMAC from its definition (SP 800-38B §6.2), 16 bytes."""
    subkey = _doubled(_aes(key, bytes(_BLOCK)))
    count = max(1, -(-len(message) // _BLOCK))
    last = message[(count - 1) * _BLOCK :]
    if len(last) < _BLOCK:
        subkey = _doubled(subkey)
        last = (last + b"\x80").ljust(_BLOCK, b"\x00")
    value = bytes(_BLOCK)
    for number in range(count - 1):
        value = _aes(key, _xor(value, message[number * _BLOCK : (number + 1) * _BLOCK]))
    return _aes(key, _xor(value, _xor(last, subkey)))


def _kdf(key: bytes, constant: int, context: bytes, bits: int) -> bytes:
    made = b""
    counter = 0
    while len(made) * 8 < bits:
        counter += 1
        fixed = b"\x00" * 11 + bytes([constant]) + b"\x00" + bits.to_bytes(2, "big")
        made += aes_cmac(key, fixed + bytes([counter]) + context)
    return made[: bits // 8]


def _header(command: Command) -> bytes:
    """The header that a MAC covers, Lc as it came: one byte, or three in an extended APDU."""
    length = len(command.data)
    lc = b"\x00" + length.to_bytes(2, "big") if command.extended else bytes([length & 0xFF])
    return bytes([command.cla, command.ins, command.p1, command.p2]) + lc


class CardChannel:
    """One session of the card, from INITIALIZE UPDATE on; `level` is 0 until authenticated."""

    def __init__(self, keys: KeySet, host_challenge: bytes, card_challenge: bytes) -> None:
        bits = len(keys.enc) * 8
        self._context = host_challenge + card_challenge
        self._enc = _kdf(keys.enc, 0x04, self._context, bits)
        self._mac = _kdf(keys.mac, 0x06, self._context, bits)
        self._rmac = _kdf(keys.mac, 0x07, self._context, bits)
        self.cryptogram = _kdf(self._mac, 0x00, self._context, 64)
        self._chain = bytes(_BLOCK)
        self._count = 0
        self.authenticated = False
        self.level = 0

    def authenticate(self, command: Command) -> bool:
        """Whether the host's cryptogram and MAC are right; the session is open then."""
        data = command.data
        expected = _kdf(self._mac, 0x01, self._context, 64)
        offered = data[:_MAC]
        header = _header(msgspec.structs.replace(command, cla=0x84))
        right = len(data) == 2 * _MAC and self._checks(header, offered, data[_MAC:])
        if not right or not hmac.compare_digest(expected, offered):
            return False
        self.authenticated, self.level = True, command.p1
        return True

    def open_command(self, command: Command) -> bytes:
        """The plain data of a protected command; Refused(6982) ends the session."""
        body, told = command.data[:-_MAC], command.data[-_MAC:]
        self._count += 1
        checked = len(told) == _MAC and self._checks(_header(command), body, told)
        if not self.authenticated or not checked:
            self.authenticated, self.level = False, 0
            raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)
        if body and self.level & _C_DECRYPTION:
            return self._deciphered(body)
        return body

    def close_answer(self, answer: Response) -> Response:
        """The protected answer, where the session asks for one."""
        if not self.level & _R_MAC or answer.sw >> 8 not in (0x90, 0x62, 0x63):
            return answer
        data = answer.data
        if data and self.level & _R_ENCRYPTION:
            padded = data + b"\x80"
            padded += bytes(-len(padded) % _BLOCK)
            first = _aes(self._enc, b"\x80" + self._count.to_bytes(15, "big"))
            encryptor = Cipher(algorithms.AES(self._enc), modes.CBC(first)).encryptor()
            data = encryptor.update(padded) + encryptor.finalize()
        mac = aes_cmac(self._rmac, self._chain + data + answer.sw.to_bytes(2, "big"))
        return Response(data + mac[:_MAC], answer.sw)

    def _checks(self, header: bytes, body: bytes, told: bytes) -> bool:
        self._chain = aes_cmac(self._mac, self._chain + header + body)
        return hmac.compare_digest(self._chain[:_MAC], told)

    def _deciphered(self, body: bytes) -> bytes:
        if len(body) % _BLOCK:
            raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)
        first = _aes(self._enc, self._count.to_bytes(_BLOCK, "big"))
        decryptor = Cipher(algorithms.AES(self._enc), modes.CBC(first)).decryptor()
        plain = decryptor.update(body) + decryptor.finalize()
        end = plain.rstrip(b"\x00")
        if not end.endswith(b"\x80"):
            raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)
        return end[:-1]


def initialize_update(
    session: Session, platform: Platform, command: Command, application: bytes
) -> tuple[Response, CardChannel]:
    """INITIALIZE UPDATE: draw a challenge, prove the keys. The counter is kept before the answer.

    Refused: 6A88 for a key version that is not here, 6985 when the counter has run out.
    """
    keys = platform.key_set
    if command.p1 not in (0, keys.version):
        raise Refused(Sw.REFERENCE_NOT_FOUND)
    if len(command.data) != _MAC:
        raise Refused(Sw.WRONG_LENGTH)
    if platform.initialized >= _SEQUENCE_MAX:
        raise Refused(Sw.CONDITIONS_NOT_SATISFIED)
    number = (platform.initialized + 1).to_bytes(3, "big")
    session.change(platform=msgspec.structs.replace(platform, initialized=platform.initialized + 1))
    challenge = _kdf(keys.enc, 0x02, number + application, 64)
    channel = CardChannel(keys, command.data, challenge)
    diversification = session.state.serial.to_bytes(10, "big")
    information = bytes([keys.version, 0x03, _PARAMETER_I])
    return Response(
        diversification + information + challenge + channel.cryptogram + number, Sw.OK
    ), channel


def external_authenticate(session: Session, channel: CardChannel | None, command: Command) -> None:
    """EXTERNAL AUTHENTICATE: let the host in. Refused: 6985 out of turn, 6300 wrong, 6983 for good.

    A failure is counted before the comparison, so that pulling the power does not give it back.
    """
    platform = session.state.platform
    if platform is None or channel is None or channel.authenticated:
        raise Refused(Sw.CONDITIONS_NOT_SATISFIED)
    if command.p1 not in _LEVELS or command.p2:
        raise Refused(Sw.WRONG_P1_P2)
    if platform.failures >= FAILURES_MAX:
        raise Refused(Sw.AUTHENTICATION_BLOCKED)
    counted = msgspec.structs.replace(platform, failures=platform.failures + 1)
    session.change(platform=counted)
    if not channel.authenticate(command):
        raise Refused(0x6300)
    session.change(platform=msgspec.structs.replace(counted, failures=0))
