"""The guide for officials holds: what it lets them write is sound, and does what it says."""

import re
from pathlib import Path

import pytest

from processing.regulations.check import faults_of
from processing.regulations.compiling import compile_regulation
from processing.regulations.directory import Directory
from processing.regulations.document import (
    Case,
    CaseFact,
    CaseRight,
    Clause,
    Consumes,
    EvidenceWord,
    Head,
    HolderFact,
    Norm,
    Notice,
    Period,
    RefusalWords,
    Regulation,
    Report,
    Reporting,
    Requirement,
    Shortage,
    Transaction,
    Visit,
    read_regulation,
)
from processing.regulations.store import RegulationStore
from processing.regulations.trial import run_cases
from tests.plugins.postgres import Database
from tests.regulations.test_publication import small_region

GUIDE = Path(__file__).parents[2] / "docs" / "regulations.md"


EXAMPLES = ("club.toml", "escort.toml")


def example(name: str) -> Regulation:
    """Return one of the guide's documents, in the order in which they stand."""
    texts = re.findall(r"```toml\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert len(texts) == len(EXAMPLES)
    return read_regulation(texts[EXAMPLES.index(name)].encode(), name)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_guide_s_regulation_is_sound(directory: Directory, name: str) -> None:
    assert list(faults_of(example(name), directory)) == []


async def test_the_guide_s_output_is_what_is_printed(database: Database) -> None:
    page = GUIDE.read_text("utf-8")
    async with small_region(database) as connection:
        directory = await RegulationStore(connection).directory()
        for name in EXAMPLES:
            regulation = example(name)
            results = await run_cases(connection, regulation, directory)
            for result in results:
                line = regulation.source.place(("case", result.number - 1)).line
                told = f"✓ {name}:{line} пункт 1: {result.case.title_ru}\n    "
                assert result.passed, result.sentence("ru")
                assert told + result.sentence("ru") in page
            assert f"{regulation.title}: примеров {len(results)}, не сошлось 0" in page


async def test_a_service_written_from_the_guide_is_given_with_start_and_finish(
    database: Database,
) -> None:
    """Published as it stands, it decides a visit of a citizen of the region by its minutes."""
    escort = example("escort.toml")
    assert escort.visit is not None
    async with small_region(database) as connection:
        store = RegulationStore(connection)
        await store.put_version(compile_regulation(escort))
        row = await connection.fetchrow(
            "SELECT s.visit, s.reserve_minutes, n.quantity, n.period FROM regulations.service AS s"
            " INNER JOIN regulations.norm AS n USING (service, version) WHERE service = 'ESCORT'"
        )
    assert row is not None
    assert tuple(row) == (2, escort.visit.minutes_max, 240, 3)


def test_every_field_and_word_is_in_the_guide() -> None:
    page = GUIDE.read_text("utf-8")
    structs = (
        Head, Transaction, Visit, Reporting, Clause, Requirement, Norm, RefusalWords, Case,
        CaseRight, CaseFact,
    )  # fmt: skip
    fields = {field for struct in structs for field in struct.__struct_fields__}
    kinds = (Consumes, Shortage, EvidenceWord, HolderFact, Notice, Report)
    words = {str(word) for kind in kinds for word in kind}
    words |= {str(word) for word in Period}
    assert {name for name in fields | words if name not in page} == set()
