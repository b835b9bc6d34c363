"""docs/issuing.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from processing.gateways import issuing
from processing.gateways.issuing import REQUESTS_CONCURRENT_MAX
from processing.wire.api import BODY_BYTES_MAX, PROBLEMS

PAGE = (Path(__file__).resolve().parents[2] / "docs/issuing.md").read_text(encoding="utf-8")


def test_the_page_lists_every_problem_with_its_status() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", PAGE, re.MULTILINE)
    assert dict(rows) == {kind.value: str(text.status) for kind, text in PROBLEMS.items()}


def test_the_page_lists_every_request() -> None:
    routes = set(re.findall(r"^\| (?:`)?([A-Z]+ /issuing/v1[^ `]*)", PAGE, re.MULTILINE))
    assert routes == set(re.findall(r"([A-Z]+ /issuing/v1[^ `|]*)", issuing.__doc__ or ""))


def test_the_page_names_the_limits() -> None:
    flat = PAGE.replace("\n", " ")
    assert f"at most {BODY_BYTES_MAX:,} bytes".replace(",", " ") in flat
    assert f"{REQUESTS_CONCURRENT_MAX} requests" in flat
