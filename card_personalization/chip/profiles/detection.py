"""Which family a card belongs to, and whether it may be written."""

from __future__ import annotations

from collections.abc import Collection

from card_personalization.chip.errors import (
    AlreadyIssued,
    CardBegun,
    CodesBlocked,
    StatusError,
    WrongFactoryKey,
    WrongFamily,
)
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.profiles.family import (
    Access,
    CardFamily,
    CodeState,
    Condition,
    Findings,
)
from card_personalization.chip.profiles.generic import GenericFamily
from card_personalization.chip.profiles.openfips201 import OpenFips201Family
from card_personalization.chip.profiles.yubico import YubicoFamily


def detect_family(card: PivClient) -> CardFamily:
    """The family of a selected card: by whose question for a version it answers, else generic."""
    for family in (YubicoFamily(), OpenFips201Family()):
        try:
            family.version(card)
        except StatusError:
            continue
        return family
    return GenericFamily()


def require_family(family: CardFamily, expected: Collection[str]) -> None:
    """WrongFamily unless the card is of one of the families expected."""
    if family.name not in expected:
        raise WrongFamily(family.name, ", ".join(sorted(expected)))


def check_blank(
    family: CardFamily, card: PivClient, factory: Access, own: Access | None = None
) -> Findings:
    """What is on a card that may be written from the start; its administration is open then.

    ContactsNeeded, AlreadyIssued, WrongFactoryKey, CodesBlocked, CardBegun: the card is as it was.
    """
    findings = family.inspect(card, factory, own)
    if findings.condition is Condition.FINISHED and findings.guid is not None:
        raise AlreadyIssued(findings.guid)
    if findings.condition in (Condition.FOREIGN, Condition.FINISHED):
        # On a contactless reader a strict card refuses every key: that is said first.
        try:
            family.open(card, factory)
        except WrongFactoryKey:
            if findings.guid is not None:
                raise AlreadyIssued(findings.guid) from None
            raise
        raise WrongFactoryKey("9B")
    for state, code in ((findings.pin, "PIN"), (findings.puk, "PUK")):
        if state is CodeState.BLOCKED:
            raise CodesBlocked(code)
    if findings.condition is Condition.BEGUN:
        raise CardBegun(_what(findings))
    return findings


def _what(findings: Findings) -> str:
    parts = [f"{tag:X}" for tag in sorted(findings.objects)]
    parts += [f"{slot:X}" for slot, held in findings.keys.items() if held]
    codes = (("PIN", findings.pin), ("PUK", findings.puk))
    parts += [name for name, state in codes if state is CodeState.CHANGED]
    if findings.prepared:
        parts.append("PUT DATA ADMIN")
    return ", ".join(parts)
