"""The software card: a PIV card as a pure state machine, bytes in and bytes out, no I/O.

`SoftCard.transmit` takes any bytes and always answers with at least a status word. `changes` rises
with every change of the lasting state, so that whoever holds the card knows when to save it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from card_personalization.chip import tlv
from card_personalization.chip.apdu import (
    CHAINING_BIT,
    SHORT_ANSWER_BYTES,
    ApduError,
    Command,
    Ins,
    Response,
    Sw,
    decode_command,
)
from card_personalization.chip.piv.objects import PIV_AID
from card_personalization.chip.softcard import data_objects, keys, openfips201, secrets, vendor
from card_personalization.chip.softcard.java_card import JavaCard
from card_personalization.chip.softcard.session import (
    Interface,
    RandomBytes,
    Refused,
    Session,
)
from card_personalization.chip.softcard.signing import DigestSigner, sign_with_ecdsa
from card_personalization.chip.softcard.state import (
    CardState,
    Profile,
    decode_state,
    encode_state,
    factory_state,
)

# The largest object, its wrapper and its tag list, with room to spare for refusing longer ones.
COMMAND_DATA_LIMIT_BYTES: Final = 4_096
_AID_BYTES_MIN: Final = 5
_HISTORICAL: Final = b"spk PIV card"
_SECURE_MESSAGING_BITS: Final = 0x0C
_CHANNEL_BITS: Final = 0x03
# GlobalPlatform's own class, and its secure messaging, on cards that have it.
_PLATFORM_BITS: Final = 0x84

_NIST_COMMANDS: Final[dict[int, Callable[[Session, Command], Response]]] = {
    Ins.VERIFY: secrets.verify,
    Ins.CHANGE_REFERENCE_DATA: secrets.change_reference_data,
    Ins.RESET_RETRY_COUNTER: secrets.reset_retry_counter,
    Ins.GENERATE_ASYMMETRIC_KEY_PAIR: keys.generate,
    Ins.GENERAL_AUTHENTICATE: keys.general_authenticate,
    Ins.GET_DATA: data_objects.get_data,
    Ins.PUT_DATA: data_objects.put_data,
}


def _atr(interface: Interface) -> bytes:
    """The answer to reset: T=1 by contacts; as PC/SC part 3 shapes it for contactless cards."""
    protocols = b"\x01" if interface is Interface.CONTACT else b"\x80\x01"
    body = bytes([0x80 | len(_HISTORICAL)]) + protocols + _HISTORICAL
    check = 0
    for byte in body:
        check ^= byte
    return b"\x3b" + body + bytes([check])


class SoftCard:
    """One card. `interface` is how it lies at the reader; `signer` and `random_bytes` for tests."""

    def __init__(
        self,
        state: CardState | None = None,
        *,
        interface: Interface = Interface.CONTACT,
        signer: DigestSigner = sign_with_ecdsa,
        random_bytes: RandomBytes = os.urandom,
    ) -> None:
        initial = factory_state() if state is None else state
        self._session = Session(initial, interface, signer, random_bytes)
        platform = initial.platform
        self._java_card = None if platform is None else JavaCard(self._session)
        self._chain = bytearray()
        self._chain_secured = True
        self._chain_head: tuple[int, int, int] | None = None
        self._waiting = b""
        self.changes = 0

    @property
    def state(self) -> CardState:
        """What would survive loss of power now."""
        return self._session.state

    def to_state(self) -> bytes:
        """The bytes of the card's file."""
        return encode_state(self._session.state)

    @classmethod
    def from_state(cls, file: bytes, *, interface: Interface = Interface.CONTACT) -> SoftCard:
        """A card from its file. CardFileDamaged saying what is wrong."""
        return cls(decode_state(file), interface=interface)

    @property
    def atr(self) -> bytes:
        """The answer to reset, without resetting."""
        return _atr(self._session.interface)

    def power_on(self) -> bytes:
        """Power up; the answer to reset."""
        return self.reset()

    def power_off(self) -> None:
        """Forget everything that needs power."""
        self._session.forget()
        if self._java_card is not None:
            self._java_card.forget()
        self._drop_exchange()

    def reset(self) -> bytes:
        """Forget PIN, 9B and half-made exchanges; the answer to reset."""
        self.power_off()
        return _atr(self._session.interface)

    def transmit(self, apdu: bytes) -> bytes:
        """Answer one command APDU. Any bytes get an answer of at least two bytes."""
        before = self._session.state
        try:
            answer = self._answer(decode_command(apdu))
        except ApduError:
            self._drop_exchange()
            answer = Response(b"", Sw.WRONG_LENGTH)
        except Refused as refusal:
            answer = Response(b"", refusal.sw)
        if self._session.state is not before:
            self.changes += 1
        return answer.encode()

    def _drop_exchange(self) -> None:
        self._chain.clear()
        self._chain_head = None
        self._waiting = b""

    def _answer(self, command: Command) -> Response:
        if command.ins == Ins.GET_RESPONSE:
            return self._portion(self._waiting, command) if self._waiting else self._nothing_waits()
        self._waiting = b""
        if self._java_card is None:
            self._check_class(command.cla)
        else:
            self._check_class(command.cla & ~_PLATFORM_BITS)
            command = self._java_card.uncover(command)
        whole = self._gather(command)
        if whole is None:
            if self._java_card is not None and command.ins == Ins.PUT_DATA:
                openfips201.write_part(self._session, command, bytes(self._chain))
            return Response(b"", Sw.OK)
        answer = self._execute(whole)
        if self._java_card is not None:
            answer = self._java_card.cover(answer)
        return self._portion(answer.data, command) if answer.data else answer

    def _nothing_waits(self) -> Response:
        return Response(b"", Sw.CONDITIONS_NOT_SATISFIED)

    def _check_class(self, cla: int) -> None:
        """CLA of the first interindustry range without channels or secure messaging (7816-4)."""
        if cla & ~(CHAINING_BIT | _SECURE_MESSAGING_BITS | _CHANNEL_BITS):
            raise Refused(Sw.CLASS_UNSUPPORTED)
        if cla & _SECURE_MESSAGING_BITS:
            raise Refused(Sw.SECURE_MESSAGING_UNSUPPORTED)
        if cla & _CHANNEL_BITS:
            raise Refused(Sw.LOGICAL_CHANNEL_UNSUPPORTED)

    def _gather(self, command: Command) -> Command | None:
        """The whole command, or None while links of a chain are still to come.

        A command that does not continue the chain starts anew: 7816-4 lets the host give up.
        """
        head = (command.ins, command.p1, command.p2)
        if self._chain_head != head:
            self._chain.clear()
            self._chain_head = None
        if len(self._chain) + len(command.data) > COMMAND_DATA_LIMIT_BYTES:
            self._drop_exchange()
            raise Refused(Sw.NO_SPACE)
        if command.cla & CHAINING_BIT:
            self._chain += command.data
            self._chain_secured = self._session.secured and (
                self._chain_secured or self._chain_head is None
            )
            self._chain_head = head
            return None
        if self._chain_head is not None:
            # A chain is as protected as its least protected link.
            self._session.secured = self._session.secured and self._chain_secured
        data = bytes(self._chain) + command.data
        self._chain.clear()
        self._chain_head = None
        return Command(*head, data, command.answer_bytes, 0, command.extended)

    def _portion(self, data: bytes, command: Command) -> Response:
        """As much as the command asked for; the rest waits for GET RESPONSE (61XX)."""
        # A missing Le means 256 here: old tools leave it out of commands that have data.
        portion_bytes = command.answer_bytes or SHORT_ANSWER_BYTES
        portion, self._waiting = data[:portion_bytes], data[portion_bytes:]
        if not self._waiting:
            return Response(portion, Sw.OK)
        return Response(portion, 0x6100 | (min(len(self._waiting), SHORT_ANSWER_BYTES) & 0xFF))

    def _execute(self, command: Command) -> Response:
        if command.ins == Ins.SELECT:
            return self._select(command)
        java_card = self._java_card
        if java_card is not None and java_card.takes(command):
            return java_card.run(command)
        known = _NIST_COMMANDS if java_card is None else openfips201.COMMANDS
        handler = known.get(command.ins)
        if handler is None and self._session.state.profile is Profile.YUBICO:
            handler = vendor.COMMANDS.get(command.ins)
        if handler is None:
            raise Refused(Sw.INSTRUCTION_UNSUPPORTED)
        if not self._session.selected:
            raise Refused(Sw.CONDITIONS_NOT_SATISFIED)
        if command.ins not in (Ins.VERIFY, Ins.GENERAL_AUTHENTICATE):
            # "PIN always" means immediately before: anything in between takes it back.
            self._session.pin_fresh = False
        return handler(self._session, command)

    def _select(self, command: Command) -> Response:
        """SELECT by name, whole or cut from the right (SP 800-73-5 part 2 §3.1.1).

        Selecting PIV again keeps PIN and 9B as they are, as NIST asks; so does naming another
        application, which is not here.
        """
        if command.p1 != 0x04 or command.p2 not in (0x00, 0x0C):
            raise Refused(Sw.WRONG_P1_P2)
        aid = command.data
        if self._java_card is not None:
            return self._java_card.select(aid)
        if len(aid) < _AID_BYTES_MIN or not PIV_AID.startswith(aid):
            raise Refused(Sw.NOT_FOUND)
        self._session.selected = True
        authority = tlv.encode(0x79, tlv.encode(0x4F, PIV_AID[:_AID_BYTES_MIN]))
        template = tlv.encode(0x4F, PIV_AID[_AID_BYTES_MIN:]) + authority
        return Response(tlv.encode(0x61, template), Sw.OK)
