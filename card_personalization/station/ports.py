"""Readers as a line of them needs them: wait for a card, talk to it, wait until it is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from card_personalization.chip.chaining import open_channel
from card_personalization.chip.errors import CardFault, TransportError
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.transport.inprocess import ApduCard, InProcessTransport
from card_personalization.chip.transport.pcsc import PcscContext


class ReaderPort(Protocol):
    """One reader, used by one thread. Methods raise TransportError when the reader is away."""

    @property
    def name(self) -> str:
        """The reader's name."""

    def wait_for_card(self, timeout_ms: int) -> bool:
        """Whether a card lies there, at once or within the time."""

    def wait_for_removal(self, timeout_ms: int) -> bool:
        """Whether no card lies there any more, at once or within the time."""

    def card(self) -> AbstractContextManager[PivClient]:
        """A client of the card there, until the end of the block."""

    def close(self) -> None:
        """Let the reader go."""


class PcscPort:
    """A PC/SC reader. Talks to the card service from the first use on, as it does not share."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._context: PcscContext | None = None

    def wait_for_card(self, timeout_ms: int) -> bool:
        """Whether a card lies there within the time."""
        return self._waited(lambda context: context.wait_for_card(self.name, timeout_ms))

    def wait_for_removal(self, timeout_ms: int) -> bool:
        """Whether the card was taken away within the time."""
        return self._waited(lambda context: context.wait_for_removal(self.name, timeout_ms))

    @contextmanager
    def card(self) -> Iterator[PivClient]:
        """A client of the card there; afterwards it is reset, and forgets a verified PIN."""
        with self._opened().connect(self.name) as transport:
            yield PivClient(open_channel(transport))

    def close(self) -> None:
        """End the talk with the card service."""
        context, self._context = self._context, None
        if context is not None:
            context.close()

    def _opened(self) -> PcscContext:
        if self._context is None:
            self._context = PcscContext()
        return self._context

    def _waited(self, wait: Callable[[PcscContext], object]) -> bool:
        try:
            wait(self._opened())
        except TransportError as error:
            if error.fault is CardFault.WAIT_ENDED:
                return False
            # A card service that came back wants a new talk.
            self.close()
            raise
        return True


class Hopper:
    """A reader that feeds itself with software cards, one after another, and drops each."""

    def __init__(self, name: str, cards: Iterator[ApduCard]) -> None:
        self.name = name
        self._cards = cards
        self._current: ApduCard | None = None

    def wait_for_card(self, _timeout_ms: int) -> bool:
        """Whether the hopper holds another card."""
        if self._current is None:
            self._current = next(self._cards, None)
        return self._current is not None

    def wait_for_removal(self, _timeout_ms: int) -> bool:
        """Drop the card."""
        self._current = None
        return True

    @contextmanager
    def card(self) -> Iterator[PivClient]:
        """A client of the card, powered for so long."""
        if self._current is None:
            raise TransportError(CardFault.NO_CARD, reader=self.name)
        transport = InProcessTransport(self._current, self.name)
        try:
            yield PivClient(open_channel(transport))
        finally:
            transport.close()

    def close(self) -> None:
        """Nothing to let go."""
