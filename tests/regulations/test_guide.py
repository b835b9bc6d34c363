"""The guide for officials holds: what it lets them write is sound, and does what it says."""

import re
from pathlib import Path

from processing.regulations.check import faults_of
from processing.regulations.directory import Directory
from processing.regulations.document import (
    Case,
    CaseRight,
    Clause,
    Consumes,
    EvidenceWord,
    Head,
    Period,
    Regulation,
    Shortage,
    Transaction,
    read_regulation,
)
from processing.regulations.store import RegulationStore
from processing.regulations.trial import run_cases
from tests.plugins.postgres import Database
from tests.regulations.test_publication import small_region

GUIDE = Path(__file__).parents[2] / "docs" / "regulations.md"


def example() -> Regulation:
    (text,) = re.findall(r"```toml\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    return read_regulation(text.encode(), "club.toml")


def test_the_guide_s_regulation_is_sound(directory: Directory) -> None:
    assert list(faults_of(example(), directory)) == []


async def test_the_guide_s_output_is_what_is_printed(database: Database) -> None:
    regulation = example()
    async with small_region(database) as connection:
        directory = await RegulationStore(connection).directory()
        results = await run_cases(connection, regulation, directory)
    page = GUIDE.read_text("utf-8")
    for result in results:
        line = regulation.source.place(("case", result.number - 1)).line
        told = f"✓ club.toml:{line} пункт 1: {result.case.title_ru}\n    {result.sentence('ru')}"
        assert result.passed
        assert told in page


def test_every_field_and_word_is_in_the_guide() -> None:
    page = GUIDE.read_text("utf-8")
    structs = (Head, Transaction, Clause, Case, CaseRight)
    fields = {field for struct in structs for field in struct.__struct_fields__}
    words = {str(word) for kind in (Consumes, Shortage, EvidenceWord) for word in kind}
    words |= {str(word) for word in Period}
    assert {name for name in fields | words if name not in page} == set()
