"""The text of an export: amounts, guarded cells, and reading back what was written."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.reconciliation.day_file import (
    DIALECTS,
    FileSums,
    Flavour,
    guarded,
    headings,
    read_sums,
    roubles,
)
from processing.reconciliation.errors import ExportMismatchError
from processing.reconciliation.export import check_sums
from processing.reconciliation.model import Amounts, Balance, DayOrder, DayReport, TerminalDay
from processing.reconciliation.screen import amount
from tests.reconciliation.day import DAY

HEADINGS = (
    "business_date,posting_date,decided_at_utc,provider_code,provider_inn,contract,terminal_id,"
    "stan,assigned,kind,advice,outcome,outcome_name,approval_code,original_business_date,"
    "original_stan,service,service_version,line_no,part,item,quantity,scale,unit_okei,"
    "gross_kopecks,covered_kopecks,paid_kopecks,measure,funding,tariff,excess,journal_place,"
    "gross_roubles,covered_roubles,paid_roubles"
)


def test_headings_are_a_contract() -> None:
    assert ",".join(headings(with_categories=False)) == HEADINGS
    extra = set(headings(with_categories=True)) - set(headings(with_categories=False))
    assert extra == {"category", "entitlement_id"}


@pytest.mark.parametrize(
    ("kopecks", "plain", "ru", "en"),
    [
        (0, "0.00", "0,00", "0.00"),
        (5, "0.05", "0,05", "0.05"),
        (-5, "-0.05", "−0,05", "−0.05"),
        (-100, "-1.00", "−1,00", "−1.00"),
        (123_456, "1234.56", "1\u00a0234,56", "1,234.56"),
        (10**14 + 1, "1000000000000.01", "1\u00a0000\u00a0000\u00a0000\u00a0000,01", None),
    ],
)
def test_amounts(kopecks: int, plain: str, ru: str, en: str | None) -> None:
    assert roubles(kopecks) == plain
    assert roubles(kopecks, ",") == plain.replace(".", ",")
    assert amount(kopecks, "ru") == ru
    assert en is None or amount(kopecks, "en") == en


@given(st.integers(-(10**18), 10**18))
def test_roubles_are_exact(kopecks: int) -> None:
    whole, rest = roubles(kopecks).split(".")
    assert int(whole + rest) == kopecks


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", ""),
        ("APTEKA-1", "APTEKA-1"),
        ("Аптека", "Аптека"),
        ("0101234567", '="0101234567"'),
        ("10/12", '="10/12"'),
        ("=1+2", '="=1+2"'),
        ('+"x"', '="+""x"""'),
        ("-5", '="-5"'),
        ("@SUM(A1)", '="@SUM(A1)"'),
        ("\t=1", '="\t=1"'),
    ],
)
def test_guarded(text: str, written: str) -> None:
    assert guarded(text) == written


COLUMNS = (
    "terminal_id",
    *(f"{name}_{unit}" for unit in ("kopecks", "roubles") for name in ("gross", "covered", "paid")),
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("PH000001", "1H000001")),
            st.integers(-(10**12), 10**12),
            st.integers(-(10**12), 10**12),
        ),
        max_size=20,
    ),
    st.sampled_from(Flavour),
)
def test_read_back(rows: list[tuple[str, int, int]], flavour: Flavour) -> None:
    dialect = DIALECTS[flavour]
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=dialect.separator)
    writer.writerow(COLUMNS)
    expected: dict[str, Amounts] = {}
    for terminal_id, covered, paid in rows:
        amounts = (covered + paid, covered, paid)
        expected[terminal_id] = expected.get(terminal_id, Amounts()) + Amounts(*amounts)
        shown = guarded(terminal_id) if dialect.guards_text else terminal_id
        writer.writerow([shown, *amounts, *(roubles(n, dialect.decimal_mark) for n in amounts)])
    text.seek(0)
    assert read_sums(text, dialect) == FileSums(len(rows), expected, [])


def test_roubles_that_contradict_kopecks_are_found() -> None:
    text = io.StringIO(",".join(COLUMNS) + "\nPH000001,3,2,1,0.03,0.02,0.01\nX,3,2,1,0.3,0.02,0.01")
    assert read_sums(text, DIALECTS[Flavour.PLAIN]).contradictory_rows == [2]


def terminal(terminal_id: str, amounts: Amounts) -> TerminalDay:
    return TerminalDay(
        provider_code="P",
        terminal_id=terminal_id,
        sale_count=1,
        reversal_count=0,
        return_count=0,
        amounts=amounts,
        balance=Balance.NOT_SETTLED,
    )


@pytest.mark.parametrize(
    ("sums", "message"),
    [
        (FileSums(1, {"A": Amounts(3, 2, 1)}, [1]), "roubles and kopecks differ in row 1"),
        (FileSums(1, {"A": Amounts(3, 3, 0)}, []), "A: lines 3 covered and 0 paid kopecks"),
        (FileSums(0, {}, []), "A: lines 0 covered and 0 paid kopecks, decisions 2 covered"),
        (
            FileSums(2, {"A": Amounts(3, 2, 1), "B": Amounts(1, 1, 0)}, []),
            "B: lines 1 covered and 0 paid kopecks, decisions 0 covered and 0 paid",
        ),
        (
            FileSums(9, {f"T{number}": Amounts(1, 1, 0) for number in range(9)}, []),
            "and 5 more terminals",
        ),
    ],
)
def test_a_contradiction_is_named(sums: FileSums, message: str) -> None:
    report = DayReport(DayOrder(DAY), (terminal("A", Amounts(3, 2, 1)),))
    with pytest.raises(ExportMismatchError, match=message):
        check_sums(sums, report)


def test_agreement_passes() -> None:
    report = DayReport(DayOrder(DAY), (terminal("A", Amounts(3, 2, 1)), terminal("B", Amounts())))
    assert check_sums(FileSums(1, {"A": Amounts(3, 2, 1)}, []), report) is None  # type: ignore[func-returns-value]
