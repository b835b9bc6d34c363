"""Finding people: by any number, by a name with typos, by birth date, by address, or several."""

from __future__ import annotations

import re
import struct
from datetime import date
from typing import ClassVar, Final
from uuid import UUID

import msgspec

from processing.kernel.database import Connection
from processing.kernel.errors import SpkError
from processing.register.model import Reader

CANDIDATES_MAX: Final = 300
"""Most people that one question looks at: who asks for more has to ask more narrowly."""

FOUND_PAGE_MAX: Final = 50
"""Most people of one page."""

QUESTION_CHARACTERS_MAX: Final = 200
"""Longest name or address asked for."""


class EmptyQuestion(SpkError):
    """Nothing was asked for, or too much at once."""

    exit_code: ClassVar[int] = 2


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a person; what is None is not asked about."""

    number: str | None = None
    """Any number, as people type it."""
    name: str | None = None
    """Last name, first name, patronymic: any of them in any order."""
    birth_date: date | None = None
    address: str | None = None


class Place(msgspec.Struct, frozen=True):
    """Where a page ended: the next one begins after it.

    As a word it says nothing of the person, so that it may stand in a shell's history.
    """

    likeness: float
    citizen_id: UUID

    @property
    def word(self) -> str:
        """The place as people copy it: hexadecimal digits of the likeness and of the id."""
        return struct.pack(">f16s", self.likeness, self.citizen_id.bytes).hex()


def read_place(word: str) -> Place:
    """Return the place that `word` is. Raises `EmptyQuestion` when it is none."""
    try:
        likeness, citizen_id = struct.unpack(">f16s", bytes.fromhex(word))
    except (ValueError, struct.error):
        raise EmptyQuestion(
            "так страница не называется: скопируйте значение --after из ответа / no page has this "
            "name: copy the value of --after from the answer"
        ) from None
    return Place(likeness, UUID(bytes=citizen_id))


class Found(msgspec.Struct, frozen=True):
    """A person found; `likeness` is 1 where the name is the very one asked for."""

    citizen_id: UUID
    snils: str
    last_name: str
    first_name: str
    patronymic: str | None
    birth_date: date
    death_date: date | None
    address: str | None
    likeness: float

    @property
    def place(self) -> Place:
        """Where the next page begins when this is the last of one."""
        return Place(self.likeness, self.citizen_id)


class Page(msgspec.Struct, frozen=True):
    """A page of people. `bounded`: more may fit than were looked at, ask more narrowly.

    `after` is where the next page begins, if this one is full; None when nobody follows.
    """

    found: tuple[Found, ...]
    bounded: bool
    after: Place | None


async def find(
    connection: Connection,
    question: Question,
    reader: Reader,
    *,
    after: Place | None = None,
    count: int = FOUND_PAGE_MAX,
) -> Page:
    """Return a page of the people asked for, the likeliest first; logged for each of them.

    Raises `EmptyQuestion` when nothing is asked for.
    """
    number = bare_number(question.number or "") or None
    name, address = (_words(text) for text in (question.name, question.address))
    if number is None and name is None and address is None and question.birth_date is None:
        raise EmptyQuestion(
            "спросите номер, имя, дату рождения или адрес / ask for a number, name, birth date "
            "or address"
        )
    rows = await connection.fetch(
        "SELECT * FROM register.find($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        reader.by,
        reader.purpose,
        number,
        name,
        question.birth_date,
        address,
        after.likeness if after else None,
        after.citizen_id if after else None,
        min(count, FOUND_PAGE_MAX),
        CANDIDATES_MAX,
    )
    found = tuple(Found(*tuple(row)[:-1]) for row in rows)
    full = len(found) == min(count, FOUND_PAGE_MAX)
    return Page(
        found,
        bounded=any(row["bounded"] for row in rows),
        after=found[-1].place if full else None,
    )


def bare_number(text: str) -> str:
    """Return a typed number as numbers are kept: no spaces, brackets, hyphens between digits.

    >>> bare_number("№ 112-233-445 95")
    '11223344595'
    """
    bare = re.sub(r"[\s()№+\u00a0\u2011\u2013]", "", text[:QUESTION_CHARACTERS_MAX]).upper()
    digits = bare.replace("-", "")
    # A hyphen belongs to the numbers of plans and households, never to those of eleven digits.
    return digits if digits.isdigit() and not _WITH_HYPHEN.fullmatch(bare) else bare


_WITH_HYPHEN: Final = re.compile(r"\d{2}-\d{1,8}")


def _words(text: str | None) -> str | None:
    words = " ".join((text or "")[:QUESTION_CHARACTERS_MAX].split())
    return words or None
