"""Revocation lists and OCSP on their whole way, judged by openssl: card, keys, HTTP."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from uuid import UUID

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

from hsm_stub.backends.software import SoftwareBackend
from hsm_stub.client import commands as c
from hsm_stub.client.address import UnixAddress
from hsm_stub.client.async_client import AsyncHsmClient
from hsm_stub.errors import CommandRefused
from hsm_stub.key_material import KeyMaterial, new_key_material, with_next_generation
from hsm_stub.keyring import SigningKey
from hsm_stub.security_module import SecurityModule
from processing.cards.certificate_status import (
    Issuers,
    OcspResponder,
    issue_revocation_list,
    issuer_of,
)
from processing.cards.certificates import CertificateStore, certificates_of, keep_certificates
from processing.gateways.http import HttpParts, http_application
from processing.gateways.pki import PkiParts
from processing.kernel.database import DatabasePool, open_pool
from processing.kernel.metrics import new_registry, page_of
from processing.kernel.roles import Role
from tests.hsm_stub.running import serving
from tests.plugins.postgres import Database

NOW_MS = time.time_ns() // 1_000_000
DAY_MS = 86_400_000
CARDS = [UUID(int=0x7000 + number, version=4) for number in range(4)]
GOOD, BLOCKED, REPLACED, UNBLOCKED = CARDS


class Pki:
    """A key service, a database with cards and the gateway, in one event loop."""

    def __init__(self, pool: DatabasePool, hsm: AsyncHsmClient, issuers: Issuers) -> None:
        self.pool, self.hsm, self.issuers = pool, hsm, issuers
        self.store = CertificateStore(pool)

    async def card(self, card_id: UUID) -> bytes:
        """Issue a card as far as the database is concerned, and give its tap certificate."""
        ders = [await self._certificate(card_id, slot) for slot in c.CertificateSlot]
        async with self.pool.transaction() as connection:
            await connection.execute(_ORDERED, card_id, _number(card_id), date(2035, 1, 1))
            await keep_certificates(connection, card_id, certificates_of(*ders), 1)
        return ders[1]

    async def _certificate(self, card_id: UUID, slot: c.CertificateSlot) -> bytes:
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        return await self.hsm.issue_card_certificate(
            slot=slot,
            public_key=key.public_bytes(
                serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
            ),
            card_guid=card_id.bytes,
            card_number="9643907700000000015",
            not_before_ms=NOW_MS - 60_000,
            not_after_ms=NOW_MS + 1000 * DAY_MS,
        )

    async def set_state(self, card_id: UUID, state: int) -> None:
        async with self.pool.connection() as connection:
            await connection.execute("SELECT cards.set_state($1, $2::smallint)", card_id, state)


_ORDERED = """
    WITH station AS (
        INSERT INTO cards.station (station_id, token_sha256)
        VALUES ($2, decode(repeat('00', 32), 'hex')) RETURNING station_id
    ), ordered AS (
        INSERT INTO cards.card_order (
            order_id, citizen_id, register_version, station_id, card_id, card_number,
            issuer_region, valid_to, challenge, state, ordered_at
        ) SELECT $1, $1, 1, station_id, $1, $2, 99, $3, decode(repeat('00', 32), 'hex'), 2, now()
        FROM station
    )
    INSERT INTO cards.card (
        card_id, card_number, holder_id, issuer_region, state, valid_to, public_key_tap,
        public_key_pin, certificate_tap, certificate_pin, issued_at
    ) VALUES ($1, $2, $1, 99, 1, $3, decode(repeat('00', 65), 'hex'),
        decode(repeat('00', 65), 'hex'), '', '', now())
