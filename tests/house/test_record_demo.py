"""The picture in README is drawn from what the demonstration printed."""

from __future__ import annotations

import pytest

from scripts.record_demo import LINES_MAX, picture, scenes, shortened, svg_of

TOLD = """
2. Register ────────────────

▸ find a person
$ spk register approve 1 --by olga
refused to Olga

▸ something else
$ spk card issue

7. Visits ──────────────────

▸ too much is claimed
$ spk terminal visit finish
HOME.CLEANING=45
refused here
"""


def test_only_what_is_named_is_kept() -> None:
    lines = picture(TOLD)
    assert "2. Register" in lines
    assert "7. Visits" in lines
    assert "refused to Olga" in lines
    assert "refused here" in lines
    assert "$ spk card issue" not in lines


def test_every_line_belongs_to_a_scene() -> None:
    told = [line for _, scene in scenes(TOLD.splitlines()) for line in scene if line]
    assert told == [line for line in TOLD.splitlines() if line and "───" not in line]


def test_a_long_scene_loses_its_middle() -> None:
    scene = [str(number) for number in range(LINES_MAX + 1)]
    short = shortened(scene)
    assert len(short) < LINES_MAX
    assert (short[0], short[-1]) == (scene[0], scene[-1])
    assert shortened(scene[:LINES_MAX]) == scene[:LINES_MAX]


def test_the_picture_fetches_nothing() -> None:
    svg = svg_of(TOLD)
    assert "Olga" in svg
    assert svg.count("http") == 1
    with pytest.raises(ValueError, match="nothing that scripts/demo printed"):
        svg_of("Exception in thread")
