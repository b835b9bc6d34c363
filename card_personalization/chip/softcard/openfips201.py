"""The applet OpenFIPS201 (1.10) as the software card plays it: what it does beyond NIST, or else.

Keys and objects exist only once PUT DATA ADMIN defined them, through a secure channel, and each
has an access mode per interface. PIN, PUK, 9B and imported keys are set by CHANGE REFERENCE DATA
with an administrative P1. Answers go out unprotected, as the applet never wraps them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from card_personalization.chip import tlv
from card_personalization.chip.apdu import Command, Ins, Response, Sw
from card_personalization.chip.ecdsa_signature import P256_ORDER
from card_personalization.chip.piv.objects import (
    PIN_BYTES,
    PIN_DIGITS_MIN,
    Algorithm,
    ContainerTag,
    Discovery,
    Reference,
    Tag,
)
from card_personalization.chip.softcard import data_objects, keys, secrets
from card_personalization.chip.softcard.session import Interface, Refused, Session
from card_personalization.chip.softcard.state import (
    OBJECT_LIMIT_BYTES,
    Definition,
    Origin,
    PinPolicy,
    Platform,
    PrivateKey,
    Secret,
)

VERSION: Final = (1, 10, 2)
LABEL: Final = b"OpenFIPS201"
ADMINISTRATIVE_P1: Final = 0xFF
NEVER, PIN, PIN_EACH_TIME, ALWAYS = 0x00, 0x01, 0x02, 0x7F
IMPORTABLE: Final = 0x10
PERMIT_MUTUAL: Final = 0x08
ATTEMPTS_MAX: Final = 15
# The applet keeps a whole administrative command in this many bytes.
SCRATCH_BYTES: Final = 284

OBJECT_EXISTS: Final = 0x6E27
_OPERATION_UNKNOWN: Final = 0x6E14
_FIELD_MISSING: Final = {
    0x8B: 0x6E15,
    0x8C: 0x6E17,
    0x8D: 0x6E1A,
    0x8E: 0x6E1E,
    0x8F: 0x6E20,
    0x90: 0x6E22,
}
_CONFIG_VALUE: Final = 0x6E26
_VERSION_OBJECT, _STATUS_OBJECT = 0x2F4756, 0x2F4753
_BULK: Final = 0x6A
_POLICY_FIELDS: Final = {
    (0xA0, 0x83): "pin_contactless",
    (0xA0, 0x86): "pin_contact_attempts",
    (0xA0, 0x87): "pin_contactless_attempts",
    (0xA1, 0x81): "puk_contactless",
    (0xA1, 0x83): "puk_contact_attempts",
    (0xA1, 0x84): "puk_contactless_attempts",
    (0xA4, 0x81): "contactless_admin_refused",
}
_CODES: Final = {int(Reference.PIN): "pin", int(Reference.PUK): "puk"}
_SUPPORTED: Final = frozenset(int(algorithm) for algorithm in Algorithm)
_SYMMETRIC: Final = _SUPPORTED - {int(Algorithm.ECC_P256)}


def platform_of(session: Session) -> Platform:
    """The Java card underneath."""
    platform = session.state.platform
    if platform is None:
        raise Refused(Sw.CONDITIONS_NOT_SATISFIED)
    return platform


def property_template() -> bytes:
    """What SELECT answers: NIST's property template with the applet's label (tag 50)."""
    authority = tlv.encode(0x79, tlv.encode(0x4F, bytes.fromhex("A000000308")))
    name = tlv.encode(0x4F, bytes.fromhex("A000000308000010000100"))
    return tlv.encode(0x61, name + authority + tlv.encode(0x50, LABEL))


def apply_attempts(session: Session) -> None:
    """What SELECT does: bring the attempts of PIN and PUK to what was configured."""
    policy = platform_of(session).policy
    for name in ("pin", "puk"):
        limit = policy[f"{name}_contact_attempts"]
        secret: Secret = getattr(session.state, name)
        if secret.attempts_total != limit:
            used = secret.attempts_total - secret.attempts_remaining
            session.change(**{name: Secret(secret.value, limit, max(0, limit - used))})


def _contactless(session: Session) -> bool:
    return session.interface is Interface.CONTACTLESS


def require_administration(session: Session) -> None:
    """Refuse administration where the configuration keeps it to contacts."""
    if _contactless(session) and platform_of(session).policy["contactless_admin_refused"]:
        raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)


def _mode(session: Session, definition: Definition) -> int:
    return definition.contactless if _contactless(session) else definition.contact


def _require_access(session: Session, definition: Definition) -> None:
    mode = _mode(session, definition)
    satisfied = {
        ALWAYS: True,
        PIN: session.pin_verified,
        PIN_EACH_TIME: session.pin_fresh,
    }
    if not satisfied.get(mode, False):
        raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)


def get_data(session: Session, command: Command) -> Response:
    """GET DATA: defined objects by their access mode; with P2 00 version (GV) and status (GS)."""
    if command.p1 != 0x3F or command.p2 not in (0xFF, 0x00):
        raise Refused(Sw.WRONG_P1_P2)
    tag = data_objects.named_tag(keys.parse(command.data))
    if command.p2 == 0x00:
        return _extended(session, tag)
    definition = platform_of(session).objects.get(tag)
    if definition is None:
        raise Refused(Sw.NOT_FOUND)
    _require_access(session, definition)
    if tag == Tag.DISCOVERY:
        return Response(Discovery(0x4010).encode(), Sw.OK)
    content = session.state.objects.get(tag)
    if content is None:
        raise Refused(Sw.NOT_FOUND)
    return Response(tlv.encode(ContainerTag.OBJECT, content), Sw.OK)


def _extended(session: Session, tag: int) -> Response:
    if tag == _VERSION_OBJECT:
        major, minor, revision = VERSION
        parts = [LABEL, bytes([major]), bytes([minor]), bytes([revision]), b"\x00"]
    elif tag == _STATUS_OBJECT:
        # The applet tells its own state as 0 whatever it is, and no secure messaging but SCP.
        parts = [b"\x00", bytes([session.pin_verified]), bytes([session.pin_fresh]), b"\x00"]
        parts += [b"\x00", bytes([session.secured]), bytes([_contactless(session)]), b"\x00"]
    else:
        raise Refused(Sw.NOT_FOUND)
    told = b"".join(tlv.encode(0x80 + number, part) for number, part in enumerate(parts))
    return Response(tlv.encode(ContainerTag.OBJECT, told), Sw.OK)


def put_data(session: Session, command: Command) -> Response:
    """PUT DATA: a defined object; with P2 00 definitions and configuration (PUT DATA ADMIN)."""
    require_administration(session)
    if command.p2 == 0x00 and command.p1 == 0x3F:
        return _put_data_admin(session, command)
    items = keys.parse(command.data)
    if data_objects.named_tag(items) not in platform_of(session).objects:
        raise Refused(Sw.NOT_FOUND)
    return data_objects.put_data(session, command)


def write_part(session: Session, command: Command, begun: bytes) -> None:
    """What the applet does with the links of a long object: it writes them as they come.

    The object has its full length from the first link on, zeros where nothing came yet; whoever
    breaks the chain off leaves it so.
    """
    if command.p2 != 0xFF or not session.may_administer:
        return
    tag, content_at, length = _long_object(begun)
    if tag not in platform_of(session).objects or length > OBJECT_LIMIT_BYTES:
        return
    content = begun[content_at:].ljust(length, b"\x00")
    session.change_within_memory(objects={**session.state.objects, tag: content})


def _long_object(begun: bytes) -> tuple[int, int, int]:
    """Tag of the object whose writing began so, where its content begins, and how long it is."""
    tag_end = 2 + begun[1] if len(begun) > 1 else 0
    head = begun[tag_end : tag_end + 4]
    if begun[:1] != b"\x5c" or len(head) < 4 or head[0] != ContainerTag.OBJECT:
        return 0, 0, 0
    count = head[1] & 0x7F if head[1] & 0x80 else 0
    length = int.from_bytes(head[2 : 2 + count], "big") if count else head[1]
    return int.from_bytes(begun[2:tag_end], "big"), tag_end + 2 + count, length


def _put_data_admin(session: Session, command: Command) -> Response:
    if not session.secured:
        raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)
    if len(command.data) > SCRATCH_BYTES:
        raise Refused(Sw.WRONG_LENGTH)
    requests = keys.parse(command.data)
    if len(requests) == 1 and requests[0].tag == _BULK:
        requests = keys.parse(requests[0].value)
    for request in requests:
        # What came before a refused request stays: the applet commits them one by one.
        fields = keys.parse(request.value)
        carry_out = _REQUESTS.get(request.tag)
        if carry_out is None:
            raise Refused(_OPERATION_UNKNOWN)
        carry_out(session, fields)
    return Response(b"", Sw.OK)


def _field(items: tuple[tlv.Tlv, ...], tag: int) -> bytes:
    value = tlv.find(items, tag)
    if value is None:
        raise Refused(_FIELD_MISSING[tag])
    if len(value) != 1 and tag != 0x8B:
        raise Refused(_FIELD_MISSING[tag] + 1)
    return value


def _create_object(session: Session, fields: tuple[tlv.Tlv, ...]) -> None:
    identifier = _field(fields, 0x8B)
    definition = Definition(_field(fields, 0x8C)[0], _field(fields, 0x8D)[0])
    platform, tag = platform_of(session), int.from_bytes(identifier, "big")
    if tag in platform.objects:
        raise Refused(OBJECT_EXISTS)
    _keep(session, objects={**platform.objects, tag: definition})


def _create_key(session: Session, fields: tuple[tlv.Tlv, ...]) -> None:
    identifier = _field(fields, 0x8B)
    contact, contactless = _field(fields, 0x8C)[0], _field(fields, 0x8D)[0]
    mechanism = _field(fields, 0x8E)[0]
    role, attributes = _field(fields, 0x8F)[0], _field(fields, 0x90)[0]
    if mechanism not in _SUPPORTED:
        raise Refused(Sw.FUNCTION_UNSUPPORTED)
    if mechanism in _SYMMETRIC and not attributes & IMPORTABLE:
        raise Refused(Sw.WRONG_DATA)
    platform, number = platform_of(session), identifier[-1] << 8 | mechanism
    if number in platform.keys:
        raise Refused(OBJECT_EXISTS)
    definition = Definition(contact, contactless, role, attributes)
    _keep(session, keys={**platform.keys, number: definition})


def _configure(session: Session, groups: tuple[tlv.Tlv, ...]) -> None:
    policy = dict(platform_of(session).policy)
    for group in groups:
        for item in keys.parse(group.value):
            name = _POLICY_FIELDS.get((group.tag, item.tag))
            if name is None:
                continue
            if len(item.value) != 1 or (
                name.endswith("_attempts") and not 1 <= item.value[0] <= ATTEMPTS_MAX
            ):
                raise Refused(_CONFIG_VALUE)
            policy[name] = item.value[0]
    for code in ("pin", "puk"):
        if policy[f"{code}_contactless_attempts"] > policy[f"{code}_contact_attempts"]:
            raise Refused(_CONFIG_VALUE)
    _keep(session, policy=policy)


def _keep(session: Session, **fields: object) -> None:
    changed = msgspec.structs.replace(platform_of(session), **fields)
    session.change_within_memory(platform=changed)


_REQUESTS: Final[dict[int, Callable[[Session, tuple[tlv.Tlv, ...]], None]]] = {
    0x64: _create_object,
    0x66: _create_key,
    0x68: _configure,
}


def _well_formed(pin: bytes) -> bool:
    bare = pin.rstrip(b"\xff")
    return len(pin) == PIN_BYTES and len(bare) >= PIN_DIGITS_MIN and bare.isdigit()


def _require_code_access(session: Session, name: str) -> None:
    if not _contactless(session):
        return
    policy = platform_of(session).policy
    kept_back = policy[f"{name}_contact_attempts"] - policy[f"{name}_contactless_attempts"]
    secret: Secret = getattr(session.state, name)
    if not policy[f"{name}_contactless"]:
        raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)
    if secret.attempts_remaining <= kept_back:
        raise Refused(Sw.AUTHENTICATION_BLOCKED)


def _blocked_at_once(
    run: Callable[[Session, Command], Response], session: Session, command: Command
) -> Response:
    """The applet answers the last wrong attempt with 6983, where NIST's cards say 63C0."""
    try:
        return run(session, command)
    except Refused as refusal:
        raise Refused(
            Sw.AUTHENTICATION_BLOCKED if refusal.sw == Sw.VERIFY_FAILED else refusal.sw
        ) from None


