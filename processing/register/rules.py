"""What the database refuses, as faults in the words of the register.

Rules among several records are held by constraints and triggers, so that two writers at once
cannot both break one. Each has a name in the schema; here stands, for each name, which field it is
about and what to tell the person. The texts hold no value of the records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import asyncpg

from processing.kernel.errors import SpkError
from processing.register.fields import Fault, FaultCode
from processing.register.kinds.shape import RecordKind
from processing.register.records import KIND_BY_NAME, RECORD_KINDS

_TAKEN, _OVERLAP = FaultCode.TAKEN, FaultCode.OVERLAP
_ENDS, _UNKNOWN = FaultCode.ENDS_BEFORE_START, FaultCode.UNKNOWN_REFERENCE
_TWICE_RU: Final = "такая запись уже есть; измените её, а не заводите вторую"
_TWICE_EN: Final = "there is such a record already; change it instead of adding another"
_ENDS_RU: Final = "день окончания раньше дня начала"
_ENDS_EN: Final = "the last day is before the first"
_NO_CATEGORY_RU: Final = "такой категории нет в справочнике; сверьте код"
_NO_CATEGORY_EN: Final = "there is no such category; check the code"
_NO_MEASURE_RU: Final = "такой меры нет в справочнике; сверьте код"
_NO_MEASURE_EN: Final = "there is no such measure; check the code"

RULES: Final[Mapping[str, Fault]] = {
    name: Fault(field, code, ru, en)
    for name, field, code, ru, en in (
        (
            "snils_of_one_citizen", "snils", _TAKEN,
            "СНИЛС: он уже записан за другим человеком; сверьте номер с документом",
            "SNILS: it is another person's; compare the number with the document",
        ),
        (
            "enp_of_one_citizen", "enp", _TAKEN,
            "Номер полиса ОМС: он уже записан за другим человеком",
            "policy number: it is another person's",
        ),
        (
            "inn_of_one_citizen", "inn", _TAKEN,
            "ИНН: он уже записан за другим человеком",
            "INN: it is another person's",
        ),
        (
            "dies_after_birth", "death_date", _ENDS,
            "Дата смерти: раньше даты рождения",
            "Death date: it is before the birth date",
        ),
        (
            "document_of_one_citizen", "number", _TAKEN,
            "Номер документа: документ этого вида с такими серией и номером уже записан",
            "document number: a document of this type, series and number is known already",
        ),
        ("document_ends_after_issue", "valid_to", _ENDS, _ENDS_RU, _ENDS_EN),
        ("one_address_of_a_kind", "address_kind", _TAKEN, _TWICE_RU, _TWICE_EN),
        ("contact_stands_once", "value", _TAKEN, _TWICE_RU, _TWICE_EN),
        (
            "one_preferred_contact", "preferred", _TAKEN,
            "Предпочтительный способ связи уже выбран; сначала снимите отметку с прежнего",
            "a preferred contact is chosen already; take the mark off that one first",
        ),
        ("consent_stands_once", "given_on", _TAKEN, _TWICE_RU, _TWICE_EN),
        ("withdrawn_after_given", "withdrawn_on", _ENDS, _ENDS_RU, _ENDS_EN),
        (
            "one_consent_in_force", "scope", _TAKEN,
            "Согласие на это уже действует; сначала отзовите прежнее",
            "such a consent is in force already; withdraw that one first",
        ),
        (
            "nobody_represents_themselves", "representative_snils", FaultCode.ONESELF,
            "СНИЛС представителя: человек не может быть представителем самого себя",
            "SNILS of the representative: nobody represents themselves",
        ),
        ("representative_stands_once", "valid_from", _TAKEN, _TWICE_RU, _TWICE_EN),
        ("representative_ends_after_start", "valid_to", _ENDS, _ENDS_RU, _ENDS_EN),
        (
            "no_representation_ring", "representative_snils", FaultCode.CYCLE,
            "СНИЛС представителя: получается круг, в котором представители представляют друг друга",
            "SNILS of the representative: they would represent each other in a ring",
        ),
        (
            "representatives_overlap", "valid_from", _OVERLAP,
            "Действует с: у этого человека этот представитель на эти дни уже записан",
            "Valid from: this person has this representative on these days already",
        ),
        ("household_number_once", "number", _TAKEN, _TWICE_RU, _TWICE_EN),
        ("member_stands_once", "snils", _TAKEN, _TWICE_RU, _TWICE_EN),
        (
            "one_head_of_household", "relation", _TAKEN,
            "Кем приходится: у семьи уже есть глава",
            "Relation: the household has a head already",
        ),
        (
            "no_household_ring", "relation", FaultCode.CYCLE,
            "Кем приходится: человек оказался бы ребёнком собственного ребёнка",
            "Relation: somebody would be a child of their own child",
        ),
        ("income_stands_once", "month", _TAKEN, _TWICE_RU, _TWICE_EN),
        ("circumstance_stands_once", "valid_from", _TAKEN, _TWICE_RU, _TWICE_EN),
        ("circumstance_ends_after_start", "valid_to", _ENDS, _ENDS_RU, _ENDS_EN),
        (
            "circumstances_overlap", "valid_from", _OVERLAP,
            "Действует с: это обстоятельство на эти дни уже записано",
            "Valid from: this circumstance is recorded for these days already",
        ),
        ("category_is_known", "category", _UNKNOWN, _NO_CATEGORY_RU, _NO_CATEGORY_EN),
        ("category_stands_once", "valid_from", _TAKEN, _TWICE_RU, _TWICE_EN),
        ("category_ends_after_start", "valid_to", _ENDS, _ENDS_RU, _ENDS_EN),
        (
            "categories_overlap", "valid_from", _OVERLAP,
            "Действует с: эта категория у гражданина на эти дни уже есть",
            "Valid from: the citizen has this category on these days already",
        ),
        ("event_stands_once", "happened_on", _TAKEN, _TWICE_RU, _TWICE_EN),
        ("service_plan_number_once", "number", _TAKEN, _TWICE_RU, _TWICE_EN),
        ("plan_measure_is_known", "measure", _UNKNOWN, _NO_MEASURE_RU, _NO_MEASURE_EN),
        ("plan_category_is_known", "category", _UNKNOWN, _NO_CATEGORY_RU, _NO_CATEGORY_EN),
        ("service_plan_ends_after_start", "valid_to", _ENDS, _ENDS_RU, _ENDS_EN),
        (
            "service_plans_overlap", "valid_from", _OVERLAP,
            "Действует с: у гражданина на эти дни уже есть программа этой формы",
            "Valid from: the citizen has a plan of this form for these days already",
        ),
        ("service_plan_line_once", "item_class", _TAKEN, _TWICE_RU, _TWICE_EN),
        (
            "line_of_the_plans_citizen", "snils", FaultCode.DOES_NOT_FIT,
            "СНИЛС: программа составлена на другого человека",
            "SNILS: the plan is another person's",
        ),
        ("rehabilitation_plan_number_once", "number", _TAKEN, _TWICE_RU, _TWICE_EN),
        ("rehabilitation_plan_ends_after_start", "valid_to", _ENDS, _ENDS_RU, _ENDS_EN),
        ("rehabilitation_measure_once", "item_class", _TAKEN, _TWICE_RU, _TWICE_EN),
        ("measure_ends_after_start", "valid_to", _ENDS, _ENDS_RU, _ENDS_EN),
        (
            "measure_of_the_plans_citizen", "snils", FaultCode.DOES_NOT_FIT,
            "СНИЛС: программа составлена на другого человека",
            "SNILS: the plan is another person's",
        ),
        (
            "prescription_number_once", "number", _TAKEN,
            "Номер рецепта: рецепт с такими серией и номером уже записан",
            "Number: a prescription of this series and number is known already",
        ),
        ("certificate_number_once", "number", _TAKEN, _TWICE_RU, _TWICE_EN),
        ("certificate_measure_is_known", "measure", _UNKNOWN, _NO_MEASURE_RU, _NO_MEASURE_EN),
        ("certificate_category_is_known", "category", _UNKNOWN, _NO_CATEGORY_RU, _NO_CATEGORY_EN),
        ("certificate_ends_after_start", "valid_to", _ENDS, _ENDS_RU, _ENDS_EN),
        (
            "account_of_one_household", "account_number", _TAKEN,
            "Лицевой счёт: у этого поставщика он уже записан за другой семьёй или за этой же",
            "Account number: this provider's account is recorded for a household already",
        ),
        ("policy_stands_once", "valid_from", _TAKEN, _TWICE_RU, _TWICE_EN),
        ("policy_ends_after_start", "valid_to", _ENDS, _ENDS_RU, _ENDS_EN),
        (
            "policies_overlap", "valid_from", _OVERLAP,
            "Действует с: у гражданина на эти дни уже есть полис; сначала закройте прежний",
            "Valid from: the citizen has a policy for these days already; close that one first",
        ),
        ("meals_measure_is_known", "measure", _UNKNOWN, _NO_MEASURE_RU, _NO_MEASURE_EN),
        ("meals_category_is_known", "category", _UNKNOWN, _NO_CATEGORY_RU, _NO_CATEGORY_EN),
        ("meals_stand_once", "valid_from", _TAKEN, _TWICE_RU, _TWICE_EN),
        ("meals_end_after_start", "valid_to", _ENDS, _ENDS_RU, _ENDS_EN),
        (
            "meals_overlap", "valid_from", _OVERLAP,
            "Действует с: питание на эти дни уже назначено",
            "Valid from: school meals are granted for these days already",
        ),
        ("entitlement_measure_is_known", "measure", _UNKNOWN, _NO_MEASURE_RU, _NO_MEASURE_EN),
        ("entitlement_category_is_known", "category", _UNKNOWN, _NO_CATEGORY_RU, _NO_CATEGORY_EN),
        (
            "entitlement_of_one_holder", "snils", FaultCode.DOES_NOT_FIT,
            "СНИЛС: укажите либо СНИЛС гражданина, либо номер дела семьи",
            "SNILS: give either the citizen's SNILS or the household's number",
        ),
        ("entitlement_stands_once", "valid_from", _TAKEN, _TWICE_RU, _TWICE_EN),
        ("entitlement_ends_after_start", "valid_to", _ENDS, _ENDS_RU, _ENDS_EN),
        (
            "entitlements_overlap", "valid_from", _OVERLAP,
            "Действует с: эта мера на эти дни уже назначена",
            "Valid from: this measure is granted for these days already",
        ),
        (
            "nothing_pays", "funding", FaultCode.DOES_NOT_FIT,
            "Источник финансирования: нет меры, которая оплачивает такой рецепт; назначьте её",
            "Funding: no entitlement pays for such a prescription; grant the measure first",
        ),
        (
            "item_unknown", "item_class", _UNKNOWN,
            "Код: такого наименования нет в справочнике; сверьте код",
            "Code: no item of this class is known; check the code",
        ),
        (
            "changed_meanwhile", "version", FaultCode.CHANGED_MEANWHILE,
            "Запись изменили, пока вы её смотрели; посмотрите её ещё раз",
            "the record was changed while you looked at it; look at it again",
        ),
    )
}  # fmt: skip
"""By the name that the schema gives the rule."""

REFUSALS: Final[Mapping[str, tuple[str, str]]] = {
    "needs_second_person": (
        "это изменение создаёт права; его утверждает другой человек: предложите его",
        "this change creates rights; another person approves it: propose it",
    ),
    "request_unknown": ("такой заявки нет", "there is no such request"),
    "decided_already": ("заявка уже рассмотрена", "the request is decided already"),
    "another_person_decides": (
        "заявку подали вы; рассмотреть её должен другой человек",
        "you made the request; another person has to decide on it",
    ),
    "change_unknown": ("такого изменения нет", "there is no such change"),
    "undone_already": ("изменение уже отменено", "the change is undone already"),
    "later_change": (
        "на этих записях стоят более поздние изменения; сначала отмените их",
        "later changes stand upon these records; undo those first",
    ),
}
"""What stands against a step, whatever the record holds: Russian and English."""


class RegisterError(SpkError):
    """The register refused something; nothing was written.

    `rule` names what stands against it. `faults` are those of a record, empty where it is a step
    that was refused.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, rule: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(rule, faults)
        self.rule = rule
        self.faults = tuple(faults)

    def text(self, language: str) -> str:
        """Return what stands against it and what to do, a line for each fault."""
        if not self.faults:
            russian, english = REFUSALS[self.rule]
            return russian if language == "ru" else english
        return "\n".join(fault.text(language) for fault in self.faults)

    def __str__(self) -> str:
        return self.text("en")


