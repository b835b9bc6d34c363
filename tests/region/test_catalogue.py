"""The catalogue fits together, and says what is wrong when it does not."""

from importlib import resources

import pytest

from processing.kernel.errors import ConfigurationError
from processing.region.catalogue import Catalogue, faults_of, load_catalogue
from processing.region.documents import decode_document
from processing.region.generate import RegionSources
from processing.register.identifiers import read_inn
from processing.regulations.shipped import shipped_regulations

SERVICES = {one.regulation.service for one in shipped_regulations()}


def catalogue_text() -> str:
    return resources.files("processing.region").joinpath("catalogue.toml").read_text("utf-8")


def test_the_catalogue_is_sound() -> None:
    catalogue = load_catalogue(SERVICES)
    assert list(faults_of(catalogue, SERVICES)) == []
    assert len([item for item in catalogue.item if item.unit_okei == 778]) >= 20


def test_providers_of_every_kind(sources: RegionSources) -> None:
    kinds = [provider.kind for provider in sources.catalogue.provider]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "pharmacy": 5,
        "clinic": 3,
        "utility": 2,
        "social": 1,
        "school": 1,
        "transport": 1,
        "taxi": 1,
        "resort": 1,
        "office": 1,
    }
    assert all(read_inn(provider.inn) == provider.inn for provider in sources.catalogue.provider)


def test_every_service_can_be_given_somewhere_to_somebody(sources: RegionSources) -> None:
    catalogue = sources.catalogue
    opened = {measure for category in catalogue.category for measure in category.measures}
    allowed = {service for provider in catalogue.provider for service in provider.services}
    for one in sources.regulations:
        assert one.regulation.service in allowed
        assert {clause.measure for clause in one.clauses} - {None} <= opened


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "school"', 'kind = "school"\ncolour = "red"', "unknown field `colour`"),
        ("granted = 70", 'granted = "many"', r"norm\[2\]\.granted"),
        ('holder = "citizen"', 'holder = "city"', "Invalid enum value 'city'"),
        ("[region]", "[region", "catalogue.toml"),
    ],
)
def test_a_wrong_field_is_named(old: str, new: str, message: str) -> None:
    text = catalogue_text()
    assert old in text
    with pytest.raises(ConfigurationError, match=message):
        decode_document(text.replace(old, new, 1), "catalogue.toml", Catalogue)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            'services = ["UTILITY", "UTILITY.CERT"]',
            'services = ["UTIL", "UTILITY.CERT"]',
            "UTILITY-WATER: there is no service UTIL",
        ),
        ('measures = ["OMS"]', 'measures = ["OMC"]', "category INSURED: there is no measure OMC"),
        ('inn = "9980000010"', 'inn = "9980000011"', "PHARMACY-01: inn: the check digit"),
        ('"AP000002"', '"AP000001"', "terminal AP000001: stands there twice"),
        (
            'item_class = "POWER"\nunit_okei = 245\ngranted',
            'item_class = "P"\nunit_okei = 245\ngranted',
            "norm UTIL.50 P",
        ),
    ],
)
def test_what_points_nowhere_is_named(old: str, new: str, fault: str) -> None:
    text = catalogue_text()
    assert old in text
    catalogue = decode_document(text.replace(old, new, 1), "catalogue.toml", Catalogue)
    (found,) = faults_of(catalogue, SERVICES)
    assert fault in found
