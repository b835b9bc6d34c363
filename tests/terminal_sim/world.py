"""A small region for the terminal's tests: keys, a terminal, cards, and decisions with receipts."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from card_personalization.chip.chaining import open_channel
from card_personalization.chip.ecdsa_signature import public_key_from_point
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.management import LocalManagementKey
from card_personalization.chip.piv.objects import Algorithm, Chuid, Slot
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.drawer import Drawer
from card_personalization.chip.softcard.state import FACTORY_MANAGEMENT_KEY, factory_state
from card_personalization.chip.transport.inprocess import InProcessTransport
from processing.wire.digest import request_digest
from processing.wire.merkle import leaf_hash
from processing.wire.outcome import Outcome
from processing.wire.parameter_file import (
    ItemParameters,
    ParameterFile,
    RefusalWords,
    ServiceParameters,
)
from processing.wire.receipt import Receipt, block_statement, decision_bytes, key_id_of
from processing.wire.transaction import (
    Answer,
    DecidedLine,
    Decision,
    Kind,
    Line,
    Request,
    Right,
)
from terminal_sim.state import TerminalState
from terminal_sim.terminal import CardIdentity, Terminal, opened

NOW_MS = 1_772_695_800_000
"""2026-03-05 07:30 UTC, 12:30 in Yekaterinburg."""

TODAY = date(2026, 3, 5)
PIN = "123456"
GUID = bytes(range(0x40, 0x50))
CARD_NUMBER = "9643909900000000019"
MOTHER = UUID("0195a1b2-0000-7000-8000-0000000000a1").bytes
HOUSEHOLD = UUID("0195a1b2-0000-7000-8000-0000000000b2").bytes
CHILD = UUID("0195a1b2-0000-7000-8000-0000000000c3").bytes

CA_KEY = ec.derive_private_key(1001, ec.SECP256R1())
RECEIPT_KEY = ec.derive_private_key(1002, ec.SECP256R1())
OTHER_KEY = ec.derive_private_key(1003, ec.SECP256R1())
MAC_KEY = bytes(range(16))
EXCHANGE_KEY = bytes(range(100, 132))
EXPIRES = {"expires": "2026-03-08T07:30:00Z"}
"""What an approved reserve is told: three days after `NOW_MS`."""

CHALLENGE = bytes(range(0xC0, 0xD0))
BEGUN = {"challenge": CHALLENGE.hex(), "expires": "2026-03-05T15:30:00Z"}
"""What an approved start is told: it may last eight hours from `NOW_MS`."""

VALID_FROM = datetime(2026, 1, 1, tzinfo=UTC)
VALID_TO = datetime(2031, 1, 1, tzinfo=UTC)


def point_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The uncompressed public point of a key."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def ca_certificate(key: ec.EllipticCurvePrivateKey = CA_KEY) -> x509.Certificate:
    """The issuing CA's own certificate."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "spk issuing CA")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.public_key(key.public_key())
    builder = builder.not_valid_before(VALID_FROM).not_valid_after(VALID_TO)
    return builder.sign(key, hashes.SHA256())


SERVICES = (
    ServiceParameters(
        service="MEDICINE",
        version=1,
        name_ru="Льготные лекарства",
        name_en="Subsidised medicines",
        evidence=1,
        consumes=1,
        shortage=1,
        reserve_minutes=3 * 24 * 60,
    ),
    ServiceParameters(
        service="OMS.VISIT",
        version=1,
        name_ru="Посещение по ОМС",
        name_en="Clinic visit under health insurance",
        evidence=1,
        consumes=3,
        shortage=1,
        reserve_minutes=240,
        visit=1,
    ),
    ServiceParameters(
        service="HOME.SERVICE",
        version=1,
        name_ru="Социальное обслуживание на дому",
        name_en="Social service at home",
        evidence=1,
        consumes=1,
        shortage=1,
        reserve_minutes=480,
        visit=2,
        refusals=(
            RefusalWords(
                outcome=int(Outcome.ALLOWANCE_EXHAUSTED),
                text_ru="Минут по плану на этот месяц не хватает",
                text_en="The plan has not enough minutes left for this month",
                remedy_ru="Начните с меньшим временем",
                remedy_en="Start with less time",
            ),
        ),
    ),
    ServiceParameters(
        service="UTILITY",
        version=2,
        name_ru="Льгота на коммунальные услуги",
        name_en="Utility benefit",
        evidence=1,
        consumes=1,
        shortage=2,
    ),
    ServiceParameters(
        service="CERTIFICATE",
        version=1,
        name_ru="Оплата социальным сертификатом",
        name_en="Payment by social certificate",
        evidence=2,
        consumes=2,
        shortage=2,
    ),
)


