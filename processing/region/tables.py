"""A table of the database, and those of a citizen's papers."""

from __future__ import annotations

from typing import Final

import msgspec


class Table(msgspec.Struct, frozen=True):
    """A table and the columns that are written; a column that is absent keeps its default."""

    schema: str
    name: str
    columns: tuple[str, ...]

    @property
    def full_name(self) -> str:
        """Schema and name, as SQL writes them."""
        return f"{self.schema}.{self.name}"


def _register(name: str, *columns: str) -> Table:
    return Table("register", name, ("record_id", "citizen_id", *columns))


IDENTITY_DOCUMENT: Final = _register(
    "identity_document", "document_type", "series", "number", "issued_on"
)
ADDRESS: Final = _register("address", "address_kind", "line")
CONTACT: Final = _register("contact", "channel", "value", "preferred")
CONSENT: Final = _register("consent", "scope", "given_on")
REPRESENTATIVE: Final = _register(
    "representative", "representative_id", "basis", "document", "valid_from", "valid_to"
)
INCOME: Final = _register("income", "income_kind", "month", "amount_kopecks")
CIRCUMSTANCE: Final = _register("circumstance", "circumstance", "valid_from")
LIFE_EVENT: Final = _register("life_event", "event", "happened_on", "document")
SERVICE_PLAN: Final = _register(
    "service_plan",
    "number",
    "form",
    "measure",
    "category",
    "issued_on",
    "valid_from",
    "valid_to",
)
SERVICE_PLAN_LINE: Final = _register(
    "service_plan_line", "plan_id", "item_class", "name", "norm_minutes", "times", "per"
)
REHABILITATION_PLAN: Final = _register(
    "rehabilitation_plan", "number", "issued_by", "issued_on", "disability", "valid_from"
)
REHABILITATION_MEASURE: Final = _register(
    "rehabilitation_measure", "plan_id", "item_class", "name", "quantity", "valid_from"
)
CERTIFICATE: Final = _register(
    "certificate",
    "number",
    "measure",
    "category",
    "item_class",
    "amount_kopecks",
    "decided_on",
    "valid_from",
    "valid_to",
)
POLICY: Final = _register("policy", "enp", "insurer", "clinic_code", "valid_from", "prolongs")
SCHOOL_MEALS: Final = _register(
    "school_meals",
    "school_code",
    "meal",
    "item_class",
    "measure",
    "category",
    "valid_from",
    "valid_to",
)

PAPERS: Final = (
    IDENTITY_DOCUMENT,
    ADDRESS,
    CONTACT,
    CONSENT,
    REPRESENTATIVE,
    INCOME,
    CIRCUMSTANCE,
    LIFE_EVENT,
    SERVICE_PLAN,
    SERVICE_PLAN_LINE,
    REHABILITATION_PLAN,
    REHABILITATION_MEASURE,
    CERTIFICATE,
    POLICY,
    SCHOOL_MEALS,
)
"""A table stands after those it refers to; all stand after the citizens and their categories."""
