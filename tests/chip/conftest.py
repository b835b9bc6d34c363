"""Fixtures of the card tests."""

from __future__ import annotations

import pytest

from card_personalization.chip.piv.client import PivClient
from tests.chip.issued import IssuedCard, client_of, issue


@pytest.fixture
def issued() -> IssuedCard:
    """A freshly issued card of the yubico profile."""
    return issue()


@pytest.fixture
def client(issued: IssuedCard) -> PivClient:
    """A selected client of the issued card."""
    return client_of(issued.card)