"""


def _number(card_id: UUID) -> str:
    return f"964390{card_id.int % 10**13:013d}"


@pytest.fixture(scope="module")
def material() -> KeyMaterial:
    return new_key_material("77", NOW_MS)


@pytest.fixture
async def pki(database: Database, material: KeyMaterial) -> AsyncIterator[Pki]:
    async with database.connect() as connection:
        await connection.execute(
            "INSERT INTO regulations.region (region, time_zone, name_ru, name_en)"
            " VALUES (99, 'Europe/Moscow', 'Край', 'Land') ON CONFLICT DO NOTHING"
        )
        await connection.execute("GRANT INSERT ON cards.station TO spk_issuing")
    pool = await open_pool(database.dsn(Role.ISSUING), Role.ISSUING, "test")
    module = SecurityModule(SoftwareBackend(material), lambda: 0)
    with tempfile.TemporaryDirectory(prefix="pki") as folder:
        async with (
            serving(module, UnixAddress(Path(folder) / "hsm.sock")) as service,
            AsyncHsmClient(service.address) as hsm,
        ):
            issuers = Issuers(hsm.public_keys)
            await issuers.renew()
            yield Pki(pool, hsm, issuers)
    await pool.close()


@pytest.fixture
async def client(pki: Pki) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    responder = OcspResponder(pki.store, pki.hsm, pki.issuers)
    parts = HttpParts(
        measurements=page_of(new_registry()),
        probes={},
        pki=PkiParts(pki.store, responder, pki.issuers),
    )
    async with TestClient(TestServer(http_application(parts))) as client:
        yield client


Client = TestClient[web.Request, web.Application]


async def openssl(*arguments: str) -> tuple[int, str]:
    """Run openssl to its end; its exit code and all it said."""
    done = await asyncio.to_thread(
        subprocess.run, ("openssl", *arguments), capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def pem_of(der: bytes, path: Path) -> str:
    path.write_bytes(x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM))
    return str(path)


async def town(pki: Pki, folder: Path) -> dict[UUID, str]:
    """Four cards: good, blocked, replaced, and one that was blocked and found again."""
    paths = {card: pem_of(await pki.card(card), folder / f"{card}.pem") for card in CARDS}
    await pki.set_state(BLOCKED, 2)
    await pki.set_state(REPLACED, 3)
    await pki.set_state(UNBLOCKED, 2)
    await pki.set_state(UNBLOCKED, 1)
    return paths


async def test_openssl_believes_the_revocation_list(
    pki: Pki, client: Client, tmp_path: Path
) -> None:
    paths = await town(pki, tmp_path)
    issuer = issuer_of(pki.issuers.certificates[0])
    missing = await client.get(f"/pki/crl/{issuer.key_id.hex()}.crl")
    assert missing.status == 404
    for number in (1, 2):
        issued = await issue_revocation_list(pki.store, pki.hsm, issuer, NOW_MS)
        assert (issued.number, issued.entries) == (number, 4)
    response = await client.get(f"/pki/crl/{issuer.key_id.hex()}.crl")
    assert (response.status, response.content_type) == (200, "application/pkix-crl")
    crl = tmp_path / "list.crl"
    crl.write_bytes(await response.read())
    again = await client.get("/pki/crl/current.crl", headers={"If-None-Match": '"2"'})
    assert again.status == 304
    authority = await client.get("/pki/ca/current.cer")
    ca = pem_of(await authority.read(), tmp_path / "ca.pem")
    code, shown = await openssl("crl", "-in", str(crl), "-inform", "DER", "-CAfile", ca, "-text")
    assert (code, "verify OK" in shown) == (0, True), shown
    assert shown.count("Certificate Hold") == shown.count("Superseded") == 2
    assert "X509v3 CRL Number: \n                2" in shown
    check = ("verify", "-crl_check", "-CAfile", ca, "-CRLfile", str(crl))
    verdicts = {}
    for card, path in paths.items():
        code, said = await openssl(*check, "-purpose", "any", "-ignore_critical", path)
        verdicts[card] = "revoked" if "certificate revoked" in said else code
    assert verdicts == {GOOD: 0, BLOCKED: "revoked", REPLACED: "revoked", UNBLOCKED: 0}


@pytest.mark.parametrize("digest", ["-sha1", "-sha256"])
@pytest.mark.parametrize("nonce", ["-nonce", "-no_nonce"])
async def test_openssl_believes_the_ocsp_answers(
    pki: Pki, client: Client, tmp_path: Path, digest: str, nonce: str
) -> None:
    paths = await town(pki, tmp_path)
    ca = pem_of(pki.issuers.certificates[0], tmp_path / "ca.pem")
    url = ("-url", f"http://127.0.0.1:{client.port}/pki/ocsp")
    said = {}
    for card in (GOOD, BLOCKED, REPLACED, UNBLOCKED):
        which = (digest, "-issuer", ca, "-cert", paths[card])
        code, text = await openssl("ocsp", *which, *url, nonce, "-CAfile", ca)
        assert (code, "Response verify OK" in text) == (0, True), text
        assert ("WARNING: no nonce" in text) is (nonce == "-no_nonce" and "WARNING" in text)
        said[card] = [word for word in ("good", "revoked", "unknown") if f": {word}" in text]
        assert ("Reason: certificateHold" in text) is (card == BLOCKED)
    assert said == {
        GOOD: ["good"],
        BLOCKED: ["revoked"],
        REPLACED: ["revoked"],
        UNBLOCKED: ["good"],
    }


def question(pki: Pki, serial: int) -> bytes:
    named = issuer_of(pki.issuers.certificates[0]).named[1]
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(*named, serial, hashes.SHA256())
    return builder.build().public_bytes(serialization.Encoding.DER)


async def test_a_block_shows_in_the_next_answer_and_a_kept_one_is_not_signed_again(
    pki: Pki, client: Client
) -> None:
    card = x509.load_der_x509_certificate(await pki.card(GOOD))
    asked = question(pki, card.serial_number)

    async def standing() -> tuple[bytes, ocsp.OCSPCertStatus]:
        body = await (await client.post("/pki/ocsp", data=asked)).read()
        return body, ocsp.load_der_ocsp_response(body).certificate_status

    first, good = await standing()
    second, _ = await standing()
    await pki.set_state(GOOD, 2)
    third, revoked = await standing()
    assert first == second != third
    assert (good, revoked) == (ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", ocsp.OCSPResponseStatus.MALFORMED_REQUEST),
        (b"what about my card?", ocsp.OCSPResponseStatus.MALFORMED_REQUEST),
        (b"0" * 100_000, ocsp.OCSPResponseStatus.MALFORMED_REQUEST),
    ],
)
async def test_what_is_no_question_gets_an_answer(
    client: Client, body: bytes, expected: ocsp.OCSPResponseStatus
) -> None:
    response = await client.post("/pki/ocsp", data=body)
    answer = ocsp.load_der_ocsp_response(await response.read())
    assert (response.status, answer.response_status) == (200, expected)


async def test_strangers_are_unknown_or_not_ours(pki: Pki, client: Client) -> None:
    asked = base64.b64encode(question(pki, 4711)).decode()
    body = await (await client.get(f"/pki/ocsp/{asked}")).read()
    assert ocsp.load_der_ocsp_response(body).certificate_status is ocsp.OCSPCertStatus.UNKNOWN
    other = bytearray(question(pki, 4711))
    place = other.index(issuer_of(pki.issuers.certificates[0]).named[1][0])
    other[place] ^= 1
    body = await (await client.post("/pki/ocsp", data=bytes(other))).read()
    answer = ocsp.load_der_ocsp_response(body)
    assert answer.response_status is ocsp.OCSPResponseStatus.UNAUTHORIZED
    assert (await client.get("/pki/crl/00.crl")).status == 404


async def test_another_ca_is_known_when_asked_again(material: KeyMaterial) -> None:
    after = with_next_generation(material, SigningKey.ISSUING_CA, NOW_MS)
    modules = [SecurityModule(SoftwareBackend(one), lambda: 0) for one in (material, after)]

    async def ask() -> c.PublicKeys:
        answer = modules[0].execute(c.GetPublicKeys())
        assert isinstance(answer, c.PublicKeys)
        return answer

    issuers = Issuers(ask)
    await issuers.renew()
    old = issuer_of(issuers.certificates[0])
    modules.pop(0)
    await issuers.renew()
    assert len(issuers.certificates) == 2
    current = issuers.with_key_id("current")
    assert current is not None
    assert current != old
    assert issuers.with_key_id(old.key_id.hex()) == old
    assert issuers.named(old.named[0]) == old


@pytest.mark.parametrize(
    ("serials", "announced", "message"),
    [
        ((b"\x01", b"\x01"), 2, "serials must rise"),
        ((b"\x02", b"\x01"), 2, "serials must rise"),
        ((b"\x01\x00", b"\xff"), 2, "serials must rise"),
        ((b"\x00\x01",), 1, "without a leading zero"),
        ((b"\x01",), 2, "1 entries and"),
        ((b"\x01", b"\x02"), 1, "-1 entries and"),
    ],
)
def test_a_list_that_is_not_as_announced_is_not_signed(
    material: KeyMaterial, serials: tuple[bytes, ...], announced: int, message: str
) -> None:
    module = SecurityModule(SoftwareBackend(material), lambda: 0)
    issuer = issuer_of(material.ring.active(SigningKey.ISSUING_CA).certificate)
    begun = module.execute(
        c.BeginCrl(
            issuer_key_id=issuer.key_id,
            number=1,
            this_update_ms=NOW_MS,
            next_update_ms=NOW_MS + DAY_MS,
            entries=announced,
            entries_bytes=announced * 20,
        )
    )
    assert isinstance(begun, c.CrlBegun)
    entries = tuple(c.RevokedSerial(serial=one, revoked_at_ms=NOW_MS, reason=0) for one in serials)
    asked = (
        c.AddToCrl(handle=begun.handle, entries=entries),
        c.FinishCrl(handle=begun.handle),
        c.FinishCrl(handle=begun.handle),
    )
    refusals = [refused for one in asked if (refused := refusal(module, one))]
    assert message in refusals[0]
    assert all("never begun" in one for one in refusals[1:])


def refusal(module: SecurityModule, command: c.Command) -> str:
    try:
        module.execute(command)
    except CommandRefused as refused:
        return refused.message
    return ""
