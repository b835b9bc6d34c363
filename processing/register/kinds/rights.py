"""Records of rights: benefit categories, entitlements, certificates, policies, school meals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from processing.register.fields import Choice, Fault, FaultCode, FieldType
from processing.register.kinds.family import AMOUNT_KOPECKS_MAX
from processing.register.kinds.shape import (
    Values,
    category_field,
    choice_field,
    ends_after_start,
    field,
    first_day,
    item_class_field,
    last_day,
    measure_field,
    of_citizen,
    record_kind,
    reference,
)

CATEGORY: Final = record_kind(
    "category",
    "Льготные категории граждан",
    "Benefit categories held",
    table="citizen_category",
    creates_rights=True,
    key=("snils", "category", "valid_from"),
    fields=(
        of_citizen(),
        category_field(),
        first_day(),
        last_day(),
        field(
            "evidence",
            FieldType.TEXT,
            "Подтверждающий документ",
            "Evidence",
            "документ",
            "основание",
            "реквизиты документа",
            "удостоверение",
            required=True,
        ),
    ),
    checks=(ends_after_start(),),
)


def _one_holder(values: Values, today: date) -> Iterator[Fault]:
    citizen, household = values.get("snils"), values.get("household_number")
    if (citizen is None) == (household is None):
        yield Fault(
            "snils",
            FaultCode.DOES_NOT_FIT,
            "СНИЛС: укажите либо СНИЛС гражданина, либо номер дела семьи",
            "SNILS: give either the citizen's SNILS or the household's number",
        )


ENTITLEMENT: Final = record_kind(
    "entitlement",
    "Назначения мер",
    "Entitlements",
    creates_rights=True,
    key=("snils", "household_number", "measure", "valid_from"),
    fields=(
        of_citizen(required=False),
        reference(
            "household_number",
            "household_id",
            ("household", "number"),
            "Номер дела семьи",
            "Household number",
            "номер семьи",
            "семья",
            required=False,
        ),
        measure_field(),
        category_field(),
        field(
            "decision_number",
            FieldType.TEXT,
            "Номер решения",
            "Decision number",
            "решение",
            "номер распоряжения",
            required=True,
            length_max=60,
        ),
        field(
            "decided_on",
            FieldType.DATE,
            "Дата решения",
            "Decided on",
            "дата",
            "дата распоряжения",
            required=True,
            past=True,
        ),
        first_day(),
        last_day(),
    ),
    checks=(_one_holder, ends_after_start()),
)

CERTIFICATE: Final = record_kind(
    "certificate",
    "Социальные сертификаты",
    "Social certificates",
    creates_rights=True,
    key=("number",),
    fields=(
        field(
            "number",
            FieldType.NUMBER,
            "Номер сертификата",
            "Certificate number",
            "номер",
            "сертификат",
            required=True,
            length_max=40,
        ),
        of_citizen(),
        measure_field(),
        category_field(),
        item_class_field("На что (код услуги)", "For what (code)", "услуга", "код услуги", "класс"),
        field(
            "amount_kopecks",
            FieldType.ROUBLES,
            "Номинал, руб.",
            "Amount, roubles",
            "номинал",
            "сумма",
            "размер",
            required=True,
            low=1,
            high=AMOUNT_KOPECKS_MAX,
        ),
        field(
            "decided_on",
            FieldType.DATE,
            "Дата выдачи",
            "Decided on",
            "дата",
            "дата решения",
            required=True,
            past=True,
        ),
        first_day(),
        last_day(),
    ),
    checks=(ends_after_start(),),
)

POLICY: Final = record_kind(
    "policy",
    "Полисы ОМС",
    "Health insurance policies",
    creates_rights=True,
    key=("enp", "valid_from"),
    fields=(
        of_citizen(),
        field(
            "enp",
            FieldType.ENP,
            "Номер полиса ОМС (ЕНП)",
            "Policy number (ENP)",
            "енп",
            "полис",
            "номер полиса",
            "единый номер полиса",
            required=True,
            length_max=64,
        ),
        field(
            "insurer",
            FieldType.TEXT,
            "Страховая организация",
            "Insurer",
            "смо",
            "страховщик",
            "страховая",
            required=True,
        ),
        field(
            "clinic_code",
            FieldType.CODE,
            "Прикреплён к поликлинике (код)",
            "Clinic (code)",
            "прикрепление",
            "поликлиника",
            "код мо",
            "мо прикрепления",
            length_max=40,
        ),
        first_day(),
        last_day(required=False),
        field(
            "prolongs",
            FieldType.FLAG,
            "Продлевается автоматически",
            "Prolongs by itself",
            "автопродление",
            "продление",
            required=True,
        ),
    ),
    checks=(ends_after_start(),),
)

SCHOOL_MEALS: Final = record_kind(
    "school_meals",
    "Школьное питание",
    "School meals",
    creates_rights=True,
    key=("snils", "valid_from"),
    fields=(
        of_citizen(),
        field(
            "school_code",
            FieldType.CODE,
            "Школа (код)",
            "School (code)",
            "школа",
            "код школы",
            "образовательная организация",
            required=True,
            length_max=40,
        ),
        field("school_class", FieldType.TEXT, "Класс", "Class", "кл", length_max=20),
        choice_field(
            "meal",
            "Питание",
            "Meal",
            "вид питания",
            choices=(
                Choice("breakfast", "завтрак", "breakfast", ("з",)),
                Choice("lunch", "обед", "lunch", ("о",)),
                Choice(
                    "breakfast_and_lunch",
                    "завтрак и обед",
                    "breakfast and lunch",
                    ("двухразовое", "оба"),
                ),
            ),
        ),
        item_class_field("Код питания", "Meal's code", "код услуги"),
        measure_field(),
        category_field(),
        first_day(),
        last_day(),
    ),
    checks=(ends_after_start(),),
)
