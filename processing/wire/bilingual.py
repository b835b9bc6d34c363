"""Reasons that a person reads, each in Russian and English."""

from __future__ import annotations

from enum import Enum


class BilingualFault(Enum):
    """A closed list of reasons; the value of each is its Russian and its English sentence."""

    @property
    def ru(self) -> str:
        """The reason in Russian."""
        return str(self.value[0])

    @property
    def en(self) -> str:
        """The reason in English."""
        return str(self.value[1])
