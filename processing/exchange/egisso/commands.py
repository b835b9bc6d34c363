"""`spk exchange egisso`: facts out (10.06.S), local measures in and out (10.05.I)."""

from __future__ import annotations

import asyncio
import calendar
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID, uuid4

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from processing.exchange.egisso.catalogue import differences, read_catalogue, write_catalogue
from processing.exchange.egisso.local_measure import ELEMENTS_MAX
from processing.exchange.egisso.store import EXPORT_LIMITS, EgissoStore, Link
from processing.kernel.clock import SystemClock
from processing.kernel.config import read_settings
from processing.kernel.errors import ConfigurationError, SpkError
from processing.kernel.private_file import write_private_file
from processing.kernel.roles import Role
from processing.kernel.target_pools import open_targets

app = cyclopts.App(name="egisso", help="Files of ЕГИССО: facts out, local measures in and out.")

By = Annotated[str, Parameter(help="Who does it.")]

_REASONS: Final = {
    "measure": (
        "мера не связана с ЛМСЗ (spk exchange egisso link)",
        "the measure is linked to no ЛМСЗ",
    ),
    "category": (
        "льготная категория не связана с категорией ЛМСЗ",
        "the category is linked to none of the ЛМСЗ's",
    ),
    "recipient": ("у семьи нет главы", "the household has no head"),
    "name": (
        "ФИО записано не русскими буквами: исправьте в регистре",
        "the name is not in Russian letters: mend it in the register",
    ),
    "negative": (
        "возвращено больше, чем предоставлено в этом месяце",
        "more was returned than provided in the month",
    ),
}
_REFUSALS: Final = {
    "unknown": "there is no such catalogue: spk exchange egisso status / такого справочника нет",
    "approved already": "it is approved already / справочник уже утверждён",
    "changed meanwhile": "the draft was changed meanwhile / справочник изменился",
    "same person": "another person has to approve it / утвердить должен другой человек",
    "in use": "it removes a measure that is linked here / удаляемая мера здесь используется",
    "lmsz": "the catalogue has no such ЛМСЗ / такой ЛМСЗ в справочнике нет",
    "category": "the ЛМСЗ has no such category / такой категории у ЛМСЗ нет",
}


@app.command
def export(
    *,
    out: Annotated[Path, Parameter(help="Folder for the files; only you may read them.")],
    by: By,
    period: Annotated[str | None, Parameter(help="Month of the facts, such as 2026-10.")] = None,
    again: Annotated[int | None, Parameter(help="Number of an export to write again.")] = None,
    catalogue: Annotated[bool, Parameter(help="Write the local measures (10.05.I).")] = False,
) -> None:
    """Write the facts of a month that ЕГИССО was not told yet, or an earlier export again."""
    if [period is not None, again is not None, catalogue].count(True) != 1:
        raise ConfigurationError("give --period, --again or --catalogue, one of them")
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    if catalogue:
        asyncio.run(_export_catalogue(out))
    elif again is not None:
        asyncio.run(_write(again, out))
    else:
        first, last = _month(period or "")
        asyncio.run(_export(first, last, by, out))


@app.command(name="import")
def take(file: Path, /, *, by: By) -> None:
    """Check a catalogue of local measures, show what it changes, keep it for a second person."""
    try:
        body = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from None
    asyncio.run(_import(body, by))


@app.command
def approve(catalogue_id: int, /, *, by: By) -> None:
    """Put a catalogue in force that another person brought."""
    asyncio.run(_approve(catalogue_id, by))


@app.command
def link(
    measure: str,
    /,
    *,
    lmsz: Annotated[UUID, Parameter(help="Its ЛМСЗ in the catalogue.")],
    osz: Annotated[str, Parameter(help="Code of the authority (ОСЗ), such as 0123.000456.")],
    category: Annotated[
        list[str], Parameter(help="Our category and the ЛМСЗ's: DISABLED.1=UUID; many times.")
    ],
    by: By,
    basis: Annotated[str, Parameter(help="provided, each month; or assigned, once.")] = "provided",
    okei: Annotated[str | None, Parameter(help="Unit to tell; by default the goods' own.")] = None,
    monetization: bool = False,
) -> None:
    """Say what a measure of ours is in ЕГИССО."""
    pairs = [one.partition("=") for one in category]
    try:
        categories = {ours: UUID(theirs) for ours, _, theirs in pairs}
    except ValueError:
        raise ConfigurationError("--category is OURS=UUID, such as DISABLED.1=…") from None
    asyncio.run(
        _link(
            Link(
                measure=measure,
                lmsz_id=lmsz,
                osz_code=osz,
                basis=basis,
                okei=okei,
                monetization=monetization,
                linked_by=by,
                categories=categories,
            )
        )
    )