def item(
    code: str, item_class: str, unit_okei: int, scale: int, ru: str, en: str
) -> ItemParameters:
    """One item of the terminal."""
    return ItemParameters(
        item=code, item_class=item_class, unit_okei=unit_okei, scale=scale, name_ru=ru, name_en=en
    )


ITEMS = (
    item(
        "ENALAPRIL-10-20",
        "ENALAPRIL",
        778,
        0,
        "Эналаприл, таблетки 10 мг, 20 шт.",
        "Enalapril, 10 mg tablets, pack of 20",
    ),
    item(
        "METFORMIN-850-60",
        "METFORMIN",
        778,
        0,
        "Метформин, таблетки 850 мг, 60 шт.",
        "Metformin, 850 mg tablets, pack of 60",
    ),
    item(
        "B01.047.001",
        "OMS.VISIT",
        642,
        0,
        "Приём врача-терапевта первичный",
        "First visit to a general practitioner",
    ),
    item("WATER.COLD", "WATER.COLD", 113, 3, "Холодная вода", "Cold water"),
    item("HOME.CLEANING", "HOME.CARE", 355, 0, "Уборка жилья, минута", "Cleaning, minute"),
    item("HOME.HYGIENE", "HOME.CARE", 355, 0, "Гигиена, минута", "Hygiene, minute"),
    item("CERT-WHEELCHAIR", "CERT", 796, 0, "Кресло-коляска", "Wheelchair"),
)


def parameters(port: int = 1, **changes: object) -> ParameterFile:
    """The terminal's parameter file, with a centre on this port of the machine itself."""
    file = ParameterFile(
        terminal_id="AP000001",
        provider_code="APTEKA-1",
        provider_name_ru="Аптека № 1 «Здоровье», г. Заречный, ул. Мира, 4",
        provider_name_en="Pharmacy No. 1 Zdorovye, Zarechny, Mira Street 4",
        region=99,
        time_zone="Asia/Yekaterinburg",
        centre_host="127.0.0.1",
        centre_port=port,
        key_generation=1,
        mac_key=MAC_KEY,
        exchange_key=EXCHANGE_KEY,
        receipt_keys=(point_of(RECEIPT_KEY),),
        issuing_cas=(ca_certificate().public_bytes(Encoding.DER),),
        services=SERVICES,
        items=ITEMS,
    )
    return msgspec.structs.replace(file, **changes)


def terminal(file: ParameterFile | None = None) -> Terminal:
    """A terminal that was just opened."""
    known = file or parameters()
    state = TerminalState()
    state.apply(opened(0, known, NOW_MS))
    return Terminal(known, state, lambda count: b"\x07" * count)


CARD = CardIdentity(GUID, 99, CARD_NUMBER)
TWO_PACKS = Line("ENALAPRIL-10-20", 2, 778, 0, 29_100)


def sale(of: Terminal, *lines: Line, signed_at_ms: int = NOW_MS, offline: bool = False) -> Request:
    """A sale with a signature's shape; only the centre would check what is in it."""
    unsigned = of.sale(
        CARD, MOTHER, "MEDICINE", 1, lines or (TWO_PACKS,), signed_at_ms, offline=offline
    )
    return msgspec.structs.replace(unsigned, signature=b"\x05" * 64)


def reserve(of: Terminal, *lines: Line, offline: bool = False) -> Request:
    """A reservation with a signature's shape."""
    unsigned = of.sale(
        CARD,
        MOTHER,
        "MEDICINE",
        1,
        lines or (TWO_PACKS,),
        NOW_MS,
        offline=offline,
        kind=Kind.RESERVE,
    )
    return msgspec.structs.replace(unsigned, signature=b"\x05" * 64)


def goods_return(of: Terminal, sold: Request, *lines: Line) -> Request:
    """A return with a signature's shape."""
    unsigned = of.goods_return(CARD, sold, lines or sold.lines, NOW_MS)
    return msgspec.structs.replace(unsigned, signature=b"\x05" * 64)


def right(
    holder_id: bytes, service: str, item_class: str, remaining: int, **changes: object
) -> Right:
    """One right as an inquiry shows it."""
    one = Right(
        holder_id=holder_id,
        service=service,
        service_version=1,
        item_class=item_class,
        unit_okei=778,
        scale=0,
        granted=3,
        remaining=remaining,
        percent=100,
        valid_to=date(2026, 4, 30),
    )
    return msgspec.structs.replace(one, **changes)


