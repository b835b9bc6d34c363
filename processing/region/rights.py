"""What people are entitled to: their categories, norms, prescriptions and certificates as rights.

The same rules serve the cast and the drawn population. Identifiers of rights follow from their
holder's, so that one seed always gives the same rights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import Final

import msgspec

from processing.kernel.errors import ConfigurationError
from processing.region.catalogue import Catalogue, HolderKind, NormEntry
from processing.region.families import ADULT_AGE, age_on
from processing.region.model import (
    Allowance,
    Certificate,
    Citizen,
    Entitlement,
    HolderFact,
    Holding,
    Household,
    PrescribedAllowance,
    Prescription,
)
from processing.regulations.document import CODES, Period, Regulation

INSURED: Final = "INSURED"
"""The category of everybody with a policy number."""

ROUBLE_OKEI: Final = 383
KOPECK_SCALE: Final = 2
CERTIFICATE_DAYS: Final = 365


class Rights(msgspec.Struct, frozen=True):
    """The rights of one household and of everybody in it."""

    holdings: tuple[tuple[bytes, Holding], ...]
    entitlements: tuple[Entitlement, ...]
    prescribed: tuple[PrescribedAllowance, ...]
    facts: tuple[HolderFact, ...] = ()


class RightsRules:
    """Derives rights as of `today` from the catalogue; certificates pay for `certificate_class`."""

    def __init__(
        self,
        catalogue: Catalogue,
        regulations: Sequence[Regulation],
        certificate: tuple[str, str],
        today: date,
    ) -> None:
        self._today = today
        self._region = catalogue.region.region
        self._regulations = regulations
        self._amounts: dict[tuple[str, str, int], int] = {}
        self._clinics = [entry.code for entry in catalogue.provider if entry.kind == "clinic"]
        self._last_day = min(one.regulation.valid_to for one in regulations)
        self._measures = {entry.measure: entry for entry in catalogue.measure}
        self._items = {entry.item_class: entry for entry in catalogue.item}
        self._percent = {
            clause.measure: clause.percent
            for regulation in regulations
            for clause in regulation.clauses
        }
        self._certificate_measure, self._certificate_class = certificate
        # A household's right is opened by whichever category stands first in the catalogue.
        self._rank = {entry.category: rank for rank, entry in enumerate(catalogue.category)}
        self._opens: dict[HolderKind, dict[str, dict[str, list[NormEntry]]]] = {
            kind: {
                entry.category: norms
                for entry in catalogue.category
                if (norms := _norms(catalogue, entry.measures, kind))
            }
            for kind in HolderKind
        }
        self._insured_evidence = next(
            entry.evidence for entry in catalogue.category if entry.category == INSURED
        )

    def of(self, household: Household) -> Rights:
        """Return all rights of a household; raises `ConfigurationError` for an unknown class."""
        holdings: list[tuple[bytes, Holding]] = []
        entitlements: list[Entitlement] = []
        prescribed: list[PrescribedAllowance] = []
        facts: list[HolderFact] = []
        for citizen in household.members:
            held = [*self._insured(citizen), *citizen.holdings]
            holdings += [(citizen.citizen_id, holding) for holding in held]
            age = age_on(citizen.person.birth_date, self._today)
            facts += self._facts(citizen, age)
            entitlements += self._from_norms(citizen.citizen_id, HolderKind.CITIZEN, held, 1, age)
            entitlements += self._from_prescriptions(citizen, prescribed)
            entitlements += [self._from_certificate(citizen, one) for one in citizen.certificates]
        entitlements += self._from_norms(
            household.household_id,
            HolderKind.HOUSEHOLD,
            [holding for _, holding in holdings],
            len(household.members),
        )
        return Rights(tuple(holdings), tuple(entitlements), tuple(prescribed), tuple(facts))

    def _insured(self, citizen: Citizen) -> Iterator[Holding]:
        """Give the category of everybody with a policy, from birth or the first of January."""
        if citizen.enp is not None:
            first = max(citizen.person.birth_date, date(self._today.year, 1, 1))
            yield Holding(INSURED, first, self._last_day, self._insured_evidence)

    def _from_norms(
        self,
        holder_id: bytes,
        kind: HolderKind,
        held: Iterable[Holding],
        members: int,
        age: int | None = None,
    ) -> Iterator[Entitlement]:
        """Give each measure with norms once, by the first category that opens it."""
        opens, today = self._opens[kind], self._today
        opening = [h for h in held if h.category in opens and h.valid_from <= today <= h.valid_to]
        opening.sort(key=lambda holding: self._rank[holding.category])
        given: set[str] = set()
        for holding in opening:
            for measure, norms in opens[holding.category].items():
                due = [norm for norm in norms if _is_of_age(norm, age)]
                if due and measure not in given:
                    given.add(measure)
                    yield self._norm_entitlement(holder_id, measure, holding, due, members)

    def _norm_entitlement(
        self,
        holder_id: bytes,
        measure: str,
        holding: Holding,
        norms: Iterable[NormEntry],
        members: int,
    ) -> Entitlement:
        entitlement_id = derived_id(holder_id, f"{measure} {holding.category}")
        first = max(holding.valid_from, date(self._today.year, 1, 1))
        allowances = tuple(
            Allowance(
                allowance_id=derived_id(entitlement_id, norm.item_class),
                item_class=norm.item_class,
                unit_okei=norm.unit_okei,
                scale=norm.scale,
                granted=self._granted(norm, members),
                period=CODES[norm.period],
                valid_from=first,
                valid_to=holding.valid_to,
                priority=self._measures[measure].priority,
            )
            for norm in norms
        )
        return self._entitlement(
            holder_id, entitlement_id, measure, holding.category, holding, allowances
        )

    def _granted(self, norm: NormEntry, members: int) -> int:
        """Return what so many people have: by the regulation's norm, or else by the catalogue's."""
        key = (norm.measure, norm.item_class, members)
        granted = self._amounts.get(key)
        if granted is None:
            found = (one.norm(*key) for one in self._regulations)
            first = next((one for one in found if one is not None), None)
            granted = norm.granted * members if first is None else first.granted(members)
            self._amounts[key] = granted
        return granted

    def _facts(self, citizen: Citizen, age: int) -> Iterator[HolderFact]:
        """Give the policy of everybody insured, and the clinic to which they are attached."""
        if citizen.enp is None or not self._clinics:
            return
        first = max(citizen.person.birth_date, date(self._today.year, 1, 1))
        yield HolderFact(citizen.citizen_id, "policy", first, self._last_day, None)
        # Clinics in the catalogue's order: the adults', the children's, and one of the country.
        number = 1 if age < ADULT_AGE else 2 * (citizen.citizen_id[-1] % 16 == 15)
        clinic = self._clinics[number % len(self._clinics)]
        yield HolderFact(citizen.citizen_id, "attachment", first, self._last_day, clinic)

    def _from_prescriptions(
        self, citizen: Citizen, prescribed: list[PrescribedAllowance]
    ) -> Iterator[Entitlement]:
        """Give one entitlement per measure, with an allowance per prescription."""
        groups: dict[str, list[Prescription]] = {}
        for written in citizen.prescriptions:
            groups.setdefault(written.measure, []).append(written)
        for measure, orders in groups.items():
            category = orders[0].category
            holding = next(h for h in citizen.holdings if h.category == category)
            entitlement_id = derived_id(citizen.citizen_id, f"{measure} {category}")
            allowances = tuple(self._prescription(entitlement_id, order) for order in orders)
            prescribed += [
                PrescribedAllowance(
                    citizen.citizen_id,
                    order,
                    self._measures[measure].funding,
                    self._percent[measure],
                    allowance.allowance_id,
                )
                for order, allowance in zip(orders, allowances, strict=True)
            ]
            yield self._entitlement(
                citizen.citizen_id, entitlement_id, measure, category, holding, allowances
            )

    def _prescription(self, entitlement_id: bytes, order: Prescription) -> Allowance:
        item = self._items.get(order.item_class)
        if item is None:
            raise ConfigurationError(f"prescription of {order.item_class}: no item of that class")
        return Allowance(
            allowance_id=derived_id(entitlement_id, f"{order.series} {order.number}"),
            item_class=order.item_class,
            unit_okei=item.unit_okei,
            scale=item.scale,
            granted=order.packs * 10**item.scale,
            period=CODES[Period.TERM],
            valid_from=order.prescribed_on,
            valid_to=order.prescribed_on + timedelta(days=order.valid_days),
            priority=self._measures[order.measure].priority,
            course_days=order.course_days,
        )

    def _from_certificate(self, citizen: Citizen, certificate: Certificate) -> Entitlement:
        measure = self._certificate_measure
        label = f"{measure} {certificate.category}"
        entitlement_id = derived_id(citizen.citizen_id, label)
        last = certificate.decided_on + timedelta(days=CERTIFICATE_DAYS)
        allowance = Allowance(
            allowance_id=derived_id(entitlement_id, self._certificate_class),
            item_class=self._certificate_class,
            unit_okei=ROUBLE_OKEI,
            scale=KOPECK_SCALE,
            granted=certificate.amount_kopecks,
            period=CODES[Period.TERM],
            valid_from=certificate.decided_on,
            valid_to=last,
            priority=self._measures[measure].priority,
        )
        term = Holding(certificate.category, certificate.decided_on, last, "")
        return self._entitlement(
            citizen.citizen_id, entitlement_id, measure, certificate.category, term, (allowance,)
        )

    def _entitlement(
        self,
        holder_id: bytes,
        entitlement_id: bytes,
        measure: str,
        category: str,
        term: Holding,
        allowances: tuple[Allowance, ...],
    ) -> Entitlement:
        """Return the measure granted for a category's term, decided when the term begins."""
        serial = int.from_bytes(entitlement_id[12:], "big") % 1_000_000
        return Entitlement(
            holder_id=holder_id,
            entitlement_id=entitlement_id,
            measure=measure,
            category=category,
            funding=self._measures[measure].funding,
            valid_from=term.valid_from,
            valid_to=term.valid_to,
            decision_number=f"{self._region:02d}-{term.valid_from.year}/{serial:06d}",
            decided_on=term.valid_from,
            allowances=allowances,
        )


