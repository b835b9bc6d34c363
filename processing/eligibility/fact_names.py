"""The facts that a rule may ask for: what they are called, who holds them, what to bring.

This is the closed list of the language. A new fact comes with its line here, its column in
`eligibility.facts` and its comparison in both `evaluating` and `compiling`; a property test holds
these two equal.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Final

import msgspec


class FactName(StrEnum):
    """A fact, as an official writes it in a rule."""

    AGE = "age"
    SEX = "sex"
    CATEGORY = "category"
    DISABILITY_GROUP = "disability group"
    CHILDREN = "children"
    HOUSEHOLD_SIZE = "household size"
    INCOME_PERCENT = "income percent"
    INCOME_PER_HEAD = "income per head"
    RESIDENT = "resident"
    PREGNANT = "pregnant"
    EMPLOYED = "employed"
    PENSIONER = "pensioner"
    DAYS_SINCE_EVENT = "days since event"
    MEASURE = "measure"
    MEASURE_THIS_YEAR = "measure this year"
    RECORD = "record"


class FactType(Enum):
    """How a fact is compared."""

    NUMBER = "at_least, at_most"
    WORDS = "one_of"
    TRUTH = "equals"


class FactInfo(msgspec.Struct, frozen=True):
    """What is told of a fact; `qualifier` names the field that says which one is meant.

    `field` is the field of `Facts` that must be known. `holder` knows the fact, `bring` is what
    proves it.
    """

    type: FactType
    field: str
    ru: str
    en: str
    holder_ru: str
    holder_en: str
    bring_ru: str
    bring_en: str
    qualifier: str | None = None


_REGISTRY_OFFICE: Final = ("орган ЗАГС", "the registry office")
_SOCIAL: Final = ("орган социальной защиты", "the social protection office")
_TAX: Final = ("налоговая служба и Социальный фонд", "the tax service and the Social Fund")
_FUND: Final = ("Социальный фонд", "the Social Fund")
_PORTRAIT: Final = ("документы о составе семьи", "documents on who belongs to the household")

FACTS: Final[dict[FactName, FactInfo]] = {
    FactName.AGE: FactInfo(
        FactType.NUMBER,
        "birth_date",
        "возраст, полных лет",
        "age in whole years",
        *_REGISTRY_OFFICE,
        "паспорт или свидетельство о рождении",
        "a passport or birth certificate",
    ),
    FactName.SEX: FactInfo(
        FactType.WORDS,
        "sex",
        "пол",
        "sex",
        *_REGISTRY_OFFICE,
        "паспорт или свидетельство о рождении",
        "a passport or birth certificate",
    ),
    FactName.CATEGORY: FactInfo(
        FactType.WORDS,
        "categories",
        "льготная категория",
        "benefit category",
        *_SOCIAL,
        "документ, подтверждающий категорию",
        "the document that proves the category",
    ),
    FactName.DISABILITY_GROUP: FactInfo(
        FactType.NUMBER,
        "categories",
        "группа инвалидности",
        "disability group",
        "бюро МСЭ",
        "the medical and social expert bureau",
        "справка МСЭ",
        "the bureau's certificate",
    ),
    FactName.CHILDREN: FactInfo(
        FactType.NUMBER,
        "household_births",
        "детей в семье",
        "children in the household",
        *_SOCIAL,
        "свидетельства о рождении детей",
        "the children's birth certificates",
        "younger_than",
    ),
    FactName.HOUSEHOLD_SIZE: FactInfo(
        FactType.NUMBER,
        "household_births",
        "человек в семье",
        "people in the household",
        *_SOCIAL,
        *_PORTRAIT,
    ),
    FactName.INCOME_PERCENT: FactInfo(
        FactType.NUMBER,
        "income_kopecks",
        "доход на человека, % от величины",
        "income per head, % of the amount",
        *_TAX,
        "справки о доходах всех взрослых членов семьи",
        "income certificates of all adults of the household",
        "parameter",
    ),
    FactName.INCOME_PER_HEAD: FactInfo(
        FactType.NUMBER,
        "income_kopecks",
        "доход на человека в месяц, копеек",
        "income per head a month, kopecks",
        *_TAX,
        "справки о доходах всех взрослых членов семьи",
        "income certificates of all adults of the household",
    ),
    FactName.RESIDENT: FactInfo(
        FactType.TRUTH,
        "resident",
        "регистрация по месту жительства в регионе",
        "registered as living in the region",
        "МВД, отдел по вопросам миграции",
        "the migration office",
        "отметка о регистрации по месту жительства",
        "proof of registration at the place of living",
    ),
    FactName.PREGNANT: FactInfo(
        FactType.TRUTH,
        "pregnant",
        "беременность",
        "pregnancy",
        "женская консультация",
        "the antenatal clinic",
        "справка о постановке на учёт",
        "the clinic's certificate",
    ),
    FactName.EMPLOYED: FactInfo(
        FactType.TRUTH,
        "employed",
        "работает",
        "is employed",
        *_FUND,
        "сведения о трудовой деятельности (СТД-СФР)",
        "the record of employment",
    ),
    FactName.PENSIONER: FactInfo(
        FactType.TRUTH,
        "pensioner",
        "получает пенсию",
        "draws a pension",
        *_FUND,
        "справка о назначении пенсии",
        "the certificate of pension",
    ),
    FactName.DAYS_SINCE_EVENT: FactInfo(
        FactType.NUMBER,
        "events",
        "дней после события",
        "days since the event",
        *_SOCIAL,
        "документ о событии",
        "a document about the event",
        "event",
    ),
    FactName.MEASURE: FactInfo(
        FactType.WORDS,
        "measures",
        "получает меру",
        "has the measure",
        *_SOCIAL,
        "решение о назначении",
        "the decision that granted it",
    ),
    FactName.MEASURE_THIS_YEAR: FactInfo(
        FactType.WORDS,
        "year_measures",
        "получал меру в этом году",
        "had the measure this year",
        *_SOCIAL,
        "решение о назначении",
        "the decision that granted it",
    ),
    FactName.RECORD: FactInfo(
        FactType.WORDS,
        "records",
        "действующий документ",
        "record in force",
        *_SOCIAL,
        "сам документ",
        "the record itself",
    ),
}
"""Every fact of the language."""

DISABILITY_CATEGORIES: Final = {1: "DISABLED.1", 2: "DISABLED.2", 3: "DISABLED.3"}
"""The benefit categories that say a disability group; the lowest held counts."""

SEXES: Final = ("f", "m")
