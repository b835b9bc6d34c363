"""A rule that does not fit is told with line, field and what to do; nothing becomes a "no"."""

from __future__ import annotations

import pytest

from processing.eligibility.check import check_rule
from processing.eligibility.directory import Directory
from processing.eligibility.document import Rule, read_rule
from processing.eligibility.shipped import shipped_rules
from processing.eligibility.trial import run_cases
from processing.regulations.faults import DocumentError


def faults_in(text: str, directory: Directory) -> list[str]:
    """Return what is said of a spoilt text, in English."""
    try:
        check_rule(read_rule(text.encode(), "rule.toml"), directory)
    except DocumentError as error:
        return error.text("en").splitlines()
    return []


SPOILT = {
    # what is replaced: by what, what is said, at which line's text
    "unknown table": ("[grant]", "[grants]", "grants: unknown; did you mean grant?"),
    "unknown field": ('fact = "age"', 'fakt = "age"', "fakt: unknown; did you mean fact?"),
    "unknown fact": ('fact = "age"', 'fact = "aged"', "there is no such word: 'aged'"),
    "number in quotes": ("at_least = 7", 'at_least = "7"', "expected a whole number, found"),
    "impossible date": ("valid_to = 2030-12-31", "valid_to = 2030-02-30", "this is not TOML"),
    "date in quotes": ("valid_to = 2030-12-31", 'valid_to = "2030-12-31"', "a date without quotes"),
    "ends before it begins": ("2030-12-31", "2020-12-31", "the last day is before the first"),
    "unknown measure": (
        'measure = "VOUCHER.CHILD"',
        'measure = "VOUCHER.CHYLD"',
        "did you mean VOU",
    ),
    "unknown class": (
        'item_class = "VOUCHER.CHILD"',
        'item_class = "NOTHING"',
        "there is no NOTHING",
    ),
    "unknown category": (
        '"DISABLED.CHILD", "FAMILY',
        '"DISABLD.CHILD", "FAMILY',
        "did you mean DIS",
    ),
    "unknown grounds": (
        'category = "FAMILY.LARGE"',
        'category = "FAMILY.BIG"',
        "there is no FAMILY.B",
    ),
    "unknown event": ('"child_born",', '"child_burn",', "did you mean child_born?"),
    "unknown amount": (
        'parameter = "PM.CHILD"',
        'parameter = "PM.CHYLD"',
        "did you mean PM.CHILD?",
    ),
    "unknown clause of a case": ('clause = "3.1"\ntitle', 'clause = "3.7"\ntitle', "no clause 3.7"),
    "case of a clause with sub-clauses": (
        'clause = "3.1"\ntitle',
        'clause = "3"\ntitle',
        "no clause 3 ",
    ),
    "twin clauses": ('clause = "2.2"\ntext', 'clause = "2.1"\ntext', "a clause 2.1 already"),
    "orphan": (
        'clause = "3.1"\ntext',
        'clause = "4.1"\ntext',
        "clause 4, which this one belongs to",
    ),
    "no sub-clauses": ('clause = "3.1"\ntext', 'clause = "4"\ntext', "add 3.1, or name a fact"),
    "sub-clauses uncounted": ('holds = "none"\n', "", "does not say which must hold"),
    "nothing tested": ('fact = "age"\n', "", "it tests nothing; add fact"),
    "tests and combines": (
        'holds = "none"',
        'holds = "none"\nfact = "age"',
        "tests nothing itself",
    ),
    "no comparison": (
        "at_least = 7\nat_most = 15\n",
        "",
        "it is not said what “age” is compared with",
    ),
    "wrong comparison": ("at_least = 7", 'at_least = 7\none_of = ["f"]', "means nothing here"),
    "no qualifier": ("younger_than = 18\n", "", "“children” needs the field younger_than"),
    "idle qualifier": (
        "at_least = 7",
        'at_least = 7\nevent = "child_born"',
        "event: this field means",
    ),
    "never holds": ("at_most = 15", "at_most = 6", "it can never hold: at least 7 and at most 6"),
    "slip of the pen": ("at_most = 15", "at_most = 1500", "a number for “age” is at most 150"),
    "no end": ("until_year_end = true\n", "", "it is not said when the right ends"),
    "per member of nobody": (
        "amount = 1\n",
        "amount = 1\nper_member = true\n",
        "only a household's",
    ),
    "case out of term": ("day = 2026-03-01", "day = 2035-03-01", "in force from 2026-01-01"),
    "case from the future": (
        "birth_date = 2009-06-01",
        "birth_date = 2029-06-01",
        "a date is after",
    ),
    "case with unknown category": ('["FAMILY.LARGE"], year', '["FAMILY.L"], year', "no FAMILY.L;"),
    "case with unknown amount": ('{ "PM.CHILD" = 1_5', '{ "PM.CHILT" = 1_5', "no amount PM.CHILT"),
    "case without a place": ('expect = "yes"', 'expect = "perhaps"', "there is no such word"),
    "uncovered clause": (
        'clause = "2.2"\ntitle',
        'clause = "2.1"\ntitle',
        "no example shows clause 2.2",
    ),
    "a choice without an application": (
        'granting = "offer"',
        'granting = "automatic"',
        "without an application nobody learns",
    ),
    "bad number": ('clause = "1"\ntext', 'clause = "one"\ntext', "the number of a clause"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_wrong_is_told_with_its_place(
    name: str, voucher: str, directory: Directory
) -> None:
    old, new, said = SPOILT[name]
    assert old in voucher
    told = faults_in(voucher.replace(old, new), directory)
    assert any(said in line for line in told), told
    assert all(line.startswith("rule.toml:") for line in told)


def test_the_place_is_line_and_column(voucher: str, directory: Directory) -> None:
    (told,) = faults_in(voucher.replace("at_most = 15\n", "at_most = 1500\n"), directory)
    line = next(n for n, text in enumerate(voucher.splitlines(), 1) if text == "at_most = 15")
    assert told.startswith(f"rule.toml:{line}:1: clause 1, at_most: ")


def test_a_russian_reads_russian(voucher: str, directory: Directory) -> None:
    spoilt = voucher.replace("at_most = 15", "at_most = 6")
    with pytest.raises(DocumentError) as raised:
        check_rule(read_rule(spoilt.encode(), "rule.toml"), directory)
    assert "не выполнимо никогда: нужно не меньше 7 и не больше 6" in raised.value.text("ru")


def test_a_rule_without_a_refusal_shows_too_little(voucher: str, directory: Directory) -> None:
    told = faults_in(voucher.replace('expect = "no"', 'expect = "not known"'), directory)
    assert any("no example expects “no”" in line for line in told)


@pytest.mark.parametrize("rule", shipped_rules(), ids=lambda rule: rule.title)
def test_a_shipped_rule_is_sound_and_its_cases_hold(rule: Rule, directory: Directory) -> None:
    check_rule(rule, directory)
    assert [one.sentence("en") for one in run_cases(rule) if not one.passed] == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("at_least = 7", "at_least = 10", "expected yes, found no"),
        (
            'clause = "2.1"\ntitle',
            'clause = "2.2"\ntitle',
            "the answer is right, but not because of clause 2.2",
        ),
    ],
)
def test_a_case_that_does_not_hold_says_so(voucher: str, old: str, new: str, said: str) -> None:
    results = run_cases(read_rule(voucher.replace(old, new).encode(), "rule.toml"))
    assert said in {one.sentence("en") for one in results if not one.passed}
