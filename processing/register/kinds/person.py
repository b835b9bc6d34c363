"""Records of one person: the citizen, documents, addresses, contacts, consents, representatives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Final

from processing.register.fields import Choice, Fault, FaultCode, FieldType
from processing.register.identifiers import enp_fits
from processing.register.kinds.shape import (
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


def _enp_fits_person(values: Values, today: date) -> Iterator[Fault]:
    enp, born, sex = values.get("enp"), values.get("birth_date"), values.get("sex")
    if not (isinstance(enp, str) and isinstance(born, date)) or sex not in ("m", "f"):
        return
    if not enp_fits(enp, born, "m" if sex == "m" else "f"):
        yield Fault(
            "enp",
            FaultCode.DOES_NOT_FIT,
            "Номер полиса ОМС (ЕНП): в номере другая дата рождения или другой пол; сверьте номер, "
            "дату рождения и пол с документами",
            "policy number: it carries another birth date or sex; compare number, birth date and "
            "sex with the documents",
        )


CITIZEN: Final = record_kind(
    "citizen",
    "Граждане",
    "Citizens",
    key=("snils",),
    key_column="citizen_id",
    fields=(
        field(
            "snils",
            FieldType.SNILS,
            "СНИЛС",
            "SNILS",
            "страховой номер",
            "снилс гражданина",
            "страховой номер индивидуального лицевого счета",
            required=True,
            length_max=64,
        ),
        field(
            "last_name",
            FieldType.PERSON_NAME,
            "Фамилия",
            "Last name",
            "фам",
            "surname",
            "family name",
            "lastname",
            required=True,
            length_max=100,
        ),
        field(
            "first_name",
            FieldType.PERSON_NAME,
            "Имя",
            "First name",
            "given name",
            "firstname",
            required=True,
            length_max=100,
        ),
        field(
            "patronymic",
            FieldType.PERSON_NAME,
            "Отчество",
            "Patronymic",
            "отч",
            "middle name",
            "отчество при наличии",
            length_max=100,
        ),
        field(
            "birth_date",
            FieldType.DATE,
            "Дата рождения",
            "Birth date",
            "дата рожд",
            "др",
            "д р",
            "рожд",
            "родился",
            "dob",
            "date of birth",
            required=True,
            past=True,
        ),
        choice_field(
            "sex",
            "Пол",
            "Sex",
            "gender",
            choices=(
                Choice("m", "мужской", "male", ("м", "муж", "1")),
                Choice("f", "женский", "female", ("ж", "жен", "2")),
            ),
        ),
        field(
            "enp",
            FieldType.ENP,
            "Номер полиса ОМС (ЕНП)",
            "Policy number (ENP)",
            "енп",
            "полис",
            "полис омс",
            "номер полиса",
            "единый номер полиса",
            "enp",
            length_max=64,
        ),
        field(
            "inn",
            FieldType.INN,
            "ИНН",
            "INN",
            "инн физического лица",
            "tax number",
            "tin",
            length_max=64,
        ),
        field(
            "death_date", FieldType.DATE, "Дата смерти", "Death date", "умер", "дата см", past=True
        ),
        field(
            "region",
            FieldType.INTEGER,
            "Регион",
            "Region",
            "код региона",
            "субъект",
            low=1,
            high=99,
        ),
    ),
    checks=(
        _enp_fits_person,
        ends_after_start(
            "birth_date",
            "death_date",
            "Дата смерти: раньше даты рождения",
            "Death date: it is before the birth date",
        ),
    ),
)

IDENTITY_DOCUMENT: Final = record_kind(
    "identity_document",
    "Документы, удостоверяющие личность",
    "Identity documents",
    key=("document_type", "series", "number"),
    fields=(
        of_citizen(),
        choice_field(
            "document_type",
            "Вид документа",
            "Document type",
            "тип документа",
            "документ",
            choices=(
                Choice(
                    "passport", "паспорт гражданина РФ", "passport", ("паспорт", "паспорт рф", "21")
                ),
                Choice(
                    "birth_certificate",
                    "свидетельство о рождении",
                    "birth certificate",
                    ("свид о рождении", "св о рождении", "03"),
                ),
                Choice(
                    "foreign_passport",
                    "паспорт иностранного гражданина",
                    "foreign passport",
                    ("иностранный паспорт", "10"),
                ),
                Choice("residence_permit", "вид на жительство", "residence permit", ("внж", "12")),
                Choice(
                    "temporary_identity_card",
                    "временное удостоверение личности",
                    "temporary identity card",
                    ("временное удостоверение", "14"),
                ),
                Choice("military_id", "военный билет", "military ID", ("07",)),
                Choice(
                    "refugee_certificate", "удостоверение беженца", "refugee certificate", ("13",)
                ),
                Choice("other", "иной документ", "other", ("иное", "другой", "91")),
            ),
        ),
        field(
            "series",
            FieldType.NUMBER,
            "Серия",
            "Series",
            "серия документа",
            "серия паспорта",
            length_max=20,
        ),
        field(
            "number",
            FieldType.NUMBER,
            "Номер",
            "Number",
            "номер документа",
            "номер паспорта",
            required=True,
            length_max=30,
        ),
        field(
            "issued_on",
            FieldType.DATE,
            "Дата выдачи",
            "Issued on",
            "выдан",
            "когда выдан",
            past=True,
        ),
        field("issued_by", FieldType.TEXT, "Кем выдан", "Issued by", "орган выдачи"),
        field(
            "department_code",
            FieldType.DIGITS,
            "Код подразделения",
            "Department code",
            "код подр",
            digits=6,
        ),
        field(
            "valid_to",
            FieldType.DATE,
            "Действителен до",
            "Valid to",
            "срок действия",
            "действует до",
            "действует по",
        ),
    ),
    checks=(
        ends_after_start(
            "issued_on",
            "valid_to",
            "Действителен до: раньше даты выдачи",
            "Valid to: it is before the day of issue",
        ),
    ),
)

ADDRESS: Final = record_kind(
    "address",
    "Адреса",
    "Addresses",
    key=("snils", "address_kind"),
    fields=(
        of_citizen(),
        choice_field(
            "address_kind",
            "Вид адреса",
            "Address kind",
            "тип адреса",
            choices=(
                Choice(
                    "registered",
                    "регистрация по месту жительства",
                    "registered",
                    ("регистрации", "адрес регистрации", "регистрация", "прописка"),
                ),
                Choice(
                    "actual",
                    "фактический",
                    "actual",
                    ("проживание", "адрес проживания", "фактическое проживание"),
                ),
                Choice(
                    "temporary",
                    "регистрация по месту пребывания",
                    "temporary",
                    ("пребывание", "временная регистрация", "временный"),
                ),
            ),
        ),
        field(
            "line",
            FieldType.TEXT,
            "Адрес",
            "Address",
            "адрес одной строкой",
            "полный адрес",
            required=True,
            length_max=400,
        ),
        field(
            "postal_code",
            FieldType.DIGITS,
            "Почтовый индекс",
            "Postal code",
            "индекс",
            "zip",
            digits=6,
        ),
        field(
            "gar_id",
            FieldType.GAR,
            "Код ГАР (ФИАС)",
            "GAR (FIAS) code",
            "фиас",
            "гар",
            "код фиас",
            "fias",
            "guid фиас",
        ),
        first_day(required=False),
    ),
)

_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s.]+(?:\.[^@\s.]+)+")
_PHONE_DIGITS: Final = range(11, 16)


def phone_digits(text: str) -> str | None:
    """Return a telephone number as digits with the country's code; None for anything else.

    >>> phone_digits("8 (912) 345-67-89")
    '79123456789'
    """
    bare = re.sub(r"[\s()+.\u00a0\u2011\u2013-]", "", text)
    if not (bare.isascii() and bare.isdigit()):
        return None
    if len(bare) == 10:
        bare = f"7{bare}"
    elif len(bare) == 11 and bare.startswith("8") and not text.lstrip().startswith("+"):
        bare = f"7{bare[1:]}"
    return bare if len(bare) in _PHONE_DIGITS else None


def _contact_fits_channel(values: Values, today: date) -> Iterator[Fault]:
    channel, value = values.get("channel"), str(values.get("value") or "")
    if channel in ("phone", "sms") and phone_digits(value) is None:
        yield Fault(
            "value",
            FaultCode.WRONG_DIGITS,
            "Значение: нужен номер телефона с кодом, например +7 912 345-67-89",
            "Value: a telephone number with its code such as +7 912 345-67-89 is expected",
        )
    if channel == "email" and not _EMAIL.fullmatch(value):
        yield Fault(
            "value",
            FaultCode.WRONG_CHARACTERS,
            "Значение: нужен адрес электронной почты вида имя@example.ru",
            "Value: an address such as name@example.org is expected",
        )


CONTACT: Final = record_kind(
    "contact",
    "Контакты",
    "Contacts",
    key=("snils", "channel", "value"),
    fields=(
        of_citizen(),
        choice_field(
            "channel",
            "Способ связи",
            "Channel",
            "канал",
            "вид контакта",
            choices=(
                Choice("phone", "телефон", "telephone", ("тел", "звонок", "phone", "мобильный")),
                Choice("sms", "СМС", "SMS", ("sms",)),
                Choice("email", "электронная почта", "e-mail", ("почта электронная", "email")),
                Choice("post", "почта", "post", ("письмо",)),
                Choice("portal", "портал", "portal", ("личный кабинет", "епгу", "госуслуги")),
            ),
        ),
        field(
            "value",
            FieldType.TEXT,
            "Значение",
            "Value",
            "контакт",
            "номер телефона",
            "телефон",
            "электронная почта",
            "адрес электронной почты",
            required=True,
        ),
        field(
            "preferred",
            FieldType.FLAG,
            "Предпочтительный",
            "Preferred",
            "основной",
            "предпочитаемый",
            required=True,
        ),
        field(
            "confirmed_on",
            FieldType.DATE,
            "Подтверждён",
            "Confirmed on",
            "дата подтверждения",
            past=True,
        ),
    ),
    checks=(_contact_fits_channel,),
)

CONSENT: Final = record_kind(
    "consent",
    "Согласия",
    "Consents",
    key=("snils", "scope", "given_on"),
    fields=(
        of_citizen(),
        choice_field(
            "scope",
            "На что дано согласие",
            "Scope",
            "вид согласия",
            "согласие",
            choices=(
                Choice(
                    "processing",
                    "обработка персональных данных",
                    "keeping the data",
                    ("обработка", "обработка пд"),
                ),
                Choice(
                    "proactive",
                    "беззаявительное назначение",
                    "granting without an application",
                    ("проактивное назначение", "проактивно"),
                ),
                Choice(
                    "exchange",
                    "передача другим ведомствам",
                    "telling other agencies",
                    ("передача", "межведомственный обмен"),
                ),
                Choice("notifications", "уведомления", "messages", ("рассылка", "сообщения")),
            ),
        ),
        field(
            "given_on",
            FieldType.DATE,
            "Дата согласия",
            "Given on",
            "дано",
            "дата",
            "дата дачи",
            required=True,
            past=True,
        ),
        field(
            "withdrawn_on",
            FieldType.DATE,
            "Дата отзыва",
            "Withdrawn on",
            "отозвано",
            "отзыв",
            past=True,
        ),
        field("document", FieldType.TEXT, "Документ", "Document", "реквизиты", "основание"),
    ),
    checks=(
        ends_after_start(
            "given_on",
            "withdrawn_on",
            "Дата отзыва: раньше даты согласия",
            "Withdrawn on: it is before the consent was given",
        ),
    ),
)


def _not_oneself(values: Values, today: date) -> Iterator[Fault]:
    if values.get("snils") and values.get("snils") == values.get("representative_snils"):
        yield Fault(
            "representative_snils",
            FaultCode.ONESELF,
            "СНИЛС представителя: человек не может быть представителем самого себя",
            "SNILS of the representative: nobody represents themselves",
        )


REPRESENTATIVE: Final = record_kind(
    "representative",
    "Представители",
    "Representatives",
    creates_rights=True,
    key=("snils", "representative_snils", "valid_from"),
    fields=(
        of_citizen(),
        reference(
            "representative_snils",
            "representative_id",
            ("citizen", "snils"),
            "СНИЛС представителя",
            "SNILS of the representative",
            "представитель",
            "снилс опекуна",
            "снилс законного представителя",
        ),
        choice_field(
            "basis",
            "Основание",
            "Basis",
            "вид представительства",
            choices=(
                Choice("parent", "родитель", "parent", ("мать", "отец", "усыновитель")),
                Choice("guardian", "опекун", "guardian", ("опека",)),
                Choice("trustee", "попечитель", "trustee", ("попечительство",)),
                Choice(
                    "attorney", "по доверенности", "attorney", ("доверенность", "доверенное лицо")
                ),
                Choice("court", "по решению суда", "court decision", ("суд", "решение суда")),
            ),
        ),
        field(
            "scope",
            FieldType.LIST,
            "Услуги (пусто: все)",
            "Services (empty: all)",
            "услуги",
            "полномочия",
            "коды услуг",
            length_max=600,
        ),
        field(
            "document",
            FieldType.TEXT,
            "Документ",
            "Document",
            "реквизиты документа",
            "подтверждающий документ",
            required=True,
        ),
        first_day(),
        last_day(required=False),
    ),
    checks=(_not_oneself, ends_after_start()),
)
