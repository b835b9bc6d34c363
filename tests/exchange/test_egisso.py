"""ЕГИССО: facts of a month, told once and corrected; catalogues in and out; the real schemas."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest
from lxml import etree

from processing.exchange.egisso.catalogue import (
    CatalogueFault,
    differences,
    read_catalogue,
    write_catalogue,
)
from processing.exchange.egisso.facts import PACKAGE, PERSON, FactRecord, RecordKind, package_of
from processing.exchange.egisso.local_measure import PACKAGE as MEASURES
from processing.exchange.egisso.store import EgissoStore, Link
from processing.kernel.database import REPORTING_LIMITS, open_pool
from processing.kernel.roles import Role
from processing.kernel.target_pools import alone
from tests.exchange import facts_world as w
from tests.exchange import people as p
from tests.exchange.published import shared
from tests.plugins.postgres import Database

NOW_MS = 1_795_000_000_000


@pytest.fixture(scope="session")
def facts_schema() -> etree.XMLSchema:
    return etree.XMLSchema(file=str(shared("egisso") / "10.06.S-1.1.0.xsd"))


@pytest.fixture(scope="session")
def measures_schema() -> etree.XMLSchema:
    return etree.XMLSchema(file=str(shared("egisso") / "10.05.I-2.1.0.xsd"))


def assert_valid(schema: etree.XMLSchema, content: bytes) -> None:
    schema.validate(etree.fromstring(content).getroottree())
    log: Any = schema.error_log
    assert [str(error) for error in log] == []


class Office:
    """An agency with a linked catalogue."""

    def __init__(self, database: Database, store: EgissoStore, schema: etree.XMLSchema) -> None:
        self.database = database
        self.store = store
        self.schema = schema

    async def journal(self, *events: tuple[Any, ...], **options: Any) -> list[Any]:
        """Write events; their keys."""
        async with self.database.connect() as connection:
            journal = w.Journal(connection)
            journal._stan = await connection.fetchval("SELECT count(*) FROM journal.event")
            return [await journal.event(*event, **options) for event in events]

    async def export(self) -> tuple[list[tuple[str, str]], list[bytes]]:
        """Tell October; each record as its element and amounts, and the files."""
        export_id = await self.store.draw(w.MONTH, w.MONTH_END, "anna", NOW_MS)
        files = [content async for _, content in self.store.packages(export_id)]
        for content in files:
            assert_valid(self.schema, content)
        again = [content async for _, content in self.store.packages(export_id)]
        assert again == files
        return [told(record) for content in files for record in records(content)], files

    async def held(self) -> list[tuple[str, str]]:
        exports = await self.store.exports()
        rows = await self.store.held(exports[0]["export_id"])
        return [(row["reason"], row["measure"]) for row in rows]


def records(content: bytes) -> list[etree._Element]:
    elements = etree.fromstring(content).find(f"{{{PACKAGE}}}package/{{{PACKAGE}}}elements")
    assert elements is not None
    return list(elements)


def told(record: etree._Element) -> tuple[str, str]:
    """Give a record's element and what it says of amounts and ends."""
    names = {"amount", "equivalentAmount", "dateFinish"}
    said = [
        f"{etree.QName(each).localname}={each.text}"
        for each in record.iter(etree.Element)
        if etree.QName(each).localname in names
    ]
    return etree.QName(record).localname, " ".join(said)


@pytest.fixture
async def office(database: Database, facts_schema: etree.XMLSchema) -> AsyncIterator[Office]:
    await p.populate(database)
    async with database.connect() as connection:
        await w.build(connection)
    pool = await open_pool(database.dsn(Role.EXCHANGE), Role.EXCHANGE, "test", REPORTING_LIMITS)
    store = EgissoStore(alone(pool))
    try:
        await bring(store, [w.measure(name) for name in w.LMSZ])
        for name in w.LMSZ:
            await store.link(link_of(name))
        yield Office(database, store, facts_schema)
    finally:
        await pool.close()


async def bring(store: EgissoStore, measures: list[dict[str, Any]]) -> str | None:
    """Import and approve a catalogue."""
    body = write_catalogue(uuid4(), measures)
    catalogue = read_catalogue(body)
    number = await store.propose(catalogue, body, "anna", NOW_MS)
    assert number is not None
    return await store.approve(number, catalogue, body, "boris", NOW_MS)


def link_of(name: str, **changes: Any) -> Link:
    return Link(
        **{
            "measure": name,
            "lmsz_id": w.LMSZ[name],
            "osz_code": w.OSZ,
            "basis": "assigned" if name == w.GRANT else "provided",
            "okei": None,
            "monetization": False,
            "linked_by": "anna",
            "categories": {"VETERAN": w.CATEGORY[name]},
            **changes,
        }
    )


