"""The bucket of a rights holder is the same in Python and in SQL."""

import hashlib
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.kernel.bucket import BUCKETS, bucket_of
from tests.plugins.postgres import Database


@given(st.binary(min_size=16, max_size=16))
def test_bucket_is_the_low_ten_bits_of_two_bytes(holder_id: bytes) -> None:
    first_two = int.from_bytes(hashlib.sha256(holder_id).digest()[:2], "big")
    assert bucket_of(holder_id) == first_two & 0x3FF < BUCKETS


@pytest.mark.parametrize("length", [0, 15, 17, 32])
def test_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        bucket_of(bytes(length))


async def test_python_and_sql_agree(database: Database) -> None:
    holders = [uuid.UUID(int=number * 0x9E3779B97F4A7C15F39CC060) for number in range(3000)]
    async with database.connect() as connection:
        buckets = await connection.fetchval(
            "SELECT array_agg(rights.bucket_of(holder) ORDER BY place)"
            " FROM unnest($1::uuid[]) WITH ORDINALITY AS given (holder, place)",
            holders,
        )
    assert buckets == [bucket_of(holder.bytes) for holder in holders]
    assert len(set(buckets)) > BUCKETS * 9 // 10
