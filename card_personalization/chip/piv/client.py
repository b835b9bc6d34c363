"""A client of the PIV card application that uses nothing beyond NIST SP 800-73-5 part 2.

So it works with any bought PIV card over any transport; what vendors add is in `chip.profiles`.
"""

from __future__ import annotations

from typing import Final, Never

from card_personalization.chip import tlv
from card_personalization.chip.apdu import (
    Command,
    Ins,
    Response,
    Sw,
    attempts_remaining,
    sw_name,
)
from card_personalization.chip.chaining import Channel
from card_personalization.chip.ecdsa_signature import (
    DIGEST_BYTES,
    raw_from_der,
    require_point,
)
from card_personalization.chip.errors import (
    AttemptError,
    CardFault,
    MalformedAnswer,
    StatusError,
)
from card_personalization.chip.piv.management import ManagementHost
from card_personalization.chip.piv.objects import (
    AES_BLOCK_BYTES,
    PASSPORT_FALLBACK_TAG,
    PASSPORT_TAG,
    PIV_AID_TRUNCATED,
    Algorithm,
    Chuid,
    ContainerTag,
    Discovery,
    DynamicTag,
    Reference,
    Slot,
    Tag,
    encode_certificate,
    parse_certificate,
    parse_chuid,
    parse_discovery,
    pin_block,
    puk_block,
    tag_list,
)

_FAULTS: Final[dict[int, CardFault]] = {
    Sw.NOT_FOUND: CardFault.NOT_FOUND,
    Sw.REFERENCE_NOT_FOUND: CardFault.NOT_FOUND,
    Sw.NO_SPACE: CardFault.NO_SPACE,
    Sw.SECURITY_STATUS_NOT_SATISFIED: CardFault.NOT_ALLOWED,
    Sw.FUNCTION_UNSUPPORTED: CardFault.NOT_SUPPORTED,
    Sw.INSTRUCTION_UNSUPPORTED: CardFault.NOT_SUPPORTED,
    Sw.WRONG_DATA: CardFault.VALUE_REFUSED,
}


def _refuse(sw: int, what: str) -> Never:
    """Raise the StatusError that fits a status word."""
    fault = _FAULTS.get(sw, CardFault.STATUS)
    if fault is CardFault.STATUS:
        raise StatusError(fault, sw, what=what, name=sw_name(sw))
    raise StatusError(fault, sw, what=what)


def _refuse_attempt(sw: int, reference: Reference, what: str) -> Never:
    """Raise the AttemptError of a PIN or PUK, or the StatusError that fits."""
    left = attempts_remaining(sw)
    if left is None:
        _refuse(sw, what)
    if reference is Reference.PUK:
        fault = CardFault.PUK_WRONG if left else CardFault.PUK_BLOCKED
    else:
        fault = CardFault.PIN_WRONG if left else CardFault.PIN_BLOCKED
    raise AttemptError(fault, sw, left)


# How a card says that it has no room for an object, or does not know it.
_NO_PLACE: Final = frozenset(
    {
        CardFault.NOT_FOUND,
        CardFault.NO_SPACE,
        CardFault.NOT_SUPPORTED,
        CardFault.VALUE_REFUSED,
    }
)


