"""Who comes to which terminal in the demonstration, for what, and with which outcome."""

from __future__ import annotations

from typing import Final, NamedTuple

from processing.wire.outcome import Outcome

TERMINALS: Final = (
    "AP000001",
    "AP000002",
    "AP000003",
    "CL000001",
    "UT000001",
    "SC000001",
    "ED000001",
    "TX000001",
)
SOKOLOVA_HOLDER: Final = bytes.fromhex("019b76daa80070008000000000000001")


ALEXEY: Final = "000004"
"""How terminals call Irina's elder son: the end of his id."""


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
    told: tuple[str, str] | None = None
    """The regulation's own words for the outcome, Russian and English, if it has any."""


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
        ("visit", "start", "OMS.VISIT", "B01.047.001"),
        Outcome.APPROVED,
        "приём терапевта по ОМС начался",
        "a clinic visit under health insurance begins",
    ),
    Scene(
        "irina",
        "ED000001",
        ("sell", "SCHOOL.MEALS", "MEAL.LUNCH=1@138", "--for", ALEXEY),
        Outcome.APPROVED,
        "школьный обед старшему сыну",
        "a school lunch for the elder son",
    ),
    Scene(
        "irina",
        "ED000001",
        ("sell", "SCHOOL.MEALS", "MEAL.LUNCH=1@138", "--for", ALEXEY),
        Outcome.ALLOWANCE_EXHAUSTED,
        "второй обед за день",
        "a second lunch on the same day",
        told=("Это питание сегодня уже получено", "This meal was had today already"),
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
    Scene(
        "viktor",
        "CL000001",
        ("visit", "finish"),
        Outcome.APPROVED,
        "приём окончен: карта подписывает число от центра",
        "the visit ends: the card signs the centre's number",
    ),
)

PRESCRIBED: Final = Scene(
    "maria",
    "AP000001",
    (*MEDICINE, "BISOPROLOL-5-30=1@187"),
    Outcome.APPROVED,
    "лекарство по рецепту, который только что внесли в регистр",
    "the medicine that the register has just learned of",
)
HOME_VISIT: Final = Scene(
    "maria",
    "SC000001",
    ("visit", "start", "HOME.SERVICE", "HOME.CLEANING=60@7"),
    Outcome.APPROVED,
    "соцработник начинает уборку, не дольше часа",
    "a social worker begins cleaning, an hour at most",
)
HOME_VISIT_ENDS: Final = Scene(
    "maria",
    "SC000001",
    ("visit", "finish"),
    Outcome.APPROVED,
    "списано, сколько прошло; остальное вернулось",
    "charged for as long as it lasted; the rest is free again",
)
TAXI: Final = Scene(
    "maria",
    "TX000001",
    ("book", "SOCIAL.TAXI", "TAXI.RIDE=1@380", "--at", "09:30"),
    Outcome.APPROVED,
    "социальное такси заказано на утро",
    "a social taxi is booked for the morning",
)
