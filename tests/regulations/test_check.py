"""What does not fit together in a regulation is refused, with what to do."""

import pytest

from processing.regulations.check import check_regulation, faults_of
from processing.regulations.directory import Directory
from processing.regulations.document import read_regulation
from processing.regulations.faults import DocumentError
from processing.regulations.shipped import shipped_regulations


def test_the_shipped_regulations_are_sound(directory: Directory) -> None:
    for regulation in shipped_regulations():
        assert list(faults_of(regulation, directory)) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("valid_to = 2030-12-31", "valid_to = 2025-12-31", "15:1: regulation, valid_to: the last"),
        ('["pharmacy"]', '["pharmacie"]', "there is no pharmacie; did you mean pharmacy?"),
        ('measure = "MED.REG"\n', 'measure = "MED.RGE"\n', "did you mean MED.REG?"),
        ('measure = "MED.REG"\n', 'measure = "MED.FED"\n', "clause 1 prices MED.FED already"),
        ('clause = "2"\ntext', 'clause = "1"\ntext', "there is a clause 1 already"),
        ('clause = "2"\ntext', 'clause = "7"\ntext', "no example shows clause 7"),
        ('clause = "2"\ntitle', 'clause = "9"\ntitle', "there is no 9"),
        ('item = "METFORMIN-850-60"', 'item = "METFORMIN-850-6"', "did you mean METFORMIN-850-60?"),
        ('item_class = "METFORMIN"', 'item_class = "METFORMINE"', "did you mean METFORMIN?"),
        ("used = 2", "used = 4", "more is used than was granted (3)"),
        ('outcome = "APPROVED"', 'outcome = "APROVED"', "did you mean APPROVED?"),
        ('outcome = "APPROVED"', 'outcome = "TRY_LATER"', "there is no TRY_LATER"),
        ("covered_kopecks = [24_000]", "covered_kopecks = [24_000, 0]", "1 wanted: what is cov"),
        ("remaining = [0, 4]", "remaining = [0]", "2 wanted: what is left of each right"),
        (
            'title_ru = "Рецепта',
            'day = 2031-01-01\ntitle_ru = "Рецепта',
            "the regulation is in force from 2026-01-01 to 2030-12-31",
        ),
    ],
)
def test_a_contradiction_is_told(
    medicine: str, directory: Directory, old: str, new: str, told: str
) -> None:
    assert old in medicine
    spoilt = read_regulation(medicine.replace(old, new, 1).encode(), "draft.toml")
    with pytest.raises(DocumentError) as caught:
        check_regulation(spoilt, directory)
    assert told in caught.value.text("en")
    assert caught.value.text("ru").startswith("draft.toml:")


def test_a_measure_that_nobody_can_have_is_refused(medicine: str, directory: Directory) -> None:
    closed = Directory(
        measures=directory.measures,
        opened={m: c for m, c in directory.opened.items() if m != "MED.REG"},
        items=directory.items,
        provider_kinds=directory.provider_kinds,
    )
    (fault,) = faults_of(read_regulation(medicine.encode(), "m.toml"), closed)
    assert fault.field == "clause 2, measure"
    assert "её никто не получит" in fault.ru
    assert "nobody can have it" in fault.en