def verify(session: Session, command: Command) -> Response:
    """VERIFY: a malformed PIN costs no attempt; by contactless only where configured."""
    _require_code_access(session, "pin")
    if command.p1 == 0 and command.data and not _well_formed(command.data):
        raise Refused(Sw.WRONG_DATA)
    return _blocked_at_once(secrets.verify, session, command)


def change_reference_data(session: Session, command: Command) -> Response:
    """CHANGE REFERENCE DATA: NIST's, and the administrative form through a secure channel."""
    code = _CODES.get(command.p2)
    if code is not None and command.p1 != ADMINISTRATIVE_P1:
        _require_code_access(session, code)
        return _blocked_at_once(secrets.change_reference_data, session, command)
    require_administration(session)
    if not session.secured:
        raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)
    if code is None:
        _set_key(session, command)
        return Response(b"", Sw.OK)
    if len(command.data) != PIN_BYTES or (code == "pin" and not _well_formed(command.data)):
        raise Refused(Sw.WRONG_DATA)
    secret: Secret = getattr(session.state, code)
    session.change(**{code: secret.changed(command.data)})
    session.pin_verified = session.pin_fresh = False
    return Response(b"", Sw.OK)


def _set_key(session: Session, command: Command) -> None:
    definition = platform_of(session).keys.get(command.p2 << 8 | command.p1)
    if definition is None:
        raise Refused(Sw.REFERENCE_NOT_FOUND)
    if not definition.attributes & IMPORTABLE:
        raise Refused(Sw.SECURITY_STATUS_NOT_SATISFIED)
    elements = keys.parse(command.data)
    if len(elements) != 1 or elements[0].tag != 0x30:
        raise Refused(Sw.WRONG_DATA)
    inner = keys.parse(elements[0].value)
    algorithm = Algorithm(command.p1)
    if not inner:
        raise Refused(Sw.WRONG_DATA)
    if algorithm is Algorithm.ECC_P256:
        _set_private_key(session, command.p2, definition, inner[0])
        return
    if inner[0].tag != 0x80 or len(inner[0].value) != algorithm.key_bytes:
        raise Refused(Sw.WRONG_DATA)
    session.change(management_key=inner[0].value, management_algorithm=algorithm)
    session.management_proven = False