def refusal_of(error: asyncpg.PostgresError) -> RegisterError | None:
    """Return what the database's refusal means; None for one that is no rule of the register."""
    if isinstance(error, asyncpg.NotNullViolationError):
        return RegisterError("not_null", [_shape_fault(error)])
    rule = getattr(error, "constraint_name", None)
    if not isinstance(rule, str):
        return None
    if rule in RULES:
        return RegisterError(rule, [RULES[rule]])
    if rule in REFUSALS:
        return RegisterError(rule)
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        return RegisterError(rule, [_reference_fault(error)])
    if isinstance(error, asyncpg.CheckViolationError):
        return RegisterError(rule, [_shape_fault(error)])
    return None


def _reference_fault(error: asyncpg.PostgresError) -> Fault:
    """Word a reference that leads nowhere, or a record that is still referred to."""
    kind = _kind_of_table(str(getattr(error, "table_name", "")))
    field = next(
        (
            one.name
            for one in (kind.fields if kind else ())
            if one.refers_to is not None
            and str(getattr(error, "constraint_name", "")).endswith(f"_{one.column}_fkey")
        ),
        "snils",
    )
    # PostgreSQL words the two ends of a reference differently, in its message alone.
    if "is still referenced" in (getattr(error, "detail", None) or ""):
        return Fault(
            field,
            FaultCode.UNKNOWN_REFERENCE,
            "на эту запись ссылаются другие; сначала уберите их",
            "other records refer to this one; remove them first",
        )
    return Fault(
        field,
        FaultCode.UNKNOWN_REFERENCE,
        "того, на кого указывает запись, в регистре нет",
        "the register has nobody whom this record refers to",
    )


def _shape_fault(error: asyncpg.PostgresError) -> Fault:
    kind = _kind_of_table(str(getattr(error, "table_name", "")))
    column = str(getattr(error, "column_name", None) or getattr(error, "constraint_name", ""))
    field = next(
        (one.name for one in (kind.fields if kind else ()) if one.column in column), column
    )
    return Fault(
        field,
        FaultCode.DOES_NOT_FIT,
        f"{field}: значение недопустимо",
        f"{field}: the value is not allowed",
    )


def _kind_of_table(table: str) -> RecordKind | None:
    return KIND_BY_NAME.get(table) or next(
        (kind for kind in RECORD_KINDS if kind.table == table), None
    )
