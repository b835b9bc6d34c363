"""The catalogue fits together, and says what is wrong when it does not."""

from importlib import resources

import pytest

from processing.kernel.errors import ConfigurationError
from processing.region.catalogue import CODES, Catalogue, faults_of, load_catalogue
from processing.region.documents import decode_document
from processing.region.generate import RegionSources
from processing.register.identifiers import read_inn


def catalogue_text() -> str:
    return resources.files("processing.region").joinpath("catalogue.toml").read_text("utf-8")


def test_the_catalogue_is_sound() -> None:
    catalogue = load_catalogue()
    assert list(faults_of(catalogue)) == []
    assert [service.service for service in catalogue.service] == [
        "MEDICINE",
        "OMS.VISIT",
        "UTILITY",
        "CERTIFICATE",
    ]
    assert len([item for item in catalogue.item if item.unit_okei == 778]) >= 20


def test_providers_of_every_kind(sources: RegionSources) -> None:
    kinds = [provider.kind for provider in sources.catalogue.provider]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "pharmacy": 5,
        "clinic": 3,
        "utility": 2,
        "social": 1,
        "school": 1,
    }
    assert all(read_inn(provider.inn) == provider.inn for provider in sources.catalogue.provider)


def test_every_service_can_be_given_somewhere_to_somebody(sources: RegionSources) -> None:
    catalogue = sources.catalogue
    opened = {measure for category in catalogue.category for measure in category.measures}
    allowed = {service for provider in catalogue.provider for service in provider.services}
    for service in catalogue.service:
        assert service.service in allowed
        assert {price.measure for price in service.prices} <= opened


@pytest.mark.parametrize(
    ("service", "consumes", "shortage", "evidence"),
    [
        ("MEDICINE", 1, 1, 1),
        ("OMS.VISIT", 3, 1, 1),
        ("UTILITY", 1, 2, 1),
        ("CERTIFICATE", 2, 2, 2),
    ],
)
def test_words_become_the_database_s_codes(
    sources: RegionSources, service: str, consumes: int, shortage: int, evidence: int
) -> None:
    found = next(one for one in sources.catalogue.service if one.service == service)
    assert CODES[found.consumes] == consumes
    assert CODES[found.shortage] == shortage
    assert CODES[found.evidence] == evidence


def test_goods_are_put_aside_where_that_makes_sense(sources: RegionSources) -> None:
    reservable = {one.service: one.reserve_minutes for one in sources.catalogue.service}
    assert reservable == {
        "MEDICINE": 3 * 24 * 60,
        "OMS.VISIT": None,
        "UTILITY": None,
        "CERTIFICATE": 7 * 24 * 60,
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "school"', 'kind = "school"\ncolour = "red"', "unknown field `colour`"),
        ("percent = 50,", 'percent = "half",', r"service\[0\]\.prices\[1\]\.percent"),
        ('consumes = "kopecks"', 'consumes = "roubles"', "Invalid enum value 'roubles'"),
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
        ('{ measure = "CERT", percent', '{ measure = "CART", percent', "there is no measure CART"),
        (
            'services = ["UTILITY"]',
            'services = ["UTIL"]',
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
    (found,) = faults_of(catalogue)
    assert fault in found
