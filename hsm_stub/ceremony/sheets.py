"""A custodian's sheet: text for a screen or a hand, PDF for a printer. It exists in memory only."""

from __future__ import annotations

import subprocess
from typing import Final

import msgspec

from hsm_stub.ceremony.shares import WORDS
from hsm_stub.errors import CeremonyError

COLUMNS: Final = 3
PRINT_TIMEOUT_S: Final = 120


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """One share for one custodian."""

    region: str
    number: int
    count: int
    threshold: int
    custodian: str
    date: str
    words: str
    dry_run: bool = False

    def __repr__(self) -> str:
        """Return its number alone: the words are a share of the keys."""
        return f"Sheet({self.number} of {self.count}, <hidden>)"


def as_text(sheet: Sheet) -> str:
    """Return the sheet for a terminal: numbered words in three columns."""
    words = sheet.words.split()
    rows = -(-WORDS // COLUMNS)
    lines = [
        "  ".join(f"{place + 1:2}. {words[place]:12}" for place in range(row, WORDS, rows)).rstrip()
        for row in range(rows)
    ]
    return "\n".join((*_head(sheet), "", *lines, "", *_foot(sheet)))


def as_pdf(sheet: Sheet) -> bytes:
    """Return the sheet as a page of A4; nothing is written to any disk."""
    import typst

    words = sheet.words.split()
    cells = ", ".join(
        f"[#text(fill: gray)[{place}.] #raw({_quoted(word)})]"
        for place, word in enumerate(words, 1)
    )
    head, *details = _head(sheet)
    source = f"""
#set document(title: {_quoted(head)})
#set page(paper: "a4", margin: 25mm)
#set text(font: "Libertinus Serif", size: 12pt, lang: "ru")
#text(size: 20pt, weight: "bold", {_quoted(head)})

{" ".join(f"#text({_quoted(line)}) #linebreak()" for line in details)}
#v(6mm)
#set text(size: 14pt)
#grid(columns: (1fr, 1fr, 1fr), row-gutter: 5mm, {cells})
#set text(size: 12pt)
#v(8mm)
{" ".join(f"#text({_quoted(line)}) #linebreak()" for line in _foot(sheet))}
#v(15mm)
#grid(columns: (1fr, 1fr), column-gutter: 10mm,
  [#line(length: 100%) Хранитель / Custodian], [#line(length: 100%) Дата / Date])
"""
    pdf = typst.compile(source.encode(), format="pdf", ignore_system_fonts=True)
    if not isinstance(pdf, bytes):
        raise CeremonyError("the sheet could not be laid out")
    return pdf


def print_sheet(sheet: Sheet, command: list[str]) -> None:
    """Give the PDF to a printer's command on its standard input, such as `lp -d vault`."""
    try:
        done = subprocess.run(
            command, input=as_pdf(sheet), capture_output=True, check=False, timeout=PRINT_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CeremonyError(f"the sheet could not be printed with {command[0]}: {error}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[:300]
        raise CeremonyError(f"{command[0]} did not print the sheet: {said}")


def _head(sheet: Sheet) -> tuple[str, ...]:
    rehearsal = "РЕПЕТИЦИЯ, ключей не открывает / DRY RUN, opens nothing: " if sheet.dry_run else ""
    return (
        f"{rehearsal}Доля ключа {sheet.number} из {sheet.count}",
        f"Key share {sheet.number} of {sheet.count} · region {sheet.region} · {sheet.date}",
        f"Хранитель / Custodian: {sheet.custodian}",
        (
            f"Ключи восстанавливают любые {sheet.threshold} из {sheet.count} долей. "
            f"Any {sheet.threshold} of {sheet.count} shares restore the keys."
        ),
    )


def _foot(sheet: Sheet) -> tuple[str, ...]:
    return (
        (
            f"Слова 1 и 2 у всех {sheet.count} долей одинаковы, слова 31–33 контрольные. "
            "Слово узнаётся по первым четырём буквам."
        ),
        (
            "Words 1 and 2 are the same on all sheets, words 31 to 33 are check words; "
            "the first four letters tell a word."
        ),
        (
            "Храните лист в запечатанном конверте, отдельно от других. "
            "Keep it sealed, apart from the others."
        ),
    )


def _quoted(text: str) -> str:
    """Return a typst string: names come from a person's keyboard."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
