"""What the shipped rules refer to, and the text of the rule that the tests spoil."""

from importlib import resources

import pytest

from processing.eligibility.directory import ClassUnit, Directory
from processing.eligibility.shipped import CATALOGUE

MEASURES = {
    "CARE.HOME": "Социальное обслуживание на дому",
    "CERT": "Социальный сертификат",
    "SCHOOL.MEAL": "Бесплатное питание в школе",
    "TAXI.SOCIAL": "Социальное такси",
    "TRANSPORT": "Бесплатный проезд",
    "UTIL.50": "Половина коммунальных услуг",
    "UTIL.CERT": "Сертификат на коммунальные услуги",
    "VOUCHER.CHILD": "Путёвка для ребёнка",
}
CATEGORIES = {
    "DISABLED.1": "Инвалид I группы",
    "DISABLED.2": "Инвалид II группы",
    "DISABLED.3": "Инвалид III группы",
    "DISABLED.CHILD": "Ребёнок-инвалид",
    "FAMILY.LARGE": "Многодетная семья",
    "LOW.INCOME": "Малоимущая семья",
    "PENSIONER": "Пенсионер",
    "RADIATION": "Пострадавший от радиации",
    "VETERAN.LABOUR": "Ветеран труда",
    "VETERAN.WAR": "Ветеран боевых действий",
}
EVENTS = {
    "child_born": "рождение ребёнка",
    "disability_set": "установление инвалидности",
    "job_loss": "потеря работы",
    "loss_of_breadwinner": "потеря кормильца",
    "relocation": "переезд",
    "retirement": "выход на пенсию",
    "school_start": "поступление в школу",
}
CLASSES = {
    "CERT": ClassUnit(383, 2),
    "HOME.CARE": ClassUnit(355, 0),
    "MEAL.BREAKFAST": ClassUnit(642, 0),
    "MEAL.LUNCH": ClassUnit(642, 0),
    "POWER": ClassUnit(245, 0),
    "TAXI.RIDE": ClassUnit(642, 0),
    "TRIP": ClassUnit(642, 0),
    "UTIL.CERT": ClassUnit(383, 2),
    "VOUCHER.CHILD": ClassUnit(642, 0),
    "WATER.COLD": ClassUnit(113, 3),
}


def named(names: dict[str, str]) -> dict[str, tuple[str, str]]:
    return {code: (name, code) for code, name in names.items()}


@pytest.fixture(scope="session")
def directory() -> Directory:
    return Directory(
        measures=named(MEASURES),
        categories=named(CATEGORIES),
        events=named(EVENTS),
        records=named({"policy": "полис ОМС", "service_plan": "ИППСУ"}),
        parameters=named({"PM": "прожиточный минимум", "PM.CHILD": "прожиточный минимум детей"}),
        item_classes=CLASSES,
    )


@pytest.fixture(scope="session")
def voucher() -> str:
    """Give the text of the rule that the tests spoil."""
    folder = resources.files("processing.eligibility").joinpath(CATALOGUE)
    return folder.joinpath("child_voucher.toml").read_text("utf-8")
