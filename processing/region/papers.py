"""The papers of a household's people, from what they are and have: documents, policies, plans.

Everything follows from the citizen and their categories, so that the stream of chances, and with it
every region of a seed, stays as it was.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from processing.region.families import ADULT_AGE, age_on
from processing.region.model import Citizen, Household, Relation
from processing.region.rights import Rights, derived_id
from processing.region.rows import Batch
from processing.region.tables import (
    ADDRESS,
    CERTIFICATE,
    CIRCUMSTANCE,
    CONSENT,
    CONTACT,
    IDENTITY_DOCUMENT,
    INCOME,
    LIFE_EVENT,
    POLICY,
    REHABILITATION_MEASURE,
    REHABILITATION_PLAN,
    REPRESENTATIVE,
    SCHOOL_MEALS,
    SERVICE_PLAN,
    SERVICE_PLAN_LINE,
)

DOCUMENT_AGE: Final = 14
"""From this age on a person has a passport; before it, a birth certificate."""

SCHOOL_AGES: Final = range(7, 18)
CARE_AGE: Final = 70
PENSION_AGES: Final = {"m": 65, "f": 60}
LOW_INCOME: Final = "LOW.INCOME"
MEALS_FOR: Final = ("FAMILY.LARGE", LOW_INCOME)
DISABILITIES: Final = {
    "DISABLED.1": "1",
    "DISABLED.2": "2",
    "DISABLED.3": "3",
    "DISABLED.CHILD": "child",
}
INSURER: Final = "СМО «Заречье-Мед»"
BUREAU: Final = "Бюро МСЭ № 1"
INCOME_KOPECKS: Final = 1_000_000
INCOME_STEP_KOPECKS: Final = 50_000


def add_papers(batch: Batch, household: Household, rights: Rights, today: date) -> None:
    """Add the papers of everybody in a household."""
    heads = [
        one.citizen_id
        for one in household.members
        if one.person.relation in (Relation.HEAD, Relation.SPOUSE)
    ]
    for citizen in household.members:
        age = age_on(citizen.person.birth_date, today)
        _add_person(batch, citizen, age, household.address, today)
        _add_policy(batch, citizen, rights)
        if age < ADULT_AGE and citizen.person.relation is Relation.CHILD:
            _add_parents(batch, citizen, heads)
        _add_plans(batch, citizen, age)
        _add_school_meals(batch, citizen, age, today)
    _add_certificates(batch, rights)


def _add_person(batch: Batch, citizen: Citizen, age: int, address: str, today: date) -> None:
    """Add what everybody has: a document, an address, and what depends on the age."""
    add, key, born = batch.rows, citizen.citizen_id, citizen.person.birth_date
    # A СНИЛС is nobody else's; so are numbers made of its first nine digits.
    number, adult = citizen.snils[:9], age >= ADULT_AGE
    if age >= DOCUMENT_AGE:
        kind, series, digits = "passport", f"99{number[1:3]}", number[3:]
        issued = born + timedelta(days=5_200)
    else:
        kind, series, digits = "birth_certificate", f"I-БА{number[:3]}", number[3:]
        issued = born
    document = derived_id(key, "document")
    add[IDENTITY_DOCUMENT].append((document, key, kind, series, digits, issued))
    add[ADDRESS].append((derived_id(key, "address"), key, "registered", address))
    if adult:
        since = born.replace(year=born.year + ADULT_AGE, day=1)
        add[CONTACT].append((derived_id(key, "contact"), key, "phone", f"79{number}", True))
        add[CONSENT].append((derived_id(key, "consent"), key, "processing", since))
        pensioner = age >= PENSION_AGES[citizen.person.sex]
        status = "pensioner" if pensioner else "employed"
        add[CIRCUMSTANCE].append((derived_id(key, "circumstance"), key, status, since))
        if any(held.category == LOW_INCOME for held in citizen.holdings):
            amount = INCOME_KOPECKS + INCOME_STEP_KOPECKS * (int(number) % 10)
            month = (today.replace(day=1) - timedelta(days=1)).replace(day=1)
            kind = "pension" if pensioner else "salary"
            add[INCOME].append((derived_id(key, "income"), key, kind, month, amount))


def _add_policy(batch: Batch, citizen: Citizen, rights: Rights) -> None:
    """Add the policy of who is insured, with the clinic that services are told of."""
    if citizen.enp is None:
        return
    clinics = (
        fact.provider_code
        for fact in rights.facts
        if fact.holder_id == citizen.citizen_id and fact.fact == "attachment"
    )
    policy, born = derived_id(citizen.citizen_id, "policy"), citizen.person.birth_date
    batch.rows[POLICY].append(
        (policy, citizen.citizen_id, citizen.enp, INSURER, next(clinics, None), born, True)
    )


def _add_parents(batch: Batch, child: Citizen, heads: list[bytes]) -> None:
    """Let head and spouse act for their child until it comes of age."""
    born = child.person.birth_date
    last = born.replace(year=born.year + ADULT_AGE, day=1) - timedelta(days=1)
    batch.rows[REPRESENTATIVE] += [
        (
            derived_id(child.citizen_id, f"parent {place}"),
            child.citizen_id,
            head,
            "parent",
            "свидетельство о рождении",
            born,
            last,
        )
        for place, head in enumerate(heads)
    ]


def _add_plans(batch: Batch, citizen: Citizen, age: int) -> None:
    """Add the rehabilitation plan of a disabled person, and of an old one the service plan."""
    add, key = batch.rows, citizen.citizen_id
    held = next((one for one in citizen.holdings if one.category in DISABILITIES), None)
    if held is None:
        return
    first, number = held.valid_from, citizen.snils[:9]
    event = derived_id(key, "disability")
    add[LIFE_EVENT].append((event, key, "disability_set", first, held.evidence))
    plan, disability = derived_id(key, "rehabilitation"), DISABILITIES[held.category]
    add[REHABILITATION_PLAN].append((plan, key, f"ИПРА-{number}", BUREAU, first, disability, first))
    add[REHABILITATION_MEASURE].append(
        (derived_id(plan, "1"), key, plan, "AID.CANE", "Трость опорная", 1, first)
    )
    if age >= CARE_AGE:
        plan = derived_id(key, "service plan")
        last = first + timedelta(days=3 * 365)
        row = (plan, key, f"ИППСУ-{number}", "home", "CARE.HOME", held.category, first)
        add[SERVICE_PLAN].append((*row, first, last))
        line = (derived_id(plan, "1"), key, plan, "HOME.CARE", "Уход на дому", 60, 2, "week")
        add[SERVICE_PLAN_LINE].append(line)


def _add_school_meals(batch: Batch, citizen: Citizen, age: int, today: date) -> None:
    """Add the school meals of a child whose family has a category that opens them."""
    held = next((one for one in citizen.holdings if one.category in MEALS_FOR), None)
    if held is None or age not in SCHOOL_AGES:
        return
    year = today.year if today.month >= 9 else today.year - 1
    batch.rows[SCHOOL_MEALS].append(
        (
            derived_id(citizen.citizen_id, "meals"),
            citizen.citizen_id,
            "SCHOOL-01",
            "lunch",
            "MEAL.LUNCH",
            "SCHOOL.MEAL",
            held.category,
            date(year, 9, 1),
            date(year + 1, 5, 31),
        )
    )


def _add_certificates(batch: Batch, rights: Rights) -> None:
    """Add the certificates behind the rights to spend money."""
    batch.rows[CERTIFICATE] += [
        (
            allowance.allowance_id,
            one.holder_id,
            f"С-{one.decision_number}",
            one.measure,
            one.category,
            allowance.item_class,
            allowance.granted,
            one.decided_on,
            one.valid_from,
            one.valid_to,
        )
        for one in rights.entitlements
        if one.measure == "CERT"
        for allowance in one.allowances
    ]
