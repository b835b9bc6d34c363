"""Identifiers that the centre makes."""

from __future__ import annotations

import os
from datetime import datetime
from uuid import UUID


def uuid7(now: datetime) -> UUID:
    """Return a UUID that sorts by time (RFC 9562 §5.7)."""
    milliseconds = int(now.timestamp() * 1000)
    drawn = int.from_bytes(milliseconds.to_bytes(6) + os.urandom(10))
    version_and_variant = (0x7 << 76) | (0x2 << 62)
    return UUID(int=drawn & ~((0xF << 76) | (0x3 << 62)) | version_and_variant)
