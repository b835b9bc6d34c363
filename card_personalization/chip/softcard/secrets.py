"""PIN and PUK of the software card: VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER.

SP 800-73-5 part 2 §3.2.1 to §3.2.3. An attempt is counted before the comparison, as on a real
card, so that pulling the power does not give it back.
"""

from __future__ import annotations

import hmac
from typing import Final, Literal

from card_personalization.chip.apdu import Command, Response, Sw
from card_personalization.chip.piv.objects import PIN_BYTES, PIN_DIGITS_MIN, Reference
from card_personalization.chip.softcard.session import Refused, Session
from card_personalization.chip.softcard.state import Profile, Secret

_FORGET: Final = 0xFF
_COUNTER_MAX: Final = 0xF
SecretName = Literal["pin", "puk"]


def status_of(secret: Secret) -> int:
    """63CX or 6983. X has four bits, so counters above 15 show as 15."""
    if secret.blocked:
        return Sw.AUTHENTICATION_BLOCKED
    return Sw.VERIFY_FAILED | min(secret.attempts_remaining, _COUNTER_MAX)


def _compare(session: Session, name: SecretName, offered: bytes) -> None:
    """Count an attempt and compare. Refused with the attempts left unless it is right."""
    secret: Secret = getattr(session.state, name)
    if secret.blocked:
        raise Refused(Sw.AUTHENTICATION_BLOCKED)
    session.change(**{name: secret.one_less()})
    if not hmac.compare_digest(secret.value, offered):
        if name == "pin":
            session.pin_verified = session.pin_fresh = False
        # The last wrong attempt answers 63C0; 6983 comes when no attempt is made any more.
        left = min(secret.one_less().attempts_remaining, _COUNTER_MAX)
        raise Refused(Sw.VERIFY_FAILED | left)
    session.change(**{name: secret.restored()})


def _acceptable(session: Session, value: bytes, *, digits: bool) -> bool:
    """Whether a PIN or PUK has 6 to 8 characters padded with FF; other than Yubico want digits."""
    bare = value.rstrip(b"\xff")
    if not PIN_DIGITS_MIN <= len(bare) <= PIN_BYTES or b"\xff" in bare:
        return False
    return bare.isdigit() or not (digits and session.state.profile is not Profile.YUBICO)


def _require_contacts(session: Session) -> None:
    if session.keeps_to_contacts:
        raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)


def verify(session: Session, command: Command) -> Response:
    """VERIFY (20): check the PIN, tell its state when there is no data, forget it with P1 FF."""
    if command.p2 != Reference.PIN:
        raise Refused(Sw.REFERENCE_NOT_FOUND)
    _require_contacts(session)
    if command.p1 == _FORGET and not command.data:
        session.pin_verified = session.pin_fresh = False
        return Response(b"", Sw.OK)
    if command.p1:
        raise Refused(Sw.WRONG_P1_P2)
    if not command.data:
        return Response(b"", Sw.OK if session.pin_verified else status_of(session.state.pin))
    if len(command.data) != PIN_BYTES:
        raise Refused(Sw.WRONG_DATA)
    _compare(session, "pin", command.data)
    session.pin_verified = session.pin_fresh = True
    return Response(b"", Sw.OK)


def change_reference_data(session: Session, command: Command) -> Response:
    """CHANGE REFERENCE DATA (24): a new PIN or PUK against the old one."""
    if command.p2 not in (Reference.PIN, Reference.PUK):
        raise Refused(Sw.REFERENCE_NOT_FOUND)
    _require_contacts(session)
    if command.p1:
        raise Refused(Sw.WRONG_P1_P2)
    if len(command.data) != 2 * PIN_BYTES:
        raise Refused(Sw.WRONG_DATA)
    name: SecretName = "pin" if command.p2 == Reference.PIN else "puk"
    old, new = command.data[:PIN_BYTES], command.data[PIN_BYTES:]
    _compare(session, name, old)
    if not _acceptable(session, new, digits=name == "pin"):
        raise Refused(Sw.WRONG_DATA)
    secret: Secret = getattr(session.state, name)
    session.change(**{name: secret.changed(new)})
    if name == "pin":
        session.pin_verified = session.pin_fresh = True
    return Response(b"", Sw.OK)


def reset_retry_counter(session: Session, command: Command) -> Response:
    """RESET RETRY COUNTER (2C): a new PIN against the PUK."""
    if command.p2 != Reference.PIN:
        raise Refused(Sw.REFERENCE_NOT_FOUND)
    _require_contacts(session)
    if command.p1:
        raise Refused(Sw.WRONG_P1_P2)
    if len(command.data) != 2 * PIN_BYTES:
        raise Refused(Sw.WRONG_DATA)
    puk, new_pin = command.data[:PIN_BYTES], command.data[PIN_BYTES:]
    _compare(session, "puk", puk)
    if not _acceptable(session, new_pin, digits=True):
        raise Refused(Sw.WRONG_DATA)
    session.change(pin=session.state.pin.changed(new_pin))
    return Response(b"", Sw.OK)
