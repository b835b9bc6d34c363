"""The small parts: attributes and their SQL, conditions, frequencies, keys and addresses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.exchange.dci.attributes import ATTRIBUTES, Part
from processing.exchange.dci.frequency import FrequencyFault, read_frequency
from processing.exchange.dci.query import QueryFault, QueryType, read_query
from processing.exchange.dci.signature import (
    Algorithm,
    SignatureFault,
    new_signing_keys,
    read_jwks,
    read_signing_keys,
    verify,
)
from processing.exchange.dci.tokens import ExchangeFolder
from processing.exchange.dci.uris import read_uri
from processing.kernel.errors import ConfigurationError
from tests.plugins.postgres import Database

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["$and", "$or", "$not", "$eq", "surname", "sex", "value", "expression",
                         "query", "type", "expression1", "operator"]),
        inner,
        max_size=3,
    ),
    max_leaves=12,
)  # fmt: skip


async def test_every_attribute_has_its_sql(database: Database) -> None:
    async with database.connect() as connection:
        for attribute in ATTRIBUTES:
            row = await connection.fetchrow(
                "SELECT * FROM exchange.attribute_sql($1)", attribute.name
            )
            assert row is not None, attribute.name
            assert (row["place"] == "$") is attribute.single, attribute.name
            assert await connection.fetch(
                "SELECT * FROM exchange.search('p', 'u', FALSE, 'Member', $1, '[]', 0, 1, 1, '{}')",
                msgspec.json.encode(condition_on(attribute.name)).decode(),
            )
        assert await connection.fetch("SELECT * FROM exchange.attribute_sql('password')") == []


def condition_on(name: str) -> dict[str, Any]:
    values = {"birth_date": "2000-01-01", "sex": "m", "is_disabled": "true",
              "group_identifier": "00000000-0000-0000-0000-000000000000"}  # fmt: skip
    numbers = {"birth_year", "region", "group_size"}
    value = values.get(name, "1" if name in numbers else "x")
    return {"attribute": name, "operator": "eq", "values": [value]}


@given(query_type=st.sampled_from(QueryType), query=JSON)
def test_any_query_is_read_or_refused(query_type: QueryType, query: Any) -> None:
    try:
        said = str(read_query(query_type, query, frozenset(Part)))
    except QueryFault as fault:
        said = str(fault)
    assert said


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("0 0 0 5,15 * ? *", "2026-10-04T23:59:59", "2026-10-05T00:00:00"),
        ("0 0 0 5,15 * ? *", "2026-10-05T00:00:00", "2026-10-15T00:00:00"),
        ("0 30 6 * * ?", "2026-12-31T12:00:00", "2027-01-01T06:30:00"),
        ("0 0/15 8-9 ? * MON-FRI", "2026-10-02T09:45:00", "2026-10-05T08:00:00"),
        ("0 0 12 29 FEB ?", "2026-01-01T00:00:00", "2028-02-29T12:00:00"),
        ("0 0 12 30 2 ?", "2026-01-01T00:00:00", None),
        ("0 0 12 1 1 ? 2020", "2026-01-01T00:00:00", None),
    ],
)
def test_frequencies(expression: str, after: str, expected: str | None) -> None:
    found = read_frequency(expression).next_after(milliseconds(after))
    assert found == (None if expected is None else milliseconds(expected))


def milliseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


@pytest.mark.parametrize(
    "expression",
    ["", "* * * * *", "0 60 * * * ?", "0 0 0 32 * ?", "0 0 0 0 * ?", "x 0 0 1 * ?", "0 0 0 5- * ?",
     "0 0/0 0 1 * ?", "0 0/ 0 1 * ?", "0 9-3 0 1 * ?", "0 0 0 L * ?", "0 0 0 1 * ? 99999",
     "0 " * 100],
)  # fmt: skip
def test_what_is_no_frequency(expression: str) -> None:
    with pytest.raises(FrequencyFault):
        read_frequency(expression)


@pytest.mark.parametrize("algorithm", Algorithm)
@given(header=st.binary(max_size=40), message=st.binary(max_size=40), flip=st.integers(0, 79))
def test_a_signature_vouches_for_its_bytes_alone(
    algorithm: Algorithm, header: bytes, message: bytes, flip: int
) -> None:
    keys = new_signing_keys()
    jwks = read_jwks(msgspec.json.encode(keys.jwks()))
    signature = keys.sign(algorithm, "a", header, message, 1000)
    verify(signature, jwks, "a", header, message, 1000)
    whole = bytearray(header + message)
    if whole:
        whole[flip % len(whole)] ^= 1
        changed = bytes(whole)
        with pytest.raises(SignatureFault):
            verify(signature, jwks, "a", changed[: len(header)], changed[len(header) :], 1000)
    for wrong in ("b", ""):
        with pytest.raises(SignatureFault):
            verify(signature, jwks, wrong, header, message, 1000)
    for now_s in (600, 1301):
        with pytest.raises(SignatureFault):
            verify(signature, jwks, "a", header, message, now_s)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b'{"keys": []}', b'{"keys": [1]}', b'{"keys": [{"kty": "oct", "k": "AA"}]}',
     b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "1"}]}',
     b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1"}]}'],
)  # fmt: skip
def test_what_is_no_key_set(content: bytes) -> None:
    with pytest.raises(ValueError, match="JWK Set"):
        read_jwks(content)


@pytest.mark.parametrize(
    ("uri", "good"),
    [
        ("https://a.example/callback", True),
        ("http://127.0.0.1:8080/x", True),
        ("http://a.example/callback", False),
        ("ftp://a.example/", False),
        ("https://", False),
        ("https://u:p@a.example/", False),
        ("https://a.example/?x=1", False),
        ("https://a.example/a/../b", False),
        ("https://a.example/%2e%2e/b", False),
        ("https://a.example:0/", False),
        ("https://a.example/" + "x" * 500, False),
        ("https://a.example/\n", False),
    ],
)
def test_addresses(uri: str, good: bool) -> None:
    if good:
        assert read_uri(uri).hostname
        return
    with pytest.raises(ValueError, match=r"."):
        read_uri(uri)


def test_the_folder_keeps_keys_closed(tmp_path: Any) -> None:
    folder = ExchangeFolder(tmp_path)
    assert not folder.exists()
    with pytest.raises(ConfigurationError, match="spk exchange init"):
        folder.keys()
    folder.create("sr.example", replace=False)
    first = folder.keys().jwks()
    path = tmp_path / "exchange" / "keys.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.sender_id() == "sr.example"
    with pytest.raises(ConfigurationError, match="exists already"):
        folder.create("sr.example", replace=False)
    folder.create("sr.example", replace=True)
    assert folder.keys().jwks() != first
    with pytest.raises(ValueError, match="private key"):
        read_signing_keys(msgspec.json.encode(first))
    with pytest.raises(ConfigurationError):
        folder.tokens().keep("../keys.json", "x")
