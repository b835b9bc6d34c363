"""Who comes to which terminal in the demonstration, for what, and with which outcome."""

from __future__ import annotations

from typing import Final, NamedTuple

from processing.wire.outcome import Outcome

TERMINALS: Final = ("AP000001", "AP000002", "AP000003", "CL000001", "UT000001", "SC000001")
SOKOLOVA_HOLDER: Final = bytes.fromhex("019b76daa80070008000000000000001")


class Person(NamedTuple):
    """Somebody of the region's cast (processing/region/cast.toml) who gets a card."""

    card: str
    snils: str
    ru: str
    en: str


CAST: Final = {
    "maria": Person("card-0001", "99999999093", "Мария Соколова, 75 лет", "Maria Sokolova, 75"),
    "irina": Person("card-0002", "99999999194", "Ирина Кузнецова", "Irina Kuznetsova"),
    "viktor": Person("card-0003", "99999999699", "Виктор Орлов", "Viktor Orlov"),
    "tatiana": Person("card-0004", "99999999700", "Татьяна Лебедева", "Tatiana Lebedeva"),
    "nina": Person("card-0005", "99999999800", "Нина Громова", "Nina Gromova"),
}


class Scene(NamedTuple):
    """One command at one terminal with one card, and the outcome it must have."""

    who: str
    terminal: str
    words: tuple[str, ...]
    outcome: Outcome
    ru: str
    en: str
    pin: str = ""


MEDICINE: Final = ("sell", "MEDICINE")
SCENES: Final = (
    Scene(
        "maria",
        "AP000001",
        (*MEDICINE, "ENALAPRIL-10-20=2@145.50"),
        Outcome.APPROVED,
        "две упаковки эналаприла бесплатно",
        "two packs of enalapril, free",
    ),
    Scene(
        "maria",
        "AP000001",
        (*MEDICINE, "METFORMIN-850-60=1@289.90"),
        Outcome.APPROVED,
        "метформин за полцены, но не выше предельной",
        "metformin at half price up to the cap",
    ),
    Scene(
        "maria",
        "AP000001",
        (*MEDICINE, "ENALAPRIL-10-20=2@145.50"),
        Outcome.ALLOWANCE_EXHAUSTED,
        "ещё две упаковки, а по рецепту осталась одна",
        "two more packs, but the prescription has one left",
    ),
    Scene(
        "irina",
        "AP000001",
        (*MEDICINE, "CETIRIZINE-DROPS-10=1@224.80"),
        Outcome.APPROVED,
        "лекарство ребёнку по карте матери",
        "the child's medicine on the mother's card",
    ),
    Scene(
        "viktor",
        "AP000001",
        (*MEDICINE, "ENALAPRIL-10-20=1@145.50"),
        Outcome.NO_ENTITLEMENT,
        "рецепта нет",
        "no prescription",
    ),
    Scene(
        "viktor",
        "CL000001",
        ("visit", "B01.047.001"),
        Outcome.APPROVED,
        "приём терапевта по ОМС",
        "a clinic visit under health insurance",
    ),
    Scene(
        "irina",
        "UT000001",
        ("utility", "WATER.COLD=12.5@54.87", "POWER=420@5.12"),
        Outcome.APPROVED_PARTLY,
        "вода и свет за полцены, сверх нормы полностью",
        "water and power at half price within the norm",
    ),
    Scene(
        "tatiana",
        "SC000001",
        ("sell", "CERTIFICATE", "CARE.HOUR=3@420.00", "--evidence", "tap"),
        Outcome.EVIDENCE_WEAK,
        "сертификат требует ПИН-кода",
        "a certificate needs the PIN",
    ),
    Scene(
        "tatiana",
        "SC000001",
        ("sell", "CERTIFICATE", "CARE.HOUR=3@420.00"),
        Outcome.APPROVED,
        "три часа ухода на дому по сертификату",
        "three hours of home care on a certificate",
        pin="right",
    ),
)
