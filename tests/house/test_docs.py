"""The pages are true: links lead somewhere, commands exist, limits are those of the code."""

import importlib
import os
import re
from importlib.metadata import entry_points
from pathlib import Path

import cyclopts
import msgspec
import pytest

from processing.cli import COMMAND_GROUP
from scripts.limits import page
from tests.house.sources import ROOT, relative

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
SPK = re.compile(r"(?:^|[\s|&;(])spk ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", re.MULTILINE)
SCRIPT = re.compile(r"\bscripts/([a-z]+)(?![\w./])")
LIMIT_ROW = re.compile(
    r"^\| `(processing|hsm_stub|terminal_sim)(\.[\w.]+)` `([\w.]+)` \| ([\d,.]+) \|"
)


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def anchors_of(path: Path) -> set[str]:
    """Give the anchors that a forge makes of a page's headings."""
    headings = HEADING.findall(FENCE.sub("", text_of(path)))
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def code_of(path: Path) -> str:
    """Give what a page sets in code: its blocks, and its spans one per line."""
    text = text_of(path)
    return "\n".join([*FENCE.findall(text), *CODE.findall(FENCE.sub("", text))])


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_every_link_leads_somewhere(path: Path) -> None:
    astray = []
    for link in LINK.findall(FENCE.sub("", text_of(path))):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            astray.append(link)
    assert astray == []


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_every_spk_command_exists(path: Path) -> None:
    points = {point.name: point for point in entry_points(group=COMMAND_GROUP)}
    unknown = []
    for program, command in set(SPK.findall(code_of(path))):
        app = points[program].load() if program in points else None
        known = isinstance(app, cyclopts.App) and (not command or command in set(app))
        if not known:
            unknown.append(f"spk {program} {command}".strip())
    assert unknown == []


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_every_script_exists(path: Path) -> None:
    named = set(SCRIPT.findall(text_of(path)))
    assert [name for name in named if not os.access(ROOT / "scripts" / name, os.X_OK)] == []


@pytest.mark.parametrize("name", ["README.md", "README.ru.md"])
def test_the_map_of_the_house_is_of_this_house(name: str) -> None:
    rows = re.findall(r"^\| ((?:`[\w/]+`(?:, )?)+) \|", text_of(ROOT / name), re.MULTILINE)
    rooms = [room for row in rows for room in CODE.findall(row)]
    assert [room for room in rooms if not (ROOT / room).is_dir()] == []
    packages = {path.parent.name for path in ROOT.glob("*/py.typed")}
    assert packages <= {room.partition("/")[0] for room in rooms}


def test_both_readmes_lead_to_the_same_pages() -> None:
    english, russian = (set(LINK.findall(text_of(ROOT / f"README{ru}.md"))) for ru in ("", ".ru"))
    own = {"README.md", "README.ru.md", "docs/demo.svg", "docs/demo.ru.svg"}
    assert english - own == russian - own


def test_the_readme_leads_to_every_page() -> None:
    led_to = set(LINK.findall(text_of(ROOT / "README.md")))
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    assert pages <= led_to


def test_the_page_of_limits_is_that_of_the_code() -> None:
    assert text_of(ROOT / "docs/limits.md") == page(), (
        "run python -m scripts.limits > docs/limits.md"
    )


def value_of(module: str, name: str) -> int | float:
    """Give a limit as the code has it: a constant, or the default of a field."""
    struct, _, field = name.rpartition(".")
    defined = getattr(importlib.import_module(module), struct or name)
    if struct:
        defined = {each.name: each.default for each in msgspec.structs.fields(defined)}[field]
    assert isinstance(defined, int | float)
    return defined


def test_the_limits_explained_are_those_of_the_code() -> None:
    rows = [LIMIT_ROW.match(line) for line in text_of(ROOT / "docs/architecture.md").splitlines()]
    explained = {(f"{row[1]}{row[2]}", row[3]): row[4] for row in rows if row}
    assert len(explained) >= 15
    assert explained == {limit: f"{value_of(*limit):,}" for limit in explained}


@pytest.mark.parametrize("name", ["demo.svg", "demo.ru.svg"])
def test_the_recorded_session_is_small_and_fetches_nothing(name: str) -> None:
    picture = text_of(ROOT / "docs" / name)
    assert len(picture) < 200_000
    assert set(re.findall(r"https?://[^\"'\s)]+", picture)) == {"http://www.w3.org/2000/svg"}