class PivClient:
    """One session with the PIV application behind a channel. Call `select` first.

    Every method raises TransportError when the card goes away, StatusError when it refuses and
    MalformedAnswer when its answer cannot be read.
    """

    def __init__(self, channel: Channel) -> None:
        self._plain = channel
        self.channel = channel

    def go_plain(self) -> Channel:
        """Leave a secure channel, if one was put in `channel`; the channel below it."""
        self.channel = self._plain
        return self._plain

    def select(self) -> bytes:
        """Select the PIV application; its property template, as it came. StatusError(NOT_PIV).

        Selecting ends a secure channel on the card, so it is left here too.
        """
        self.go_plain()
        answer = self.channel.send(Command(Ins.SELECT, 0x04, 0x00, PIV_AID_TRUNCATED))
        if not answer.ok:
            raise StatusError(CardFault.NOT_PIV, answer.sw)
        return answer.data

    def send(self, what: str, command: Command) -> Response:
        """Send any command. StatusError, naming `what` was to be done, unless the card did it."""
        answer = self.channel.send(command)
        if not answer.ok:
            _refuse(answer.sw, what)
        return answer

    def get_data(self, tag: int) -> bytes:
        """The content of one object, without its wrapper. StatusError(NOT_FOUND) if absent.

        An object that was emptied (53 00) counts as absent: cards differ in how they tell.
        """
        what = f"object {tag:X}"
        answer = self.send(what, Command(Ins.GET_DATA, 0x3F, 0xFF, tag_list(tag)))
        bare = tag in (Tag.DISCOVERY, Tag.BIOMETRIC_GROUP)
        try:
            content = tlv.unwrap(answer.data, tag if bare else ContainerTag.OBJECT)
        except tlv.TlvError as error:
            raise MalformedAnswer(f"{what}: {error}") from None
        if not content:
            raise StatusError(CardFault.NOT_FOUND, Sw.NOT_FOUND, what=what)
        return content

    def put_data(self, tag: int, content: bytes) -> None:
        """Write one object; empty content removes it. Needs `authenticate_management` before."""
        data = tag_list(tag) + tlv.encode(ContainerTag.OBJECT, content)
        command = Command(Ins.PUT_DATA, 0x3F, 0xFF, data, answer_bytes=None)
        self.send(f"writing object {tag:X}", command)

    def read_chuid(self) -> Chuid:
        """The card's identifier."""
        return parse_chuid(self.get_data(Tag.CHUID))

    def write_chuid(self, chuid: Chuid) -> None:
        """Write the card's identifier. Needs `authenticate_management` before."""
        self.put_data(Tag.CHUID, chuid.encode())

    def read_discovery(self) -> Discovery:
        """Which PINs the card knows. StatusError(NOT_FOUND) on cards without the object."""
        return parse_discovery(self.get_data(Tag.DISCOVERY))

    def read_certificate(self, slot: Slot) -> bytes:
        """The DER certificate of a key. StatusError(NOT_FOUND) if none was written."""
        return parse_certificate(self.get_data(slot.certificate_tag))

    def write_certificate(self, slot: Slot, der: bytes) -> None:
        """Write the DER certificate of a key. Needs `authenticate_management` before."""
        self.put_data(slot.certificate_tag, encode_certificate(der))

    def read_passport(self) -> bytes:
        """The social passport. StatusError(NOT_FOUND) if none was written.

        A strict card gives it through its contacts only.
        """
        try:
            return self.get_data(PASSPORT_TAG)
        except StatusError as error:
            if error.fault is not CardFault.NOT_FOUND:
                raise
        return self.get_data(PASSPORT_FALLBACK_TAG)

    def write_passport(self, passport: bytes) -> None:
        """Write the social passport, elsewhere if its own object cannot be written.

        Needs `authenticate_management` before.
        """
        try:
            self.put_data(PASSPORT_TAG, passport)
        except StatusError as error:
            if error.fault not in _NO_PLACE:
                raise
            self.put_data(PASSPORT_FALLBACK_TAG, passport)

    def verify_pin(self, pin: str) -> None:
        """Verify the cardholder's PIN. AttemptError with the attempts left; 0 means blocked.

        ValueError, without losing an attempt, if it is no 6 to 8 digits.
        """
        command = Command(Ins.VERIFY, 0, Reference.PIN, pin_block(pin), answer_bytes=None)
        answer = self.channel.send(command)
        if not answer.ok:
            _refuse_attempt(answer.sw, Reference.PIN, "verifying the PIN")

    def pin_attempts_remaining(self) -> int | None:
        """Attempts left, 0 when blocked, None when the PIN is verified already."""
        command = Command(Ins.VERIFY, 0, Reference.PIN, answer_bytes=None)
        answer = self.channel.send(command)
        if answer.ok:
            return None
        left = attempts_remaining(answer.sw)
        if left is None:
            _refuse(answer.sw, "asking for PIN attempts")
        return left

    def forget_pin(self) -> None:
        """Take back a verified PIN, so that the next holder of the session starts without."""
        command = Command(Ins.VERIFY, 0xFF, Reference.PIN, answer_bytes=None)
        self.send("taking back the PIN", command)

    def change_pin(self, old: str, new: str) -> None:
        """Replace the PIN. AttemptError if the old one is wrong."""
        self._change(
            Ins.CHANGE_REFERENCE_DATA, Reference.PIN, Reference.PIN, pin_block(old) + pin_block(new)
        )

    def change_puk(self, old: str, new: str) -> None:
        """Replace the PUK. AttemptError if the old one is wrong."""
        self._change(
            Ins.CHANGE_REFERENCE_DATA, Reference.PUK, Reference.PUK, puk_block(old) + puk_block(new)
        )

    def unblock_pin(self, puk: str, new_pin: str) -> None:
        """Set a new PIN with the PUK. AttemptError of the PUK if it is wrong."""
        self._change(
            Ins.RESET_RETRY_COUNTER,
            Reference.PIN,
            Reference.PUK,
            puk_block(puk) + pin_block(new_pin),
        )

    def _change(self, ins: Ins, changed: Reference, proven: Reference, data: bytes) -> None:
        answer = self.channel.send(Command(ins, 0, changed, data, answer_bytes=None))
        if not answer.ok:
            _refuse_attempt(answer.sw, proven, f"changing the {changed.name}")

    def generate_key(self, slot: Slot) -> bytes:
        """Make a P-256 key pair on the card; its public point, 65 bytes, on the curve.

        Needs `authenticate_management` before.
        """
        wish = tlv.encode(
            ContainerTag.GENERATION, tlv.encode(ContainerTag.ALGORITHM, bytes([Algorithm.ECC_P256]))
        )
        answer = self.send(
            f"making a key in slot {slot:X}",
            Command(Ins.GENERATE_ASYMMETRIC_KEY_PAIR, 0, slot, wish),
        )
        try:
            point = tlv.find(
                tlv.parse(tlv.unwrap(answer.data, ContainerTag.PUBLIC_KEY)), ContainerTag.POINT
            )
            require_point(point or b"")
        except ValueError as error:
            raise MalformedAnswer(f"public key of slot {slot:X}: {error}") from None
        return point or b""

    def sign_digest(self, slot: Slot, digest: bytes) -> bytes:
        """Sign a SHA-256 digest; raw r‖s, 64 bytes, low S. ValueError unless 32 bytes.

        9A and 9C want the PIN before (9C anew each time), 9E wants nothing.
        """
        if len(digest) != DIGEST_BYTES:
            raise ValueError(f"a digest has {DIGEST_BYTES} bytes, not {len(digest)}")
        what = f"signing with slot {slot:X}"
        wish = tlv.encode(DynamicTag.RESPONSE) + tlv.encode(DynamicTag.CHALLENGE, digest)
        items = self._authenticate(what, Algorithm.ECC_P256, slot, wish)
        try:
            return raw_from_der(tlv.find(items, DynamicTag.RESPONSE) or b"")
        except ValueError as error:
            raise MalformedAnswer(f"{what}: {error}") from None

    def authenticate_management(self, host: ManagementHost) -> None:
        """Prove the management key 9B to the card, and have the card prove it to us.

        StatusError(MANAGEMENT_KEY_WRONG) if the card refuses, CardError(CARD_UNPROVEN) if the
        card's own proof is wrong; both leave the card as it was.
        """
        items = self._authenticate(
            "mutual authentication",
            host.algorithm,
            Reference.MANAGEMENT_KEY,
            tlv.encode(DynamicTag.WITNESS),
        )
        witness_ciphertext = tlv.find(items, DynamicTag.WITNESS)
        if witness_ciphertext is None or len(witness_ciphertext) != AES_BLOCK_BYTES:
            raise MalformedAnswer(f"mutual authentication: no witness of {AES_BLOCK_BYTES} bytes")
        witness, challenge = host.begin(witness_ciphertext)
        proof = tlv.encode(DynamicTag.WITNESS, witness) + tlv.encode(
            DynamicTag.CHALLENGE, challenge
        )
        try:
            items = self._authenticate(
                "mutual authentication", host.algorithm, Reference.MANAGEMENT_KEY, proof
            )
        except StatusError as error:
            raise StatusError(CardFault.MANAGEMENT_KEY_WRONG, error.sw) from None
        host.finish(tlv.find(items, DynamicTag.RESPONSE) or b"")

    def _authenticate(
        self, what: str, algorithm: Algorithm, key: int, template: bytes
    ) -> tuple[tlv.Tlv, ...]:
        data = tlv.encode(DynamicTag.TEMPLATE, template)
        answer = self.send(what, Command(Ins.GENERAL_AUTHENTICATE, algorithm, key, data))
        try:
            return tlv.parse(tlv.unwrap(answer.data, DynamicTag.TEMPLATE))
        except tlv.TlvError as error:
            raise MalformedAnswer(f"{what}: {error}") from None
