"""Records of families and circumstances: households, members, accounts, incomes, life events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from processing.register.fields import Choice, Fault, FaultCode, FieldType
from processing.register.kinds.shape import (
    PROVIDER_SYNONYMS,
    Values,
    choice_field,
    ends_after_start,
    field,
    first_day,
    last_day,
    of_citizen,
    record_kind,
    reference,
)

AMOUNT_KOPECKS_MAX: Final = 10**12
"""Largest amount of an income or a certificate: ten thousand million roubles."""

HOUSEHOLD: Final = record_kind(
    "household",
    "Семьи (домохозяйства)",
    "Households",
    key=("number",),
    key_column="household_id",
    fields=(
        field(
            "number",
            FieldType.NUMBER,
            "Номер дела семьи",
            "Household number",
            "номер семьи",
            "номер",
            "номер дела",
            "семья",
            required=True,
            length_max=40,
        ),
        field(
            "address",
            FieldType.TEXT,
            "Адрес",
            "Address",
            "адрес проживания",
            required=True,
            length_max=400,
        ),
        field("region", FieldType.INTEGER, "Регион", "Region", "код региона", low=1, high=99),
    ),
)


HOUSEHOLD_NUMBER: Final = reference(
    "household_number",
    "household_id",
    ("household", "number"),
    "Номер дела семьи",
    "Household number",
    "номер семьи",
    "номер дела",
    "семья",
)

HOUSEHOLD_MEMBER: Final = record_kind(
    "household_member",
    "Состав семей",
    "Household members",
    key=("household_number", "snils"),
    fields=(
        HOUSEHOLD_NUMBER,
        of_citizen(),
        choice_field(
            "relation",
            "Кем приходится",
            "Relation",
            "степень родства",
            "родство",
            "отношение",
            choices=(
                Choice("head", "заявитель (глава семьи)", "head", ("глава", "заявитель")),
                Choice(
                    "spouse", "супруг или супруга", "spouse", ("супруг", "супруга", "муж", "жена")
                ),
                Choice("child", "ребёнок", "child", ("сын", "дочь", "дети", "усыновленный")),
                Choice(
                    "other",
                    "иной член семьи",
                    "other",
                    ("иное", "мать", "отец", "внук", "внучка", "бабушка", "дедушка", "другой"),
                ),
            ),
        ),
    ),
)

INCOME: Final = record_kind(
    "income",
    "Доходы",
    "Incomes",
    key=("snils", "month", "income_kind", "payer"),
    fields=(
        of_citizen(),
        choice_field(
            "income_kind",
            "Вид дохода",
            "Kind of income",
            "доход",
            choices=(
                Choice("salary", "заработная плата", "salary", ("зарплата", "зп")),
                Choice("pension", "пенсия", "pension"),
                Choice("benefit", "пособие", "benefit", ("социальная выплата", "выплата")),
                Choice("scholarship", "стипендия", "scholarship"),
                Choice("alimony", "алименты", "alimony"),
                Choice(
                    "business",
                    "доход от предпринимательства",
                    "business",
                    ("ип", "самозанятость", "нпд"),
                ),
                Choice("other", "иной доход", "other", ("иное", "другое")),
            ),
        ),
        field(
            "month",
            FieldType.MONTH,
            "Месяц",
            "Month",
            "период",
            "месяц дохода",
            required=True,
            past=True,
        ),
        field(
            "amount_kopecks",
            FieldType.ROUBLES,
            "Сумма, руб.",
            "Amount, roubles",
            "сумма",
            "размер",
            "сумма дохода",
            "amount",
            required=True,
            high=AMOUNT_KOPECKS_MAX,
        ),
        field(
            "payer",
            FieldType.TEXT,
            "Источник",
            "Payer",
            "работодатель",
            "кем выплачен",
            "источник дохода",
        ),
    ),
)

CIRCUMSTANCE: Final = record_kind(
    "circumstance",
    "Обстоятельства",
    "Circumstances",
    key=("snils", "circumstance", "valid_from"),
    fields=(
        of_citizen(),
        choice_field(
            "circumstance",
            "Обстоятельство",
            "Circumstance",
            "статус",
            "занятость",
            choices=(
                Choice("employed", "работает", "employed", ("занят", "трудоустроен")),
                Choice("unemployed", "безработный", "unemployed", ("на учете в цзн",)),
                Choice(
                    "self_employed", "самозанятый или ИП", "self-employed", ("самозанятый", "ип")
                ),
                Choice("pensioner", "пенсионер", "pensioner", ("на пенсии",)),
                Choice("student", "учится", "student", ("студент", "учащийся", "школьник")),
                Choice("pregnant", "беременность", "pregnant", ("беременна",)),
                Choice(
                    "parental_leave",
                    "отпуск по уходу за ребёнком",
                    "parental leave",
                    ("декрет", "отпуск по уходу"),
                ),
                Choice("military_service", "служит по призыву", "military service", ("служба",)),
                Choice(
                    "needs_care", "нуждается в уходе", "needs care", ("нуждается в обслуживании",)
                ),
            ),
        ),
        first_day(),
        last_day(required=False),
        field("evidence", FieldType.TEXT, "Подтверждение", "Evidence", "документ", "справка"),
    ),
    checks=(ends_after_start(),),
)

LIFE_EVENT: Final = record_kind(
    "life_event",
    "Жизненные события",
    "Life events",
    key=("snils", "event", "happened_on", "related_snils"),
    fields=(
        of_citizen(),
        choice_field(
            "event",
            "Событие",
            "Event",
            "вид события",
            "жизненное событие",
            choices=(
                Choice("birth", "рождение", "birth", ("родился",)),
                Choice("child_born", "рождение ребёнка", "birth of a child", ("родился ребенок",)),
                Choice("adoption", "усыновление", "adoption"),
                Choice("marriage", "брак", "marriage", ("заключение брака",)),
                Choice("divorce", "развод", "divorce", ("расторжение брака",)),
                Choice(
                    "disability_set",
                    "установление инвалидности",
                    "disability set",
                    ("инвалидность",),
                ),
                Choice("disability_ended", "снятие инвалидности", "disability ended"),
                Choice("retirement", "выход на пенсию", "retirement", ("пенсия",)),
                Choice("relocation", "переезд", "relocation", ("смена места жительства",)),
                Choice("job_loss", "потеря работы", "job loss", ("увольнение",)),
                Choice("loss_of_breadwinner", "потеря кормильца", "loss of breadwinner"),
                Choice(
                    "school_start", "начало учёбы в школе", "start of school", ("первый класс",)
                ),
                Choice("coming_of_age", "совершеннолетие", "coming of age", ("18 лет",)),
                Choice("death", "смерть", "death", ("умер",)),
            ),
        ),
        field(
            "happened_on",
            FieldType.DATE,
            "Дата события",
            "Date of the event",
            "дата",
            "когда произошло",
            required=True,
            past=True,
        ),
        reference(
            "related_snils",
            "related_citizen_id",
            ("citizen", "snils"),
            "СНИЛС связанного лица",
            "SNILS of the other person",
            "снилс ребенка",
            "снилс кормильца",
            required=False,
        ),
        field("reported_by", FieldType.TEXT, "Кто сообщил", "Reported by", "источник", "ведомство"),
        field("document", FieldType.TEXT, "Документ", "Document", "реквизиты", "актовая запись"),
    ),
)


def _norm_within_area(values: Values, today: date) -> Iterator[Fault]:
    area, norm = values.get("area_dm2"), values.get("norm_dm2")
    if isinstance(area, int) and isinstance(norm, int) and norm > area:
        yield Fault(
            "norm_dm2",
            FaultCode.DOES_NOT_FIT,
            "Норма площади: больше площади жилья",
            "Norm of area: it is larger than the dwelling",
        )


PERSONAL_ACCOUNT: Final = record_kind(
    "personal_account",
    "Лицевые счета",
    "Personal accounts",
    key=("account_number", "provider_code"),
    fields=(
        field(
            "account_number",
            FieldType.NUMBER,
            "Лицевой счёт",
            "Account number",
            "лс",
            "л с",
            "счет",
            "номер лицевого счета",
            "номер счета",
            required=True,
            length_max=20,
        ),
        field(
            "provider_code",
            FieldType.CODE,
            "Поставщик (код)",
            "Provider (code)",
            *PROVIDER_SYNONYMS,
            required=True,
            length_max=40,
        ),
        HOUSEHOLD_NUMBER,
        field(
            "area_dm2",
            FieldType.SQUARE_METRES,
            "Площадь, м²",
            "Area, m²",
            "площадь",
            "общая площадь",
            "площадь жилья",
            low=1,
            high=10_000_000,
        ),
        field(
            "norm_dm2",
            FieldType.SQUARE_METRES,
            "Норма площади, м²",
            "Norm of area, m²",
            "норма",
            "норма площади",
            "социальная норма",
            low=1,
            high=10_000_000,
        ),
        field(
            "residents",
            FieldType.INTEGER,
            "Проживает человек",
            "Residents",
            "проживает",
            "количество проживающих",
            "зарегистрировано",
            low=1,
            high=99,
        ),
    ),
    checks=(_norm_within_area,),
)
