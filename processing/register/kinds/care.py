"""Records of care: plans of social services (ИППСУ) and of rehabilitation (ИПРА), prescriptions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

from processing.register.fields import Choice, Fault, FaultCode, FieldType
from processing.register.kinds.shape import (
    PROVIDER_SYNONYMS,
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

SERVICE_PLAN_YEARS_MAX: Final = 3
"""A plan of social services is looked at anew after three years (442-ФЗ, article 16)."""


def _plan_not_too_long(values: Values, today: date) -> Iterator[Fault]:
    begin, end = values.get("valid_from"), values.get("valid_to")
    if (
        isinstance(begin, date)
        and isinstance(end, date)
        and (end - begin).days > 366 * SERVICE_PLAN_YEARS_MAX
    ):
        yield Fault(
            "valid_to",
            FaultCode.OUT_OF_RANGE,
            f"Действует по: программа составляется не больше чем на {SERVICE_PLAN_YEARS_MAX} года",
            f"Valid to: a plan is made for at most {SERVICE_PLAN_YEARS_MAX} years",
        )


SERVICE_PLAN: Final = record_kind(
    "service_plan",
    "Программы предоставления социальных услуг (ИППСУ)",
    "Service plans",
    creates_rights=True,
    key=("number",),
    fields=(
        field(
            "number",
            FieldType.NUMBER,
            "Номер ИППСУ",
            "Plan number",
            "номер",
            "номер программы",
            "иппсу",
            required=True,
            length_max=40,
        ),
        of_citizen(),
        choice_field(
            "form",
            "Форма обслуживания",
            "Form",
            "форма",
            choices=(
                Choice("home", "на дому", "at home", ("надомная",)),
                Choice(
                    "semi_stationary", "полустационарная", "semi-stationary", ("полустационар",)
                ),
                Choice("stationary", "стационарная", "stationary", ("стационар",)),
            ),
        ),
        field(
            "provider_code",
            FieldType.CODE,
            "Поставщик (код)",
            "Provider (code)",
            *PROVIDER_SYNONYMS,
            length_max=40,
        ),
        measure_field(),
        category_field(),
        field(
            "issued_on",
            FieldType.DATE,
            "Дата составления",
            "Issued on",
            "дата выдачи",
            "дата",
            required=True,
            past=True,
        ),
        first_day(),
        last_day(),
    ),
    checks=(ends_after_start(), _plan_not_too_long),
)


SERVICE_PLAN_LINE: Final = record_kind(
    "service_plan_line",
    "Услуги в программах (ИППСУ)",
    "Service plan lines",
    creates_rights=True,
    key=("plan_number", "item_class"),
    fields=(
        reference(
            "plan_number",
            "plan_id",
            ("service_plan", "number"),
            "Номер ИППСУ",
            "Plan number",
            "номер программы",
            "иппсу",
            "номер",
        ),
        of_citizen(),
        item_class_field("Код услуги", "Service code", "услуга код", "класс"),
        field(
            "name",
            FieldType.TEXT,
            "Услуга",
            "Service",
            "наименование услуги",
            "наименование",
            required=True,
        ),
        field(
            "norm_minutes",
            FieldType.INTEGER,
            "Норма времени, мин",
            "Norm, minutes",
            "норма",
            "минут",
            "норма времени",
            "продолжительность",
            required=True,
            low=1,
            high=1440,
        ),
        field(
            "times",
            FieldType.INTEGER,
            "Сколько раз",
            "How many times",
            "кратность",
            "количество",
            "раз",
            required=True,
            low=1,
            high=1000,
        ),
        choice_field(
            "per",
            "За период",
            "Per",
            "период",
            "периодичность",
            choices=(
                Choice("day", "в день", "a day", ("день", "ежедневно", "сутки")),
                Choice("week", "в неделю", "a week", ("неделя", "еженедельно")),
                Choice("month", "в месяц", "a month", ("месяц", "ежемесячно")),
                Choice("quarter", "в квартал", "a quarter", ("квартал",)),
                Choice("year", "в год", "a year", ("год", "ежегодно")),
                Choice("term", "за весь срок", "in all", ("разово", "срок")),
            ),
        ),
    ),
)

REHABILITATION_PLAN: Final = record_kind(
    "rehabilitation_plan",
    "Программы реабилитации и абилитации (ИПРА)",
    "Rehabilitation plans",
    creates_rights=True,
    key=("number",),
    fields=(
        field(
            "number",
            FieldType.NUMBER,
            "Номер ИПРА",
            "Plan number",
            "номер",
            "ипра",
            "номер программы",
            required=True,
            length_max=40,
        ),
        of_citizen(),
        field(
            "issued_by",
            FieldType.TEXT,
            "Бюро МСЭ",
            "Issued by",
            "кем выдана",
            "мсэ",
            "бюро",
            required=True,
        ),
        field(
            "issued_on",
            FieldType.DATE,
            "Дата выдачи",
            "Issued on",
            "дата",
            required=True,
            past=True,
        ),
        choice_field(
            "disability",
            "Инвалидность",
            "Disability",
            "группа инвалидности",
            "группа",
            choices=(
                Choice("1", "I группа", "group 1", ("i", "1 группа", "первая")),
                Choice("2", "II группа", "group 2", ("ii", "2 группа", "вторая")),
                Choice("3", "III группа", "group 3", ("iii", "3 группа", "третья")),
                Choice("child", "ребёнок-инвалид", "disabled child", ("ребенок", "детство")),
            ),
        ),
        first_day(),
        last_day(required=False),
    ),
    checks=(ends_after_start(),),
)

REHABILITATION_MEASURE: Final = record_kind(
    "rehabilitation_measure",
    "Мероприятия и средства реабилитации (ИПРА)",
    "Rehabilitation measures",
    creates_rights=True,
    key=("plan_number", "item_class", "valid_from"),
    fields=(
        reference(
            "plan_number",
            "plan_id",
            ("rehabilitation_plan", "number"),
            "Номер ИПРА",
            "Plan number",
            "номер программы",
            "ипра",
            "номер",
        ),
        of_citizen(),
        item_class_field("Код мероприятия", "Measure code", "код тср", "класс", "код"),
        field(
            "name", FieldType.TEXT, "Мероприятие", "Measure", "наименование", "тср", required=True
        ),
        field(
            "quantity",
            FieldType.INTEGER,
            "Количество",
            "Quantity",
            "кол во",
            "колво",
            required=True,
            low=1,
            high=100_000,
        ),
        field("executor", FieldType.TEXT, "Исполнитель", "Executor", "кто исполняет"),
        first_day(),
        last_day(required=False),
    ),
    checks=(ends_after_start(),),
)


def valid_days_end(prescribed_on: date, valid_days: int) -> date:
    """Return the last day on which a prescription is honoured."""
    return prescribed_on + timedelta(days=valid_days)


def _not_expired(values: Values, today: date) -> Iterator[Fault]:
    written, days = values.get("prescribed_on"), values.get("valid_days")
    if isinstance(written, date) and isinstance(days, int):
        last = valid_days_end(written, days)
        if last < today:
            yield Fault(
                "prescribed_on",
                FaultCode.EXPIRED,
                f"Дата выписки: срок рецепта истёк {last:%d.%m.%Y}; нужен новый рецепт",
                f"Prescribed on: the prescription ended on {last}; a new one is needed",
            )


PRESCRIPTION: Final = record_kind(
    "prescription",
    "Льготные рецепты (148-1/у-04(л))",
    "Prescriptions",
    creates_rights=True,
    key=("series", "number"),
    fields=(
        field(
            "series",
            FieldType.NUMBER,
            "Серия",
            "Series",
            "серия рецепта",
            required=True,
            length_max=20,
        ),
        field(
            "number",
            FieldType.NUMBER,
            "Номер",
            "Number",
            "номер рецепта",
            "рецепт",
            required=True,
            length_max=30,
        ),
        of_citizen(),
        item_class_field(
            "МНН (код)", "Medicine's INN (code)", "мнн", "препарат", "лекарство", "код мнн"
        ),
        field(
            "quantity",
            FieldType.INTEGER,
            "Количество упаковок",
            "Packs",
            "количество",
            "кол во",
            "упаковок",
            "колво",
            required=True,
            low=1,
            high=100,
        ),
        field(
            "mkb_code",
            FieldType.MKB,
            "Код МКБ",
            "ICD code",
            "мкб",
            "мкб 10",
            "диагноз",
            length_max=10,
        ),
        choice_field(
            "funding",
            "Источник финансирования",
            "Funding",
            "финансирование",
            "бюджет",
            choices=(
                Choice("federal", "федеральный бюджет", "federal", ("федеральный", "1")),
                Choice(
                    "regional",
                    "бюджет субъекта",
                    "regional",
                    ("региональный", "областной", "субъект", "2"),
                ),
                Choice("municipal", "муниципальный бюджет", "municipal", ("муниципальный", "3")),
            ),
        ),
        choice_field(
            "payment_percent",
            "Оплата гражданином, %",
            "Citizen pays, %",
            "оплата",
            "процент оплаты",
            "оплачивает",
            choices=(
                Choice(0, "бесплатно", "free", ("0", "бесплатный")),
                Choice(50, "50 %", "50 %", ("50", "половина", "0 5")),
            ),
        ),
        field(
            "prescribed_on",
            FieldType.DATE,
            "Дата выписки",
            "Prescribed on",
            "дата рецепта",
            "выписан",
            "дата",
            required=True,
            past=True,
        ),
        choice_field(
            "valid_days",
            "Срок действия, дней",
            "Valid, days",
            "срок",
            "срок действия",
            "действителен",
            choices=(
                Choice(15, "15 дней", "15 days", ("15",)),
                Choice(30, "30 дней", "30 days", ("30", "месяц", "1 месяц")),
                Choice(90, "90 дней", "90 days", ("90", "3 месяца")),
            ),
        ),
        field("doctor", FieldType.TEXT, "Врач", "Doctor", "фио врача", "кто выписал"),
        field(
            "provider_code",
            FieldType.CODE,
            "Медицинская организация (код)",
            "Clinic (code)",
            "мо",
            "лпу",
            "поликлиника",
            *PROVIDER_SYNONYMS,
            length_max=40,
        ),
    ),
    checks=(_not_expired,),
)