def _is_of_age(norm: NormEntry, age: int | None) -> bool:
    """Whether a norm is for somebody of this age; None: for a household."""
    return norm.ages is None or (age is not None and norm.ages[0] <= age <= norm.ages[1])


_VERSION_AND_VARIANT: Final = 0x7 << 76 | 0b10 << 62
_LOW_BITS: Final = (1 << 62) - 1


def derived_id(parent_id: bytes, label: str) -> bytes:
    """Return the UUIDv7-shaped identifier of what `label` names under `parent_id`."""
    bits = int.from_bytes(hashlib.sha256(parent_id + label.encode()).digest()[:10], "big")
    # The parent's time, then version and variant with 12 and 62 bits between them.
    rest = _VERSION_AND_VARIANT | bits >> 68 << 64 | bits >> 6 & _LOW_BITS
    return parent_id[:6] + rest.to_bytes(10, "big")


def _norms(
    catalogue: Catalogue, measures: Iterable[str], kind: HolderKind
) -> dict[str, list[NormEntry]]:
    """Return the norms of these measures for one kind of holder, by measure."""
    found: dict[str, list[NormEntry]] = {}
    for norm in catalogue.norm:
        if norm.measure in measures and norm.holder is kind:
            found.setdefault(norm.measure, []).append(norm)
    return found
