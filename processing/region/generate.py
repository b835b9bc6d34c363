"""Generates a region as batches of rows: the same order gives the same rows, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

import msgspec

from processing.eligibility.document import Rule
from processing.eligibility.shipped import shipped_rules
from processing.kernel.errors import ConfigurationError
from processing.region.cast import Cast, cast_households, load_cast
from processing.region.catalogue import Catalogue, directory_of, load_catalogue
from processing.region.chance import Chance, Weighted
from processing.region.families import FamilyDraw
from processing.region.model import Household
from processing.region.papers import add_papers
from processing.region.population import Names, Population, load_names, load_population
from processing.region.residents import Residents
from processing.region.rights import RightsRules
from processing.region.rows import Batch, add_catalogue, add_eligibility, add_household
from processing.regulations.check import check_regulation
from processing.regulations.document import Regulation
from processing.regulations.shipped import shipped_regulations

CITIZENS_MAX: Final = 5_000_000
"""Most citizens in one region: document numbers would become scarce above."""

BATCH_CITIZENS: Final = 2_500
"""Citizens in one batch: what is held in memory at a time."""


class RegionOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be made: so many citizens, from this seed, with documents as of `today`."""

    citizens: int
    seed: int
    today: date


class RegionSources(msgspec.Struct, frozen=True, kw_only=True):
    """The documents a region is made from."""

    catalogue: Catalogue
    regulations: tuple[Regulation, ...]
    rules: tuple[Rule, ...]
    cast: Cast
    population: Population
    names: Weighted[Names]

    @property
    def first_day(self) -> date:
        """The first day on which every service is in force."""
        return max(one.regulation.valid_from for one in self.regulations)

    @property
    def last_day(self) -> date:
        """The last day on which every service is in force."""
        return min(one.regulation.valid_to for one in self.regulations)


def load_sources() -> RegionSources:
    """Read all documents; raises `ConfigurationError` or `DocumentError` naming the field."""
    regulations = shipped_regulations()
    catalogue = load_catalogue({one.regulation.service for one in regulations})
    for regulation in regulations:
        check_regulation(regulation, directory_of(catalogue))
    return RegionSources(
        catalogue=catalogue,
        regulations=regulations,
        rules=shipped_rules(),
        cast=load_cast(),
        population=load_population(),
        names=load_names(),
    )


def check_order(order: RegionOrder, sources: RegionSources) -> None:
    """Raise `ConfigurationError` for an order that cannot be filled."""
    cast_count = len(sources.cast.members)
    if not cast_count <= order.citizens <= CITIZENS_MAX:
        raise ConfigurationError(
            f"--citizens {order.citizens}: a region has {cast_count} (the demonstration's cast) "
            f"to {CITIZENS_MAX} citizens"
        )
    if not sources.first_day <= order.today <= sources.last_day:
        raise ConfigurationError(
            f"--today {order.today}: the catalogue's services are in force from "
            f"{sources.first_day} to {sources.last_day}"
        )


def generate(order: RegionOrder, sources: RegionSources) -> Iterator[Batch]:
    """Give the region in batches, the catalogue and the cast first; see `check_order`."""
    certificate = sources.population.certificate
    rules = RightsRules(
        sources.catalogue,
        sources.regulations,
        (certificate.measure, certificate.item_class),
        order.today,
    )
    region = sources.catalogue.region.region
    batch = Batch()
    add_catalogue(batch, sources.catalogue, sources.regulations)
    add_eligibility(batch, sources.catalogue, sources.rules)
    for household in households(order, sources):
        rights = rules.of(household)
        add_household(batch, region, household, rights)
        add_papers(batch, household, rights, order.today)
        if batch.citizen_count >= BATCH_CITIZENS:
            yield batch
            batch = Batch()
    if batch.citizen_count:
        yield batch


def households(order: RegionOrder, sources: RegionSources) -> Iterator[Household]:
    """Give the cast's households, then drawn ones until there are as many citizens as ordered."""
    room = order.citizens
    for household in cast_households(sources.cast, sources.catalogue, order.today):
        room -= len(household.members)
        yield household
    chance = Chance(order.seed)
    population = sources.population
    families = FamilyDraw(
        chance,
        sources.names,
        Weighted(
            [share.kind for share in population.household],
            [share.weight for share in population.household],
        ),
        Weighted(range(1, len(population.children.weights) + 1), population.children.weights),
        order.today,
    )
    residents = Residents(chance, sources.catalogue, population, order.today)
    while room > 0:
        household = residents.household(families.draw(), room)
        room -= len(household.members)
        yield household