def _set_private_key(session: Session, slot: int, definition: Definition, part: tlv.Tlv) -> None:
    """Take the secret (87); the point (86) is checked for its form and reckoned anew here."""
    if part.tag == 0x86:
        if len(part.value) != 65 or part.value[0] != 0x04:
            raise Refused(Sw.WRONG_DATA)
        return
    number = int.from_bytes(part.value, "big")
    if part.tag != 0x87 or len(part.value) != 32 or not 0 < number < P256_ORDER:
        raise Refused(Sw.WRONG_DATA)
    keys.store_key(session, slot, PrivateKey(part.value, _policy(definition), Origin.IMPORTED))


def _policy(definition: Definition) -> PinPolicy:
    known = {ALWAYS: PinPolicy.NEVER, PIN_EACH_TIME: PinPolicy.ALWAYS}
    return known.get(definition.contact, PinPolicy.ONCE)


def generate(session: Session, command: Command) -> Response:
    """GENERATE ASYMMETRIC KEY PAIR: into a defined key only."""
    wish = keys.parse(tlv.find(keys.parse(command.data), ContainerTag.GENERATION) or b"")
    mechanism = tlv.find(wish, ContainerTag.ALGORITHM) or b""
    defined = platform_of(session).keys
    if command.p2 not in {number >> 8 for number in defined}:
        raise Refused(Sw.WRONG_P1_P2)
    definition = defined.get(command.p2 << 8 | int.from_bytes(mechanism, "big"))
    if definition is None or mechanism != bytes([Algorithm.ECC_P256]):
        raise Refused(Sw.WRONG_DATA)
    answer = keys.generate(session, command)
    made = session.state.keys[command.p2]
    policed = msgspec.structs.replace(made, pin_policy=_policy(definition))
    keys.store_key(session, command.p2, policed)
    return answer


def general_authenticate(session: Session, command: Command) -> Response:
    """GENERAL AUTHENTICATE: with a defined key that holds a value, by its access mode."""
    definition = platform_of(session).keys.get(command.p2 << 8 | command.p1)
    if definition is None:
        raise Refused(Sw.WRONG_P1_P2)
    _require_access(session, definition)
    state = session.state
    held = (
        bool(state.management_key) and command.p1 == state.management_algorithm
        if command.p2 == Reference.MANAGEMENT_KEY
        else command.p2 in state.keys
    )
    if not held:
        raise Refused(Sw.WRONG_P1_P2)
    return keys.general_authenticate(session, command)


COMMANDS: Final[dict[int, Callable[[Session, Command], Response]]] = {
    Ins.VERIFY: verify,
    Ins.CHANGE_REFERENCE_DATA: change_reference_data,
    Ins.RESET_RETRY_COUNTER: secrets.reset_retry_counter,
    Ins.GENERATE_ASYMMETRIC_KEY_PAIR: generate,
    Ins.GENERAL_AUTHENTICATE: general_authenticate,
    Ins.GET_DATA: get_data,
    Ins.PUT_DATA: put_data,
}
