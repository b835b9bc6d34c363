"""Visits as an operator sees them: where and when, never who."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """A visit that began. Moments are UTC; `held` names items and quantities, as ITEM=QUANTITY.

    `number` is what people quote of its start. `ended_at` is when the centre ended a forgotten one.
    """

    number: str
    provider_code: str
    service_ru: str
    service_en: str
    held: str
    began_at: datetime
    expires_at: datetime
    time_zone: str
    began_offline: bool
    ended_at: datetime | None = None
