"""The region's catalogue (catalogue.toml): measures, services, items, norms, providers.

A document an official can read; `processing.region.rows` turns it into the database's rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from enum import StrEnum
from typing import Final

import msgspec

from processing.kernel.errors import ConfigurationError
from processing.region.documents import read_document
from processing.register.identifiers import IdentifierError, read_inn

CATALOGUE: Final = "catalogue.toml"


class Consumes(StrEnum):
    """What one line takes from an allowance."""

    QUANTITY = "quantity"
    KOPECKS = "kopecks"
    ONE_PER_LINE = "one per line"


class Shortage(StrEnum):
    """What happens when less is left than is asked for."""

    REFUSE = "refuse"
    COVER_WHAT_IS_LEFT = "cover what is left"


class EvidenceWord(StrEnum):
    """The least that proves the citizen's presence."""

    TAP = "tap"
    PIN = "pin"


class HolderKind(StrEnum):
    """Who owns a right."""

    CITIZEN = "citizen"
    HOUSEHOLD = "household"


class Period(StrEnum):
    """After which time an allowance is full again."""

    TERM = "term"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


CODES: Final[dict[StrEnum, int]] = {
    Consumes.QUANTITY: 1,
    Consumes.KOPECKS: 2,
    Consumes.ONE_PER_LINE: 3,
    Shortage.REFUSE: 1,
    Shortage.COVER_WHAT_IS_LEFT: 2,
    EvidenceWord.TAP: 1,
    EvidenceWord.PIN: 2,
    Period.TERM: 0,
    Period.DAY: 1,
    Period.WEEK: 2,
    Period.MONTH: 3,
    Period.QUARTER: 4,
    Period.YEAR: 5,
}
"""The document's words as the database's codes (sql/schema/10_regulations.sql, 30_rights.sql)."""


class RegionEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The region: its two-digit code, IANA time zone and names."""

    region: int
    time_zone: str
    name_ru: str
    name_en: str


class MeasureEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A measure and the budget that pays: federal, regional, municipal or oms."""

    measure: str
    name_ru: str
    name_en: str
    funding: str
    priority: int = 100


class PriceEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a measure covers in a service: `percent` of the price, up to the item's cap or not."""

    measure: str
    percent: int
    capped: bool
    tariff: str


class ServiceEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of a service's regulation.

    `reserve_minutes`: how long a reservation stands; None when the service takes none.
    """

    service: str
    version: int
    name_ru: str
    name_en: str
    consumes: Consumes
    shortage: Shortage
    evidence: EvidenceWord
    valid_from: date
    valid_to: date
    grace_days: int = 3
    reserve_minutes: int | None = None
    prices: tuple[PriceEntry, ...]


class ItemEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be rung up. `price_kopecks` is a usual shop price, for demonstrations and loads."""

    item: str
    item_class: str
    unit_okei: int
    scale: int = 0
    price_kopecks: int
    cap_kopecks: int | None = None
    name_ru: str
    name_en: str


class NormEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An allowance that comes with a measure.

    `granted` counts the smallest unit, for a citizen or for each member of a household.
    """

    measure: str
    holder: HolderKind
    item_class: str
    unit_okei: int
    scale: int = 0
    granted: int
    period: Period


class CategoryEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A benefit category, the measures it opens, and the document that proves it."""

    category: str
    name_ru: str
    name_en: str
    measures: tuple[str, ...]
    evidence: str


class ProviderEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider, its terminals, and the services allowed at each of them."""

    code: str
    inn: str
    kind: str
    name_ru: str
    name_en: str
    contract: str
    services: tuple[str, ...]
    terminals: tuple[str, ...]


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole document."""

    region: RegionEntry
    measure: tuple[MeasureEntry, ...]
    service: tuple[ServiceEntry, ...]
    item: tuple[ItemEntry, ...]
    norm: tuple[NormEntry, ...]
    category: tuple[CategoryEntry, ...]
    provider: tuple[ProviderEntry, ...]

    @property
    def first_day(self) -> date:
        """The first day on which every service is in force."""
        return max(service.valid_from for service in self.service)

    @property
    def last_day(self) -> date:
        """The last day on which every service is in force."""
        return min(service.valid_to for service in self.service)


def load_catalogue() -> Catalogue:
    """Return the region's catalogue; raises `ConfigurationError` that lists what is wrong."""
    catalogue = read_document(CATALOGUE, Catalogue)
    if faults := list(faults_of(catalogue)):
        raise ConfigurationError(f"{CATALOGUE}: {'; '.join(faults)}")
    return catalogue


def faults_of(catalogue: Catalogue) -> Iterator[str]:
    """Give what does not fit together: names that point nowhere, twins, wrong numbers."""
    measures = {entry.measure for entry in catalogue.measure}
    classes = {entry.item_class for entry in catalogue.item}
    services = {entry.service for entry in catalogue.service}
    for service in catalogue.service:
        for price in service.prices:
            if price.measure not in measures:
                yield f"service {service.service}: there is no measure {price.measure}"
    for norm in catalogue.norm:
        if norm.measure not in measures or norm.item_class not in classes:
            yield f"norm {norm.measure} {norm.item_class}: no such measure or class of items"
    for category in catalogue.category:
        for measure in sorted(set(category.measures) - measures):
            yield f"category {category.category}: there is no measure {measure}"
    for provider in catalogue.provider:
        for missing in sorted(set(provider.services) - services):
            yield f"provider {provider.code}: there is no service {missing}"
        try:
            read_inn(provider.inn)
        except IdentifierError as error:
            yield f"provider {provider.code}: {error}"
    terminals = [name for provider in catalogue.provider for name in provider.terminals]
    for kind, names in (
        ("measure", [entry.measure for entry in catalogue.measure]),
        ("item", [entry.item for entry in catalogue.item]),
        ("category", [entry.category for entry in catalogue.category]),
        ("provider", [entry.code for entry in catalogue.provider]),
        ("terminal", terminals),
    ):
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"{kind} {name}: stands there twice"
