"""A local measure (ЛМСЗ) and a package of them: 10.05.I 2.1.0 of ЕГИССО, described as data."""

from __future__ import annotations

from typing import Final

from processing.exchange.egisso.spec import (
    BOOLEAN,
    DATE,
    INTEGER,
    MOMENT,
    PERCENT,
    UUID,
    Form,
    Node,
    choice,
    digits,
    text,
)

MESSAGE: Final = "urn://egisso-ru/msg/10.05.I/2.1.0"
PACKAGE: Final = "urn://egisso-ru/types/package-LMSZ/2.1.0"
LOCAL: Final = "urn://egisso-ru/types/local-MSZ/2.1.0"

ELEMENTS_MAX: Final = 1_000
"""Most measures, and most removals, of one package: the schema's own limit."""

_NUMBER: Final = Form(words=("от 9 до 30 цифр", "9 to 30 digits"), pattern=r"[0-9]{9,30}")
_KBK: Final = Form(words=("20 знаков без пробелов", "20 characters, no space"), pattern=r"\S{20}")
_CRITERION: Final = Form(words=("до 10 цифр", "up to 10 digits"), pattern=r"[0-9]{1,10}")
_COEFFICIENT: Final = Form(
    words=("число вида 1.5", "a number such as 1.5"), pattern=r"[0-9](\.[0-9])?"
)
_OKTMO: Final = Form(words=("код ОКТМО из 8 цифр", "an OKTMO code of 8 digits"), pattern="[0-9]{8}")


def _leaf(name: str, form: Form, least: int = 1, most: int | None = 1) -> Node:
    return Node(name=name, form=form, least=least, most=most)


def _group(name: str, *children: Node, least: int = 1, most: int | None = 1) -> Node:
    return Node(name=name, children=children, least=least, most=most)


_CATEGORY: Final = _group(
    "localCategory",
    _leaf("id", UUID),
    _leaf("code", text(20), 0),
    _leaf("title", text(2000)),
    _leaf("codeCategoryKMSZ", digits(8)),
    _group(
        "needsCriteria",
        _leaf("needsCriteriaCode", _CRITERION),
        _leaf("needsCriteriaDate", DATE),
        _leaf("needsCriteriaCoefficient", _COEFFICIENT, 0),
        least=0,
        most=None,
    ),
    most=None,
)

LOCAL_MEASURE: Final = (
    _leaf("id", UUID),
    _leaf("code", text(20), 0),
    _leaf("title", text(2000)),
    _leaf("dateEnact", DATE),
    _leaf("dateExpiration", DATE, 0),
    _leaf("periodicityCode", digits(2)),
    _group(
        "classificationKMSZ",
        _leaf("codePartKMSZ", digits(6)),
        _leaf("codeMSZ", digits(4)),
        _leaf("codeProvisionForm", digits(2)),
        _leaf("codeLevelNPA", digits(2)),
        _group("localCategories", _CATEGORY),
        _group(
            "cofinancing",
            _group(
                "fundingSource",
                _leaf("codeFundingSource", digits(4)),
                _leaf("quota", PERCENT),
                most=None,
            ),
        ),
    ),
    _leaf("estimation", text(2000), 0),
    _group("territories", _leaf("codeOktmo", _OKTMO, most=None)),
    _group(
        "reasons",
        _group(
            "NPA",
            _leaf("number", text(20)),
            _leaf("date", DATE),
            _leaf("title", text(2000)),
            _leaf("authority", text(2000)),
            _leaf("url", text(1000)),
            most=None,
        ),
    ),
    _leaf("KBKCode", _KBK),
    _leaf("frguCode", _NUMBER, 0),
    _leaf("frguPurpose", _NUMBER, 0),
    _leaf("cases", text(2000)),
    _leaf("conditions", text(2000)),
    _group("methods", _leaf("method", digits(2)), _leaf("url", text(500), 0), most=None),
    _leaf("formReq", choice("1", "2"), most=None),
    _leaf("formRecieve", choice("1", "2", "3"), most=None),
    _group(
        "docTypesList",
        _leaf("documentTypeName", text(2000)),
        _leaf("documentOrigin", text(8)),
        _leaf("documentQ", INTEGER),
        _leaf("documentNess", BOOLEAN),
        _leaf("documentComment", text(1024), 0),
        most=None,
    ),
    _group(
        "stepsForMSZ",
        _leaf("stepNumber", INTEGER),
        _leaf("stepH", text(50)),
        _leaf("stepDescr", text(1024)),
        least=0,
        most=None,
    ),
    _leaf("famSign", choice("1", "2"), 0),
    _leaf("heirdomFactAssignment", BOOLEAN, 0),
    _leaf("heirdomOsznPoint", BOOLEAN, 0),
    _leaf("heirdomOrganizationPoint", BOOLEAN, 0),
    _leaf("basisPersonLivingSign", choice("0", "1", "2"), 0),
    # What a package adds to a measure.
    Node(name="lastChanging", form=MOMENT, namespace=PACKAGE),
    Node(name="previousId", form=UUID, least=0, namespace=PACKAGE),
)
"""The elements of localMSZ, in their order; their namespace is LOCAL unless they say another."""

REMOVAL: Final = (
    Node(name="id", form=UUID, namespace=PACKAGE),
    Node(name="localMszId", form=UUID, namespace=PACKAGE),
)
"""The elements of invalidation."""
