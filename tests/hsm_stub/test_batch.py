"""Card batches: what a station gets out of one, and every way to get at it wrongly."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from hsm_stub.client import commands as c
from hsm_stub.errors import CommandRefused
from hsm_stub.key_material import point_of
from hsm_stub.keyring import SigningKey
from hsm_stub.security_module import SecurityModule
from processing.cards.batch_export import export_batch
from processing.wire.batch_file import CARDS_OF_PART_MAX, MAGIC, Batch, BatchError, open_batch
from tests.hsm_stub.examples import CARD_NUMBER, DAY_MS
from tests.hsm_stub.running import NOW_MS
from tests.hsm_stub.test_secrets import assert_hides

STATION = ec.derive_private_key(0x57A7104, ec.SECP256R1())
OTHER = ec.derive_private_key(0x07E12, ec.SECP256R1())


class Wrapper:
    """The key service without its socket."""

    def __init__(self, module: SecurityModule) -> None:
        self._module = module

    async def wrap_batch(self, command: c.WrapBatch) -> bytes:
        """Return one part."""
        answer = self._module.execute(command)
        assert isinstance(answer, c.WrappedBatch)
        return answer.part


def orders(count: int) -> list[c.BatchOrder]:
    return [
        c.BatchOrder(
            order_id=UUID(int=0x100 + number).bytes,
            card_guid=UUID(int=0x200 + number).bytes,
            card_number=CARD_NUMBER,
            issuer_region=77,
            valid_to="2031-09-21",
            challenge=bytes([number]) * 32,
            not_after_ms=NOW_MS + 1000 * DAY_MS,
        )
        for number in range(count)
    ]


async def batch(
    module: SecurityModule, count: int = 3, *, make_keys: bool = True, number: int = 1
) -> bytes:
    point = point_of(STATION.public_key())
    return await export_batch(
        orders(count), point, UUID(int=number), Wrapper(module), NOW_MS, make_keys=make_keys
    )


def opened(module: SecurityModule, data: bytes, key: ec.EllipticCurvePrivateKey = STATION) -> Batch:
    content = module.backend.ring.active(SigningKey.CONTENT).public_point
    return open_batch(data, key, [content])


@pytest.mark.parametrize("count", [1, CARDS_OF_PART_MAX, 2 * CARDS_OF_PART_MAX + 1])
async def test_a_station_gets_each_card_with_its_own_keys(
    module: SecurityModule, count: int
) -> None:
    cards = opened(module, await batch(module, count)).cards
    assert [one.order_id for one in cards] == [one.order_id for one in orders(count)]
    issuer = module.backend.ring.active(SigningKey.ISSUING_CA).issuer()
    for card in cards:
        asked = c.DeriveCardAdminKey(
            card_guid=card.card_guid, version=card.admin_version, channel=True
        )
        held = c.CardAdminKey(key=card.admin_key, master=1, channel=card.channel_keys)
        assert module.execute(asked) == held
        assert card.card_master == 1
        assert [one.slot for one in card.keys] == ["9A", "9E"]
        for slot in card.keys:
            certificate = x509.load_der_x509_certificate(slot.certificate)
            certificate.verify_directly_issued_by(issuer)
            key = ec.derive_private_key(int.from_bytes(slot.scalar), ec.SECP256R1())
            assert certificate.public_key() == key.public_key()
    scalars = {slot.scalar for card in cards for slot in card.keys}
    assert len(scalars) == 2 * count


async def test_a_card_may_make_its_own_keys(module: SecurityModule) -> None:
    cards = opened(module, await batch(module, make_keys=False)).cards
    assert [one.keys for one in cards] == [()] * 3
    assert len({one.admin_key for one in cards}) == 3


async def test_nothing_secret_lies_open(module: SecurityModule) -> None:
    data = await batch(module)
    for card in opened(module, data).cards:
        assert card.card_number.encode() not in data
        assert card.admin_key not in data
        assert_hides(repr(card), card.admin_key)
        assert_hides(repr(card.keys), card.keys[0].scalar)


def cut_part(data: bytes) -> list[bytes]:
    parts, place = [], len(MAGIC)
    while place < len(data):
        length = 4 + int.from_bytes(data[place : place + 4])
        parts.append(data[place : place + length])
        place += length
    return parts


WRONG: list[tuple[str, Callable[[list[bytes]], bytes], str]] = [
    ("no batch", lambda _: b"%PDF-1.7", "no card batch"),
    ("nothing in it", lambda _: MAGIC, "parts of the batch are missing"),
    ("last part missing", lambda p: MAGIC + p[0], "parts of the batch are missing"),
    ("first part missing", lambda p: MAGIC + p[1], "not of this batch, or not in its place"),
    ("parts swapped", lambda p: MAGIC + p[1] + p[0], "not of this batch, or not in its place"),
    ("a part twice", lambda p: MAGIC + p[0] + p[0] + p[1], "not of this batch, or not in"),
    ("cut inside", lambda p: MAGIC + p[0] + p[1][:-1], "ends inside a part"),
    (
        "a byte changed",
        lambda p: MAGIC + p[0][:-20] + b"\xff" + p[0][-19:] + p[1],
        "what the centre signed",
    ),
]


@pytest.mark.parametrize(("_name", "spoil", "message"), WRONG)
async def test_whole_or_not_at_all(
    module: SecurityModule, _name: str, spoil: Callable[[list[bytes]], bytes], message: str
) -> None:
    parts = cut_part(await batch(module, CARDS_OF_PART_MAX + 1, make_keys=False))
    with pytest.raises(BatchError, match=message):
        opened(module, spoil(parts))


async def test_two_batches_do_not_mix(module: SecurityModule) -> None:
    one, other = [
        cut_part(await batch(module, CARDS_OF_PART_MAX + 1, make_keys=False, number=number))
        for number in (1, 2)
    ]
    with pytest.raises(BatchError, match="not of this batch"):
        opened(module, MAGIC + one[0] + other[1])


async def test_another_station_and_another_centre(module: SecurityModule) -> None:
    data = await batch(module, 1)
    with pytest.raises(BatchError, match="for another station's key"):
        opened(module, data, OTHER)
    with pytest.raises(BatchError, match="a key that is not the centre's"):
        open_batch(data, STATION, [point_of(OTHER.public_key())])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"part": 3}, "part must lie"),
        ({"part": 0}, "part must lie"),
        ({"station_key": b"\x04" + bytes(64)}, "station_key is no point"),
        ({"not_before_ms": NOW_MS + 4000 * DAY_MS}, "not_after_ms must lie after"),
    ],
)
async def test_what_the_service_does_not_wrap(
    module: SecurityModule, change: dict[str, object], message: str
) -> None:
    fields: dict[str, object] = {
        "station_key": point_of(STATION.public_key()),
        "batch_id": bytes(16),
        "part": 1,
        "parts": 2,
        "created_at_ms": NOW_MS,
        "admin_version": 1,
        "make_keys": True,
        "not_before_ms": NOW_MS,
        "cards": tuple(orders(1)),
    }
    with pytest.raises(CommandRefused, match=message):
        module.execute(c.WrapBatch(**(fields | change)))  # type: ignore[arg-type]