GRANTED = ("fact", "dateFinish=2027-12-31 amount=12345.67")


async def test_a_month_is_told_once_and_then_corrected(office: Office) -> None:
    sale, _, _ = await office.journal(
        ("anna", "PILLS", 2, 30_050),
        ("anna", "PILLS", 1, 15_000),
        ("household", "WATER", 4_500, 90_010),
    )
    first, _ = await office.export()
    pills = "dateFinish=2026-10-31 amount=3 equivalentAmount=450.50"
    water = "dateFinish=2026-10-31 amount=4.500 equivalentAmount=900.10"
    assert sorted(first) == sorted([("fact", pills), ("fact", water), GRANTED])
    assert await office.export() == ([], [])
    # Half a year later some of it comes back: the month that it was sold in is corrected.
    returned = date(2027, 3, 1)
    await office.journal(("anna", "PILLS", -1, -15_025, returned, 5, sale))
    changed, _ = await office.export()
    assert changed == [
        (
            "alterationBasedOnPreviousErrors",
            "dateFinish=2026-10-31 amount=2 equivalentAmount=300.25",
        )
    ]
    await office.journal(("anna", "PILLS", -2, -30_025, returned, 5, sale))
    assert [name for name, _ in (await office.export())[0]] == ["errorsInvalidation"]
    await office.journal(("anna", "PILLS", 1, 100))
    assert [name for name, _ in (await office.export())[0]] == ["fact"]
    assert await office.export() == ([], [])


async def test_the_reversal_of_a_return_belongs_to_the_sale(office: Office) -> None:
    (sale,) = await office.journal(("anna", "PILLS", 2, 30_000))
    await office.export()
    later, last = date(2026, 11, 5), date(2026, 12, 6)
    (back,) = await office.journal(("anna", "PILLS", -1, -15_000, later, 5, sale))
    assert len((await office.export())[0]) == 1
    await office.journal(("anna", "PILLS", 1, 15_000, last, 6, back))
    assert (await office.export())[0] == [
        (
            "alterationBasedOnPreviousErrors",
            "dateFinish=2026-10-31 amount=2 equivalentAmount=300.00",
        )
    ]


async def test_what_was_assigned_is_corrected_by_its_kind(office: Office) -> None:
    assert (await office.export())[0] == [GRANTED]
    async with office.database.connect() as connection:
        await connection.execute("UPDATE rights.allowance SET granted = 1000")
        assert (await office.export())[0] == [("alterationBasedOnRecalculation", "amount=10.00")]
        await connection.execute(
            "UPDATE rights.entitlement SET valid_to = '2026-11-30' WHERE entitlement_id = $1",
            w.ENTITLEMENTS["grant"],
        )
        ended = [("terminationBasedOnEndOfRight", "dateFinish=2026-11-30")]
        assert (await office.export())[0] == ended
        await connection.execute("DELETE FROM rights.allowance")
    assert (await office.export())[0] == [("errorsInvalidation", "")]


async def test_what_cannot_be_told_is_held_back_and_named(office: Office) -> None:
    await office.journal(
        ("unlinked", "PILLS", 1, 100),
        ("galina", "PILLS", -1, -100),
        ("household", "WATER", 1, 1),
        ("anna", "PILLS", 1, 1),
    )
    async with office.database.connect() as connection, connection.transaction():
        await connection.execute("SELECT register.begin_change('t', 't', 'edit')")
        await connection.execute("DELETE FROM register.household_member WHERE relation = 'head'")
        await connection.execute(
            "UPDATE register.citizen SET last_name = 'Ivanova' WHERE citizen_id = $1", p.ANNA
        )
        await connection.execute(
            "UPDATE register.citizen SET last_name = 'Smith' WHERE citizen_id = $1", p.BORIS
        )
    assert await office.export() == ([], [])
    assert await office.held() == [
        ("measure", "OTHER"),
        ("name", w.GRANT),
        ("name", w.MEDICINE),
        ("negative", w.MEDICINE),
        ("recipient", w.UTILITY),
    ]
    await office.store.link(link_of(w.MEDICINE, categories={}))
    await office.export()
    assert ("category", w.MEDICINE) in await office.held()


async def test_every_recipient_is_logged_as_read(office: Office) -> None:
    await office.journal(("anna", "PILLS", 1, 100), ("household", "WATER", 1, 1))
    await office.export()
    async with office.database.connect() as connection:
        rows = await connection.fetch("SELECT * FROM register.read_log ORDER BY citizen_id")
    assert [row["citizen_id"] for row in rows] == [p.ANNA, p.BORIS]
    assert {row["purpose"] for row in rows} == {"ЕГИССО 10.06.S, 2026-10-01"}


