"""Facts of each outcome as they come: examples for docs/outcomes.md, and a measure for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from processing.wire.outcome import Outcome

EXAMPLES: Final[Mapping[Outcome, tuple[Mapping[str, str], ...]]] = {
    Outcome.KEY_REUSED: ({},),
    Outcome.TERMINAL_BLOCKED: ({"state": "2"},),
    Outcome.CLOCK_WRONG: (
        {"centre": "2026-11-02T09:00:00Z", "signed": "2026-11-02T08:20:00Z"},
        {"centre": "2026-11-02T09:00:00Z", "signed": "2026-11-02T09:00:00Z", "day": "2026-10-26"},
        {},
    ),
    Outcome.REVERSED_BEFORE: ({}, {"original": "unknown"}),
    Outcome.CARD_UNKNOWN: ({},),
    Outcome.SIGNATURE_WRONG: ({}, {"pin": "transport"}),
    Outcome.CARD_BLOCKED: ({"card_state": "2"},),
    Outcome.CARD_EXPIRED: ({"valid_to": "2026-10-31"},),
    Outcome.CARD_NOT_FOR_HOLDER: (
        {"authority": "none"},
        {"authority": "dates", "authority_from": "2026-01-01", "authority_to": "2026-06-30"},
        {"authority": "scope"},
    ),
    Outcome.SERVICE_UNKNOWN: ({},),
    Outcome.SERVICE_NOT_HERE: ({},),
    Outcome.REGULATION_OUTDATED: (
        {"version": "4", "since": "2026-11-01"},
        {"version": "3", "until": "2026-10-31"},
        {"version": "3", "reserve": "no"},
        {"version": "4", "since": "2026-11-01", "reserve": "no"},
        {"version": "3", "until": "2026-10-31", "reserve": "no"},
        {"version": "3"},
        {"version": "3", "visit": "only"},
        {"version": "4", "since": "2026-11-01", "visit": "only"},
    ),
    Outcome.EVIDENCE_WEAK: ({"needed": "2", "given": "1"},),
    Outcome.AMOUNT_WRONG: (
        {"line": "1", "item": "ENALAPRIL", "unit": "778"},
        {"line": "1", "item": "ENALAPRIL", "remaining": "2"},
        {"line": "1", "item": "ENALAPRIL", "remaining": "0"},
        {},
    ),
    Outcome.ORIGINAL_UNKNOWN: tuple(
        {"original": state}
        for state in (
            *("unknown", "reversed", "declined", "completed"),
            *("expired", "archived", "conflict"),
        )
    ),
    Outcome.ORIGINAL_MISMATCH: (
        {"field": "card or holder"},
        {"field": "holder"},
        {"field": "service"},
        {"field": "parent"},
        {"field": "kind"},
        {"field": "item", "line": "1", "item": "ENALAPRIL"},
        {"field": "challenge"},
        {"original": "completed"},
    ),
    Outcome.NO_ENTITLEMENT: (
        {"item": "ENALAPRIL", "missing": "right"},
        {"item": "ENALAPRIL", "missing": "begun", "since": "2026-12-01"},
        {"item": "ENALAPRIL", "missing": "ended", "until": "2026-10-31"},
        {"item": "ENALAPRIL", "missing": "service"},
        {"item": "ENALAPRIL-X", "missing": "item"},
        {"item": "ENALAPRIL", "missing": "substitute"},
        {"missing": "policy"},
        {"missing": "attachment"},
    ),
    Outcome.ALLOWANCE_EXHAUSTED: (
        {"item": "ENALAPRIL", "remaining": "2", "asked": "3", "until": "2026-11-30"},
        {"item": "ENALAPRIL", "remaining": "2", "asked": "3", "ends": "2026-11-30"},
        {"item": "ENALAPRIL", "remaining": "0", "asked": "3", "until": "2026-11-30"},
        {"item": "ENALAPRIL", "remaining": "0", "asked": "3", "ends": "2026-11-30"},
        {"item": "ENALAPRIL", "remaining": "1"},
    ),
    Outcome.TOO_EARLY: ({"item": "ENALAPRIL", "since": "2026-11-30"},),
    Outcome.RECORDED_IN_CONFLICT: (
        {"reason": "602", "item": "ENALAPRIL", "remaining": "2", "until": "2026-11-30"},
        {"reason": "303", "card_state": "2"},
        {"reason": "501", "original": "expired"},
    ),
    Outcome.APPROVED_PARTLY: (
        {"item": "ENALAPRIL", "remaining": "2", "asked": "3"},
        {"item": "ENALAPRIL", "remaining": "0", "asked": "3"},
        {"item": "ENALAPRIL", "remaining": "0"},
        {"item": "ENALAPRIL", "remaining": "2", "challenge": "4f6a9c0d1e2b3a495867f0e1d2c3b4a5"},
    ),
    Outcome.APPROVED: (
        {},
        {"expires": "2026-11-02T09:30:00Z"},
        {"challenge": "4f6a9c0d1e2b3a495867f0e1d2c3b4a5", "expires": "2026-11-02T11:30:00Z"},
        *(
            {"original": state}
            for state in ("unknown", "reversed", "declined", "expired", "return")
        ),
    ),
}
"""Which facts each decided outcome carries, with examples: one row for each set that there is.

An approved or conflicting reserve carries `expires` in place of any `until`, `ends` or `since`; a
conflict has no `asked`, and the facts of its reason.
"""
