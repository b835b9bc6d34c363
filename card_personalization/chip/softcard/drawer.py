"""A drawer of software cards: a folder with one file per card, kept between runs.

A card taken from the drawer is locked, so that two programs never hold it at once, and is saved
(written aside, synced, renamed) after every command that changes it, before the answer leaves.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import IO, Final

from card_personalization.chip.file_lock import lock_file
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.session import Interface
from card_personalization.chip.softcard.state import (
    FILE_LIMIT_BYTES,
    CardFileDamaged,
    CardState,
    decode_state,
    encode_state,
)

_SUFFIX: Final = ".card"
_NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")


class DrawerError(Exception):
    """The drawer cannot do it; the message says which card or folder, and what to do."""


class KeptCard:
    """A card taken from a drawer. Use it as a SoftCard; `put_back` when done."""

    def __init__(self, name: str, path: Path, card: SoftCard, lock: IO[bytes]) -> None:
        self.name = name
        self._path = path
        self._card = card
        self._lock: IO[bytes] | None = lock
        self._saved_at = card.changes

    @property
    def state(self) -> CardState:
        """What is in the card's file."""
        return self._card.state

    @property
    def atr(self) -> bytes:
        """The answer to reset, without resetting."""
        return self._card.atr

    def power_on(self) -> bytes:
        """Power up; the answer to reset."""
        return self._card.power_on()

    def power_off(self) -> None:
        """Forget everything that needs power."""
        self._card.power_off()

    def reset(self) -> bytes:
        """Forget what a reset forgets; the answer to reset."""
        return self._card.reset()

    def transmit(self, apdu: bytes) -> bytes:
        """Answer one command APDU; what it changed is on the disk. OSError if it cannot be."""
        answer = self._card.transmit(apdu)
        if self._card.changes != self._saved_at:
            _write_durably(self._path, self._card.to_state())
            self._saved_at = self._card.changes
        return answer

    def put_back(self) -> None:
        """Power off and let others take the card. Twice does nothing."""
        self._card.power_off()
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()


class Drawer:
    """A folder of cards, made when first needed. Names are letters, digits, `-` and `_`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> tuple[str, ...]:
        """The cards in the drawer, sorted."""
        if not self.folder.is_dir():
            return ()
        return tuple(sorted(path.stem for path in self.folder.glob(f"*{_SUFFIX}")))

    def add(self, name: str, state: CardState) -> None:
        """Lay a new card in the drawer. DrawerError if the name is taken or no name."""
        path = self._path(name)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            raise DrawerError(f"the drawer {self.folder} already holds a card {name!r}")
        _write_durably(path, encode_state(state))

    def take(self, name: str, interface: Interface = Interface.CONTACT) -> KeptCard:
        """Take a card out, to be used by this program alone until it is put back.

        DrawerError if there is none, if its file is damaged, or if another program holds it.
        """
        path = self._path(name)
        if not path.is_file():
            known = ", ".join(self.names()) or "none"
            raise DrawerError(f"no card {name!r} in {self.folder}; cards there: {known}")
        lock = self._path(name).with_suffix(".lock").open("ab")
        try:
            if not lock_file(lock):
                raise DrawerError(f"another program holds the card {name!r} of {self.folder}")
            card = SoftCard(_read(path), interface=interface)
        except BaseException:
            lock.close()
            raise
        return KeptCard(name, path, card, lock)

    def _path(self, name: str) -> Path:
        if not _NAME_PATTERN.match(name):
            raise DrawerError(
                f"{name!r} is no name of a card: 1 to 64 letters, digits, hyphens and underscores"
            )
        return self.folder / f"{name}{_SUFFIX}"


def _read(path: Path) -> CardState:
    with path.open("rb") as file:
        content = file.read(FILE_LIMIT_BYTES + 1)
    try:
        return decode_state(content)
    except CardFileDamaged as damage:
        raise DrawerError(
            f"{path}: {damage}. Restore the file from a copy, or delete it and issue a new card"
        ) from None


def _write_durably(path: Path, content: bytes) -> None:
    """Replace a file so that after a crash it is either the old or the new one, never a part."""
    aside = path.with_suffix(".new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    # Windows cannot open a folder to sync it; its rename is durable on its own terms.
    with contextlib.suppress(PermissionError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