async def test_a_file_holds_a_thousand_records(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processing.exchange.egisso.store.RECORDS_PER_PACKAGE_MAX", 2)
    await office.journal(("anna", "PILLS", 1, 100), ("household", "WATER", 1, 1))
    records_told, files = await office.export()
    assert (len(records_told), len(files)) == (3, 2)


@pytest.mark.parametrize("form", ["01", "02", "03", "04"])
async def test_every_form_of_provision_is_valid(office: Office, form: str) -> None:
    await bring(office.store, [form_of(w.measure(w.MEDICINE), form)])
    await office.journal(("anna", "PILLS", 1, 123))
    await office.export()
    exports = await office.store.exports()
    assert exports[0]["record_count"] == 2


def form_of(measure: dict[str, Any], form: str) -> dict[str, Any]:
    measure["classificationKMSZ"]["codeProvisionForm"] = form
    return measure


def shared_among(*quotas: str) -> dict[str, Any]:
    """Give a measure paid from several sources, each its share in percent."""
    measure = w.measure(w.MEDICINE)
    sources = [{"codeFundingSource": "0100", "quota": quota} for quota in quotas]
    measure["classificationKMSZ"]["cofinancing"] = {"fundingSource": sources}
    return measure


@pytest.mark.parametrize("quotas", [("100",), ("33.33", "33.33", "33.34"), ("0.01", "99.99")])
def test_shares_add_up_to_the_hundredth(quotas: tuple[str, ...]) -> None:
    (read,) = read_catalogue(package(shared_among(*quotas))).measures
    sources = read["classificationKMSZ"]["cofinancing"]["fundingSource"]
    assert [source["quota"] for source in sources] == list(quotas)


def package(*measures: dict[str, Any]) -> bytes:
    return write_catalogue(UUID(int=5), measures)


def test_a_catalogue_is_valid_and_reads_as_it_was_written(
    measures_schema: etree.XMLSchema,
) -> None:
    steps = [{"stepNumber": "1", "stepH": "Шаг", "stepDescr": "Прийти"}]
    measures = [w.measure(w.MEDICINE), w.measure(w.UTILITY, famSign="1", stepsForMSZ=steps)]
    content = package(*measures)
    assert_valid(measures_schema, content)
    catalogue = read_catalogue(content)
    assert list(catalogue.measures) == measures
    assert catalogue.package_id == UUID(int=5)


def test_differences_are_told_in_words() -> None:
    before = {w.LMSZ[name]: w.measure(name) for name in (w.MEDICINE, w.GRANT)}
    after = read_catalogue(
        package(w.measure(w.MEDICINE, cases="Закон"), w.measure(w.UTILITY), w.measure(w.GRANT))
    )
    assert differences(before, after, russian=True) == [
        f"~ Мера MED.FED ({w.LMSZ[w.MEDICINE]})",
        "    cases: «Категория» → «Закон»",
        f"+ Мера UTIL.50 ({w.LMSZ[w.UTILITY]})",
    ]
    same = read_catalogue(package(w.measure(w.GRANT, lastChanging="2027-01-01T00:00:00Z")))
    assert differences(before, same, russian=False) == ["nothing changes"]


GOOD = package(w.measure(w.MEDICINE))
BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><request>&b;'
    b"</request>"
)
XXE = b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><request>&x;</request>'


def changed(old: str, new: str) -> Callable[[], bytes]:
    assert old.encode() in GOOD, old
    return lambda: GOOD.replace(old.encode(), new.encode())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: b"", "no XML"),
        (lambda: b"text", "no XML"),
        (lambda: GOOD[:-20], "no XML"),
        (lambda: BOMB, "DOCTYPE"),
        (lambda: XXE, "DOCTYPE"),
        (lambda: GOOD.decode().encode("utf-16"), "UTF-8"),
        (lambda: b'<?xml version="1.0" encoding="windows-1251"?>' + GOOD[40:], "UTF-8"),
        (lambda: b"<request/>", "request of urn://egisso-ru/msg/10.05.I/2.1.0"),
        (changed("urn://egisso-ru/msg/10.05.I/2.1.0", "urn://egisso-ru/msg/10.05.I/2.0.0"),
         "10.05.I/2.1.0 expected"),
        (changed("urn://egisso-ru/types/local-MSZ/2.1.0", "urn://egisso-ru/types/local-MSZ/1.0.0"),
         "another namespace"),
        (changed("<l:title>Мера MED.FED</l:title>", ""), "localMSZ[1]/title: стоит 0 раз"),
        (changed("<l:title>Мера MED.FED</l:title>", "<l:title> </l:title>"), "localMSZ[1]/title"),
        (changed("<l:title>Мера MED.FED</l:title>", "<l:name/>"), "localMSZ[1]/name"),
        (changed("<l:title>Мера MED.FED</l:title>", "<l:title a='1'>x</l:title>"), "title"),
        (changed("<l:title>Мера MED.FED</l:title>", "<l:title>x</l:title>text"), "between"),
        (changed("2026-01-01<", "2026-02-30<"), "dateEnact: ожидается дата"),
        (changed("<l:codeMSZ>0042", "<l:codeMSZ>42"), "4 digits"),
        (changed("<l:quota>100", "<l:quota>101"), "at most 100"),
        (changed("<l:quota>100", "<l:quota>NaN"), "at most 100"),
        (changed("14810030000000000313", "148"), "20 characters"),
        (changed("<l:formReq>1", "<l:formReq>3"), "one of: 1, 2"),
        (changed(str(w.LMSZ[w.MEDICINE]), "7"), "a UUID"),
        (changed("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z"), "a time such as"),
        (lambda: package(shared_among("33.34", "33.34", "33.33")), "shares above 100"),
        (lambda: package(w.measure(w.GRANT), w.measure(w.GRANT)), "twice"),
        (lambda: package(w.measure(w.GRANT, dateExpiration="2020-01-01")), "before dateEnact"),
    ],
)  # fmt: skip
def test_what_is_no_catalogue_is_refused_with_its_place(
    make: Callable[[], bytes], said: str
) -> None:
    with pytest.raises(CatalogueFault) as caught:
        read_catalogue(make())
    assert said in str(caught.value)
    assert all(fault.ru and fault.en for fault in caught.value.faults)


