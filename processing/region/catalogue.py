"""The region's catalogue (catalogue.toml): measures, items, norms, categories, providers.

A document an official can read; `processing.region.rows` turns it into the database's rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from datetime import date
from enum import StrEnum
from typing import Final

import msgspec

from processing.kernel.errors import ConfigurationError
from processing.region.documents import read_document
from processing.register.identifiers import IdentifierError, read_inn
from processing.regulations.directory import Directory
from processing.regulations.directory import ItemEntry as DirectoryItem
from processing.regulations.document import Period

CATALOGUE: Final = "catalogue.toml"


class HolderKind(StrEnum):
    """Who owns a right."""

    CITIZEN = "citizen"
    HOUSEHOLD = "household"


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

    `granted` counts the smallest unit, for a citizen or for each member of a household. `ages` are
    the first and the last whole year in which a citizen has it; without them everybody has.
    """

    measure: str
    holder: HolderKind
    ages: tuple[int, int] | None = None
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


class AmountEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An amount that incomes are compared with, from a day on, and the act that sets it."""

    parameter: str
    valid_from: date
    amount_kopecks: int
    basis: str


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
    item: tuple[ItemEntry, ...]
    norm: tuple[NormEntry, ...]
    category: tuple[CategoryEntry, ...]
    amount: tuple[AmountEntry, ...]
    provider: tuple[ProviderEntry, ...]


def load_catalogue(services: Set[str]) -> Catalogue:
    """Return the region's catalogue; raises `ConfigurationError` that lists what is wrong.

    `services` are those that have a regulation.
    """
    catalogue = read_document(CATALOGUE, Catalogue)
    if faults := list(faults_of(catalogue, services)):
        raise ConfigurationError(f"{CATALOGUE}: {'; '.join(faults)}")
    return catalogue


def directory_of(catalogue: Catalogue) -> Directory:
    """Return what regulations may refer to in this region."""
    return Directory(
        measures={entry.measure: entry.name_ru for entry in catalogue.measure},
        opened={
            entry.measure: categories
            for entry in catalogue.measure
            if (categories := _opening(catalogue, entry.measure))
        },
        items={
            entry.item: DirectoryItem(entry.item_class, entry.unit_okei, entry.scale)
            for entry in catalogue.item
        },
        provider_kinds=frozenset(entry.kind for entry in catalogue.provider),
    )


def _opening(catalogue: Catalogue, measure: str) -> frozenset[str]:
    """Return the categories that open a measure."""
    return frozenset(one.category for one in catalogue.category if measure in one.measures)


def faults_of(catalogue: Catalogue, services: Set[str]) -> Iterator[str]:
    """Give what does not fit together: names that point nowhere, twins, wrong numbers."""
    measures = {entry.measure for entry in catalogue.measure}
    classes = {entry.item_class for entry in catalogue.item}
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
