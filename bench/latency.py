"""How long answers took: percentiles by nearest rank, in microseconds."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles of one run, in microseconds; zeros when nothing was answered."""

    count: int
    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float


def percentile(ordered: Sequence[int], share: float) -> int:
    """Return the nearest-rank percentile of `ordered` (ascending): `share` 0 < s ≤ 1.

    It is the smallest value that at least this share of all values do not exceed. Raises ValueError
    for an empty sequence or another share.
    """
    if not ordered or not 0 < share <= 1:
        raise ValueError(f"a percentile needs values and a share in (0, 1], not {share}")
    # In whole millionths, since 0.07 * 100 is a little more than 7 in floating point.
    rank = -(-round(share * 1_000_000) * len(ordered) // 1_000_000)
    return ordered[max(rank, 1) - 1]


def summarized(nanoseconds: Sequence[int]) -> Latency:
    """Return the percentiles of latencies given in nanoseconds, in any order."""
    if not nanoseconds:
        return Latency(count=0, p50_us=0, p99_us=0, p999_us=0, max_us=0)
    ordered = sorted(nanoseconds)
    p50, p99, p999 = (percentile(ordered, share) / 1000 for share in (0.5, 0.99, 0.999))
    return Latency(
        count=len(ordered), p50_us=p50, p99_us=p99, p999_us=p999, max_us=ordered[-1] / 1000
    )