async def test_a_catalogue_comes_into_force_by_a_second_person(office: Office) -> None:
    content = package(w.measure(w.GRANT, title="Новое название"))
    catalogue = read_catalogue(content)
    number = await office.store.propose(catalogue, content, "anna", NOW_MS)
    assert number is not None
    assert await office.store.propose(catalogue, content, "vera", NOW_MS) is None
    for by, body, refused in (
        ("anna", content, "same person"),
        ("boris", content + b" ", "changed meanwhile"),
        ("boris", content, None),
        ("boris", content, "approved already"),
    ):
        assert await office.store.approve(number, catalogue, body, by, NOW_MS) == refused
    assert (await office.store.approve(999, catalogue, content, "boris", NOW_MS)) == "unknown"
    assert (await office.store.measures())[w.LMSZ[w.GRANT]]["title"] == "Новое название"


async def test_a_measure_in_use_is_not_removed(office: Office) -> None:
    removal = (
        f'<a:invalidation xmlns:a="{MEASURES}"><a:id>{uuid4()}</a:id>'
        f"<a:localMszId>{w.LMSZ[w.GRANT]}</a:localMszId></a:invalidation></pac:elements>"
    )
    content = package().replace(b"</pac:elements>", removal.encode())
    content = content.replace(b"<pac:elements/>", b"<pac:elements>" + removal.encode())
    catalogue = read_catalogue(content)
    assert catalogue.removed == (w.LMSZ[w.GRANT],)
    number = await office.store.propose(catalogue, content, "anna", NOW_MS)
    assert number is not None
    assert await office.store.approve(number, catalogue, content, "boris", NOW_MS) == "in use"
    async with office.database.connect() as connection:
        await connection.execute("DELETE FROM exchange.egisso_category WHERE measure = $1", w.GRANT)
        await connection.execute("DELETE FROM exchange.egisso_measure WHERE measure = $1", w.GRANT)
    assert await office.store.approve(number, catalogue, content, "boris", NOW_MS) is None
    assert w.LMSZ[w.GRANT] not in await office.store.measures()


async def test_links_hold_to_the_catalogue(office: Office) -> None:
    assert await office.store.link(link_of(w.GRANT, lmsz_id=uuid4())) == "lmsz"
    wrong = link_of(w.GRANT, categories={"VETERAN": w.CATEGORY[w.UTILITY]})
    assert await office.store.link(wrong) == "category"


def test_any_character_of_a_name_comes_back() -> None:
    name, one = "О'Нил <&> «Ё»", UUID(int=1)
    content = package_of(
        one,
        [
            FactRecord(
                kind=RecordKind.NEW, event_id=one, fact_id=one, osz_code=w.OSZ, snils="1" * 11,
                last_name=name, first_name=name, patronymic=name, sex="f",
                birth_date=date(1980, 2, 3), lmsz_id=one, category_id=one,
                decided_on=w.DECIDED, date_start=w.MONTH, date_finish=w.MONTH_END, form="02",
                okei="778", scale=0, quantity=1, amount_kopecks=1, monetization=False,
            )
        ],
    )  # fmt: skip
    (record,) = records(content)
    person = record[1]
    assert [each.text for each in person][1:4] == [name] * 3
    assert person[0].tag == f"{{{PERSON}}}SNILS"