FAMILY_RIGHTS = (
    right(MOTHER, "MEDICINE", "ENALAPRIL", 3),
    right(CHILD, "MEDICINE", "METFORMIN", 2, percent=50),
    right(
        HOUSEHOLD,
        "UTILITY",
        "WATER.COLD",
        20_650,
        service_version=2,
        unit_okei=113,
        scale=3,
        granted=20_650,
        percent=50,
    ),
    right(MOTHER, "OMS.VISIT", "OMS.VISIT", 5, unit_okei=642, granted=12),
    right(MOTHER, "CERTIFICATE", "CERT", 1_500_000, unit_okei=383, scale=2, granted=1_500_000),
)


def decision(request: Request, outcome: Outcome, ordinal: int = 0, covered: int = 100) -> Decision:
    """What a centre would decide; `covered` is the covered share in per cent."""
    lines: tuple[DecidedLine, ...] = ()
    if outcome.approved and request.kind is not Kind.REVERSAL:
        shares = ((x.gross_kopecks * covered + 50) // 100 for x in request.lines)
        pairs = zip(shares, request.lines, strict=True)
        lines = tuple(DecidedLine(share, line.gross_kopecks - share) for share, line in pairs)
    return Decision(
        request_digest=request_digest(request),
        outcome=outcome,
        approval_code="104729" if outcome.approved else "",
        posting_date=TODAY,
        decided_at_ms=NOW_MS + 40,
        lane=1,
        block=345,
        ordinal=ordinal,
        lines=lines,
    )


def receipt(of: Decision, key: ec.EllipticCurvePrivateKey = RECEIPT_KEY) -> bytes:
    """The receipt of a decision that is alone in its block."""
    root = leaf_hash(decision_bytes(of))
    key_id = key_id_of(point_of(key))
    statement = block_statement(key_id, of.lane, of.block, 1, of.decided_at_ms, root)
    r, s = utils.decode_dss_signature(key.sign(statement, ec.ECDSA(hashes.SHA256())))
    return Receipt(
        key_id=key_id,
        lane=of.lane,
        block=of.block,
        ordinal=of.ordinal,
        leaf_count=1,
        signed_at_ms=of.decided_at_ms,
        root=root,
        signature=r.to_bytes(32) + s.to_bytes(32),
    ).encode()


def answer(
    request: Request,
    outcome: Outcome = Outcome.APPROVED,
    covered: int = 100,
    facts: dict[str, str] | None = None,
    rights: tuple[Right, ...] = (),
) -> Answer:
    """A sound answer to a request."""
    if not outcome.decided or outcome in (Outcome.KEY_REUSED, Outcome.REVERSED_BEFORE):
        return Answer(outcome=outcome, key=request.key, facts=facts or {})
    decided = decision(request, outcome, covered=covered)
    return Answer(
        outcome=outcome,
        key=request.key,
        decision=decided,
        facts=facts or {},
        rights=rights,
        receipt=receipt(decided),
    )


def card_certificate(
    point: bytes,
    *,
    guid: bytes = GUID,
    number: str = CARD_NUMBER,
    ca_key: ec.EllipticCurvePrivateKey = CA_KEY,
    valid_to: datetime = VALID_TO,
) -> bytes:
    """A card's certificate as the HSM issues it, or one that is wrong in one thing."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, number)]))
        .issuer_name(ca_certificate().subject)
        .public_key(public_key_from_point(point))
        .serial_number(x509.random_serial_number())
        .not_valid_before(VALID_FROM)
        .not_valid_after(valid_to)
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.UniformResourceIdentifier(f"urn:uuid:{UUID(bytes=guid)}")]
            ),
            critical=False,
        )
    )
    return builder.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.DER)


def blank_client(card: SoftCard) -> PivClient:
    """A client of a blank card, with the management key proven."""
    client = PivClient(open_channel(InProcessTransport(card)))
    client.select()
    client.authenticate_management(LocalManagementKey(FACTORY_MANAGEMENT_KEY, Algorithm.AES_192))
    return client


def issued_card() -> SoftCard:
    """A card of this region, PIN 123456."""
    card = SoftCard(factory_state())
    client = blank_client(card)
    for slot in (Slot.AUTHENTICATION, Slot.CARD_AUTHENTICATION):
        client.write_certificate(slot, card_certificate(client.generate_key(slot)))
    client.write_chuid(Chuid(GUID, VALID_TO.date()))
    return card


def card_file(folder: Path) -> Path:
    """A software card of this region in a drawer."""
    Drawer(folder).add("maria", issued_card().state)
    return folder / "maria.card"
