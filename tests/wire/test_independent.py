"""Another library reads and writes every example: pyiso8583, with its own ASCII specification."""

from __future__ import annotations

import copy
from typing import Any

import iso8583
import pytest
from iso8583.specs import default_ascii

from processing.wire.iso8583.answers import decode_answer, encode_answer
from processing.wire.iso8583.codec import decode
from processing.wire.iso8583.messages import (
    Network,
    NetworkAnswer,
    Settlement,
    Totals,
    TotalsAnswer,
)
from processing.wire.iso8583.requests import encode_request, parse_message
from processing.wire.iso8583.spec import FIELDS, Charset, Profile
from processing.wire.outcome import Outcome
from processing.wire.transaction import Answer, Kind, Request
from tests.wire.examples import (
    ENVELOPE,
    MAC,
    NETWORK,
    SIGNED_AT_MS,
    TOTALS,
    answer_of,
    request_of,
)


def foreign_spec(profile: Profile) -> dict[str, dict[str, Any]]:
    """Return what docs/wire.md tells a user of pyiso8583 to configure."""
    spec: dict[str, dict[str, Any]] = copy.deepcopy(dict(default_ascii))
    spec["55"]["max_len"] = 998
    if profile is Profile.BINARY:
        spec["55"].update(data_enc="b", max_len=999)
        for number in ("52", "64", "96", "128"):
            spec[number].update(data_enc="b", max_len=8)
    return spec


def _frames(profile: Profile) -> list[tuple[str, bytes]]:
    """Return every example message, requests and answers, with a name."""
    frames = []
    pairs: list[tuple[str, Request | Totals | Network, Answer | TotalsAnswer | NetworkAnswer]] = [
        (str(kind.name), request_of(kind), answer_of(request_of(kind), 256)) for kind in Kind
    ]
    totals = TotalsAnswer(
        outcome=Outcome.APPROVED, settlement=Settlement.IN_BALANCE, totals=TOTALS.totals
    )
    network = NetworkAnswer(outcome=Outcome.APPROVED, centre_time_ms=SIGNED_AT_MS)
    pairs += [("TOTALS", TOTALS, totals), ("NETWORK", NETWORK, network)]
    for name, sent, answer in pairs:
        request = encode_request(sent, ENVELOPE, profile, MAC)
        frames.append((f"{name} request", request))
        frames.append(
            (f"{name} answer", encode_answer(answer, parse_message(request, profile), MAC))
        )
    return frames


CASES = [
    pytest.param(profile, frame, id=f"{profile.value} {name}")
    for profile in Profile
    for name, frame in _frames(profile)
]


@pytest.mark.parametrize(("profile", "frame"), CASES)
def test_foreign_library_reads_the_same_fields(profile: Profile, frame: bytes) -> None:
    theirs, _ = iso8583.decode(frame, foreign_spec(profile))
    ours = decode(frame, profile)
    assert theirs["t"] == ours.mti
    for number, value in ours.fields.items():
        binary = FIELDS[number].charset is Charset.BINARY
        assert theirs[str(number)] == (value.hex().upper() if binary else value.decode("ascii"))
    assert {int(key) for key in theirs if key.isdigit()} - {1} == set(ours.fields)


@pytest.mark.parametrize(("profile", "frame"), CASES)
def test_foreign_library_writes_the_same_bytes(profile: Profile, frame: bytes) -> None:
    ours = decode(frame, profile)
    theirs = {"t": ours.mti}
    for number, value in ours.fields.items():
        binary = FIELDS[number].charset is Charset.BINARY
        theirs[str(number)] = value.hex().upper() if binary else value.decode("ascii")
    written, _ = iso8583.encode(theirs, foreign_spec(profile))
    assert bytes(written) == frame
    if int(ours.mti[2]) % 2:
        assert decode_answer(bytes(written), profile, MAC) is not None
    else:
        assert parse_message(bytes(written), profile).authentic(MAC)
