"""PC/SC: cards in real and virtual readers, through pyscard, on Linux, Windows and macOS.

Nothing of pyscard is imported before it is needed, so programs start on machines without it, and
every failure is told in words that say what to do.
"""

from __future__ import annotations

import time
from importlib import import_module
from types import ModuleType
from typing import Final, Never

from card_personalization.chip.apdu import ApduError, decode_response
from card_personalization.chip.errors import CardFault, MalformedAnswer, TransportError

# A wait is cut into turns, so that Ctrl-C is heard and a card service that went away is noticed.
_TURN_MS: Final = 500
_NAMES_SHOWN_MAX: Final = 16


def _scard() -> ModuleType:
    """Pyscard's thin layer over the system's PC/SC library. TransportError if it is not there."""
    try:
        return import_module("smartcard.scard")
    except ImportError as error:
        raise TransportError(CardFault.LIBRARY_ABSENT, detail=str(error)) from None


def _fault(scard: ModuleType, code: int) -> CardFault:
    """What a PC/SC return code means to us."""
    faults = {
        "SCARD_E_NO_SERVICE": CardFault.SERVICE_ABSENT,
        "SCARD_E_SERVICE_STOPPED": CardFault.SERVICE_ABSENT,
        "SCARD_E_NO_READERS_AVAILABLE": CardFault.NO_READER,
        "SCARD_E_UNKNOWN_READER": CardFault.READER_LOST,
        "SCARD_E_READER_UNAVAILABLE": CardFault.READER_LOST,
        "SCARD_E_NO_SMARTCARD": CardFault.NO_CARD,
        "SCARD_W_REMOVED_CARD": CardFault.CARD_REMOVED,
        "SCARD_W_RESET_CARD": CardFault.CARD_RESET,
        "SCARD_E_SHARING_VIOLATION": CardFault.CARD_BUSY,
        "SCARD_W_UNRESPONSIVE_CARD": CardFault.CARD_MUTE,
        "SCARD_W_UNPOWERED_CARD": CardFault.CARD_MUTE,
        "SCARD_W_UNSUPPORTED_CARD": CardFault.CARD_MUTE,
    }
    for name, fault in faults.items():
        # Windows gives these codes as signed numbers, pcsc-lite as unsigned ones.
        if (getattr(scard, name) ^ code) & 0xFFFFFFFF == 0:
            return fault
    return CardFault.COMMUNICATION


def _fail(scard: ModuleType, code: int, reader: str) -> Never:
    detail = str(scard.SCardGetErrorMessage(code)).rstrip(".")
    raise TransportError(_fault(scard, code), reader=reader, detail=detail)