@app.command
def status() -> None:
    """List the exports and what our measures are in ЕГИССО."""
    asyncio.run(_status())


@asynccontextmanager
async def _store() -> AsyncIterator[EgissoStore]:
    settings = read_settings(os.environ)
    async with open_targets(
        settings, Role.EXCHANGE, "spk exchange egisso", EXPORT_LIMITS
    ) as targets:
        yield EgissoStore(targets)


async def _export(first: date, last: date, by: str, out: Path) -> None:
    async with _store() as store:
        export_id = await store.draw(first, last, by, SystemClock("UTC").utc_ms())
    await _write(export_id, out)


async def _write(export_id: int, out: Path) -> None:
    async with _store() as store:
        export = await store.export(export_id)
        if export is None:
            raise ConfigurationError(f"there is no export {export_id}: spk exchange egisso status")
        files = 0
        async for number, content in store.packages(export_id):
            files += 1
            name = f"10.06.S_{export['period']:%Y-%m}_{export_id:06}_{number:04}.xml"
            write_private_file(out / name, content, replace=True)
        held = await store.held(export_id)
    print(
        f"Export {export_id} of {export['period']:%Y-%m}: {export['record_count']} records in "
        f"{files} files, {export['unchanged_count']} facts unchanged, "
        f"{export['held_count']} held back"
    )
    for row in held:
        ru, en = _REASONS[row["reason"]]
        print(f"  {row['held_count']} {row['measure']} {row['category']}: {ru} / {en}")


async def _export_catalogue(out: Path) -> None:
    async with _store() as store:
        measures = await store.measures()
    if not measures:
        raise ConfigurationError("the catalogue is empty: spk exchange egisso import")
    every = list(measures.values())
    for number, first in enumerate(range(0, len(every), ELEMENTS_MAX), start=1):
        path = out / f"10.05.I_{number:04}.xml"
        content = write_catalogue(uuid4(), every[first : first + ELEMENTS_MAX])
        write_private_file(path, content, replace=True)
        print(f"{len(every[first : first + ELEMENTS_MAX])} local measures in {path}")


async def _import(body: bytes, by: str) -> None:
    catalogue = read_catalogue(body)
    async with _store() as store:
        before = await store.measures()
        number = await store.propose(catalogue, body, by, SystemClock("UTC").utc_ms())
    if number is None:
        raise ConfigurationError(
            f"package {catalogue.package_id} was brought already / пакет уже загружен"
        )
    print("\n".join(differences(before, catalogue, russian=True)))
    print(f"Catalogue {number}: another person approves it: spk exchange egisso approve {number}")


async def _approve(catalogue_id: int, by: str) -> None:
    async with _store() as store:
        draft = await store.draft(catalogue_id)
        if draft is None:
            raise ConfigurationError(_REFUSALS["unknown"])
        catalogue = read_catalogue(draft["body"])
        before = await store.measures()
        refused = await store.approve(
            catalogue_id, catalogue, draft["body"], by, SystemClock("UTC").utc_ms()
        )
    if refused is not None:
        raise SpkError(_REFUSALS[refused])
    print("\n".join(differences(before, catalogue, russian=True)))
    print(f"Catalogue {catalogue_id} is in force")


async def _link(link: Link) -> None:
    async with _store() as store:
        refused = await store.link(link)
    if refused is not None:
        raise ConfigurationError(_REFUSALS[refused])
    print(f"{link.measure} is told as {link.lmsz_id}, {len(link.categories)} categories")


async def _status() -> None:
    async with _store() as store:
        exports, links = await store.exports(), await store.links()
    told = Table("measure", "ЛМСЗ", "form", "told", "authority", "categories", title="Measures")
    for row in links:
        told.add_row(
            row["measure"],
            row["title"],
            row["form"],
            row["basis"],
            row["osz_code"],
            str(row["category_count"]),
        )
    table = Table("export", "month", "records", "files", "unchanged", "held", "by", title="Exports")
    for row in exports:
        table.add_row(
            str(row["export_id"]),
            f"{row['period']:%Y-%m}",
            *(str(row[f"{name}_count"]) for name in ("record", "package", "unchanged", "held")),
            row["made_by"],
        )
    console = Console()
    console.print(told if told.row_count else "No measure is linked: spk exchange egisso link.")
    console.print(table if table.row_count else "Nothing was exported yet.")


def _month(text: str) -> tuple[date, date]:
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError:
        raise ConfigurationError(f"{text!r} is no month; give one such as 2026-10") from None
    return first, first.replace(day=calendar.monthrange(first.year, first.month)[1])
