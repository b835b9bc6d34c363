"""Wrapping a batch: what a station without master keys makes cards from, put together inside."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from hsm_stub.client import commands as c
from hsm_stub.errors import CommandRefused
from hsm_stub.key_material import point_of
from processing.wire.batch_file import BatchCard, BatchPart, PartHead, SlotKey, sealed_body
from processing.wire.receipt import key_id_of

CardKey = Callable[[bytes, int], c.CardAdminKey]
"""GUID and version to the card's own keys."""
Certify = Callable[[c.IssueCardCertificate], bytes]
Sign = Callable[[bytes], tuple[bytes, bytes]]
"""SHA-256 of a part to key id and signature."""


def wrapped_part(
    command: c.WrapBatch, card_key: CardKey, certify: Certify, sign: Sign
) -> c.WrappedBatch:
    """Return one part of a batch, encrypted and signed; raises `CommandRefused`."""
    if not 1 <= command.part <= command.parts:
        raise CommandRefused(c.Refusal.BAD_ARGUMENT, "part must lie from 1 to parts")
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), command.station_key)
    except ValueError:
        raise CommandRefused(
            c.Refusal.BAD_ARGUMENT, "station_key is no point of P-256; give 65 bytes: 04, x, y"
        ) from None
    head = msgspec.msgpack.encode(
        PartHead(
            batch_id=command.batch_id,
            part=command.part,
            parts=command.parts,
            cards=len(command.cards),
            station_key_id=key_id_of(command.station_key),
            created_at_ms=command.created_at_ms,
        )
    )
    cards = [_card(one, command, card_key, certify) for one in command.cards]
    body = sealed_body(head, cards, command.station_key)
    key_id, signature = sign(hashlib.sha256(head + body).digest())
    part = BatchPart(head=head, body=body, key_id=key_id, signature=signature)
    return c.WrappedBatch(part=msgspec.msgpack.encode(part))


def _card(
    order: c.BatchOrder, command: c.WrapBatch, card_key: CardKey, certify: Certify
) -> BatchCard:
    admin = card_key(order.card_guid, command.admin_version)
    slots = c.CertificateSlot if command.make_keys else ()
    keys = tuple(_slot_key(slot, order, command, certify) for slot in slots)
    return BatchCard(
        order_id=order.order_id,
        card_guid=order.card_guid,
        card_number=order.card_number,
        issuer_region=order.issuer_region,
        valid_to=order.valid_to,
        challenge=order.challenge,
        admin_key=admin.key,
        admin_version=command.admin_version,
        card_master=admin.master,
        channel_keys=admin.channel,
        keys=keys,
    )


def _slot_key(
    slot: c.CertificateSlot, order: c.BatchOrder, command: c.WrapBatch, certify: Certify
) -> SlotKey:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = certify(
        c.IssueCardCertificate(
            slot=slot,
            public_key=point_of(key.public_key()),
            card_guid=order.card_guid,
            card_number=order.card_number,
            not_before_ms=command.not_before_ms,
            not_after_ms=order.not_after_ms,
        )
    )
    scalar = key.private_numbers().private_value.to_bytes(32)
    return SlotKey(slot=slot.value, scalar=scalar, certificate=certificate)