class PcscContext:
    """A talk with the card service. Use as a context manager; not for several threads at once."""

    def __init__(self) -> None:
        self._scard = _scard()
        code, self._context = self._scard.SCardEstablishContext(self._scard.SCARD_SCOPE_USER)
        if code != self._scard.SCARD_S_SUCCESS:
            _fail(self._scard, code, "")

    def __enter__(self) -> PcscContext:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the talk."""
        self._scard.SCardReleaseContext(self._context)

    def readers(self) -> tuple[str, ...]:
        """The readers connected now, possibly none. TransportError when the service is gone."""
        code, names = self._scard.SCardListReaders(self._context, [])
        if code == self._scard.SCARD_S_SUCCESS:
            return tuple(names)
        if _fault(self._scard, code) is CardFault.NO_READER:
            return ()
        _fail(self._scard, code, "")

    def find_reader(self, wanted: str | None) -> str:
        """The reader of this name, else the only one with it as a part, else (None) the first."""
        names = self.readers()
        if not names:
            raise TransportError(CardFault.NO_READER)
        if wanted is None or wanted in names:
            return wanted or names[0]
        matching = [name for name in names if wanted.casefold() in name.casefold()]
        if len(matching) != 1:
            shown = ", ".join(names[:_NAMES_SHOWN_MAX])
            raise TransportError(CardFault.READER_UNKNOWN, reader=wanted, readers=shown)
        return matching[0]

    def card_present(self, reader: str) -> bool:
        """Whether a card lies at the reader now."""
        return bool(self._states((reader,), 0)[reader] & self._scard.SCARD_STATE_PRESENT)

    def wait_for_card(self, reader: str | None, timeout_ms: int) -> str:
        """Wait until a card lies at the reader (None: at any); that reader's name.

        TransportError(WAIT_ENDED) after `timeout_ms`.
        """
        return self._wait(reader, timeout_ms, present=True)

    def wait_for_removal(self, reader: str, timeout_ms: int) -> None:
        """Wait until no card lies at the reader. TransportError(WAIT_ENDED) after `timeout_ms`."""
        self._wait(reader, timeout_ms, present=False)

    def _wait(self, reader: str | None, timeout_ms: int, *, present: bool) -> str:
        deadline = time.monotonic() + timeout_ms / 1000
        seen: dict[str, int] = {}
        while True:
            watched = (reader,) if reader is not None else self.readers()
            left_ms = max(0, int((deadline - time.monotonic()) * 1000))
            turn_ms = min(_TURN_MS, left_ms)
            if watched:
                seen = self._states(watched, turn_ms, seen)
            else:
                time.sleep(turn_ms / 1000)
            for name, state in seen.items():
                mute = state & self._scard.SCARD_STATE_MUTE
                if bool(state & self._scard.SCARD_STATE_PRESENT) is present and not mute:
                    return name
            if not left_ms:
                awaited = "a card at the reader" if present else "the card taken away"
                raise TransportError(CardFault.WAIT_ENDED, timeout_ms=timeout_ms, awaited=awaited)

    def _states(
        self, readers: tuple[str, ...], timeout_ms: int, known: dict[str, int] | None = None
    ) -> dict[str, int]:
        """The readers' state bits, at once or when one differs from what is known."""
        unaware = self._scard.SCARD_STATE_UNAWARE
        asked = [(name, (known or {}).get(name, unaware)) for name in readers]
        code, answers = self._scard.SCardGetStatusChange(self._context, timeout_ms, asked)
        if code == self._scard.SCARD_E_TIMEOUT:
            return dict(asked)
        if code != self._scard.SCARD_S_SUCCESS:
            _fail(self._scard, code, ", ".join(readers[:_NAMES_SHOWN_MAX]))
        changed = self._scard.SCARD_STATE_CHANGED
        return {name: state & ~changed for name, state, _ in answers}

    def connect(self, reader: str | None = None, *, exclusive: bool = True) -> PcscTransport:
        """A transport to the card at a reader (None: the first). TransportError saying why not."""
        name = self.find_reader(reader)
        scard = self._scard
        share = scard.SCARD_SHARE_EXCLUSIVE if exclusive else scard.SCARD_SHARE_SHARED
        protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        code, card, protocol = scard.SCardConnect(self._context, name, share, protocols)
        if code != scard.SCARD_S_SUCCESS:
            _fail(scard, code, name)
        return PcscTransport(scard, name, card, protocol)


class PcscTransport:
    """A connected card. Made by `PcscContext.connect`; the context must outlive it."""

    def __init__(self, scard: ModuleType, name: str, card: object, protocol: int) -> None:
        self._scard = scard
        self._card: object | None = card
        self.name = name
        t0 = protocol == scard.SCARD_PROTOCOL_T0
        self._protocol_header = scard.SCARD_PCI_T0 if t0 else scard.SCARD_PCI_T1

    def __enter__(self) -> PcscTransport:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def transceive(self, command: bytes) -> tuple[bytes, int]:
        """Send one command APDU; the answer's data and status word."""
        if self._card is None:
            raise TransportError(CardFault.CARD_REMOVED, reader=self.name)
        code, answer = self._scard.SCardTransmit(self._card, self._protocol_header, list(command))
        if code != self._scard.SCARD_S_SUCCESS:
            self._refuse(code)
        try:
            response = decode_response(bytes(answer))
        except ApduError as error:
            raise MalformedAnswer(str(error)) from None
        return response.data, response.sw

    def _refuse(self, code: int) -> Never:
        """A card pulled out in mid-command shows as a failed transmission: look, then say so."""
        if _fault(self._scard, code) is CardFault.COMMUNICATION:
            status = self._scard.SCardStatus(self._card)
            if _fault(self._scard, status[0]) is not CardFault.COMMUNICATION:
                code = status[0] or code
        _fail(self._scard, code, self.name)

    def begin_transaction(self) -> None:
        """Keep other programs off a shared card until `end_transaction`."""
        code = self._scard.SCardBeginTransaction(self._card)
        if code != self._scard.SCARD_S_SUCCESS:
            _fail(self._scard, code, self.name)

    def end_transaction(self) -> None:
        """Let other programs at a shared card again."""
        self._scard.SCardEndTransaction(self._card, self._scard.SCARD_LEAVE_CARD)

    def atr(self) -> bytes:
        """The card's answer to reset."""
        code, _, _, _, atr = self._scard.SCardStatus(self._card)
        if code != self._scard.SCARD_S_SUCCESS:
            _fail(self._scard, code, self.name)
        return bytes(atr)

    def close(self) -> None:
        """Reset the card, so that the next program finds no verified PIN, and let it go."""
        card, self._card = self._card, None
        if card is not None:
            self._scard.SCardDisconnect(card, self._scard.SCARD_RESET_CARD)


def list_readers() -> tuple[str, ...]:
    """The readers connected now, possibly none. TransportError when there is no card service."""
    with PcscContext() as context:
        return context.readers()
