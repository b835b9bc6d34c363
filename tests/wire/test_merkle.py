"""Merkle trees against the published vectors and the definition in RFC 9162 §2.1."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.wire.merkle import (
    inclusion_path,
    joined_paths,
    leaf_hash,
    root_from_path,
    tree_levels,
    tree_root,
)

# The inputs and roots of the Certificate Transparency reference implementations.
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATH_OF_LEAF_0_IN_8 = [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
]


@pytest.mark.parametrize("size", range(9))
def test_published_roots(size: int) -> None:
    leaves = [leaf_hash(entry) for entry in INPUTS[:size]]
    assert tree_root(leaves).hex() == ROOTS[size]


def test_published_path() -> None:
    levels = tree_levels([leaf_hash(entry) for entry in INPUTS])
    assert [node.hex() for node in inclusion_path(levels, 0)] == PATH_OF_LEAF_0_IN_8


def _defined_root(entries: list[bytes]) -> bytes:
    """Return MTH as RFC 9162 §2.1.1 defines it, by recursion."""
    if len(entries) == 1:
        return hashlib.sha256(b"\0" + entries[0]).digest()
    half = 1
    while half * 2 < len(entries):
        half *= 2
    left, right = _defined_root(entries[:half]), _defined_root(entries[half:])
    return hashlib.sha256(b"\1" + left + right).digest()


@given(st.integers(1, 300), st.data())
def test_every_path_leads_to_the_defined_root(size: int, data: st.DataObject) -> None:
    entries = [number.to_bytes(2) for number in range(size)]
    leaves = [leaf_hash(entry) for entry in entries]
    levels = tree_levels(leaves)
    root = _defined_root(entries)
    assert levels[-1] == [root]
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_path(levels, index)
    assert root_from_path(leaves[index], index, size, path) == root
    other = data.draw(
        st.integers(0, size - 1).filter(lambda i: i != index) if size > 1 else st.none()
    )
    if other is not None:
        assert root_from_path(leaves[other], index, size, path) != root
        assert root_from_path(leaves[index], other, size, path) != root
    if path:
        assert root_from_path(leaves[index], index, size, path[:-1]) is None
    assert root_from_path(leaves[index], index, size, [*path, root]) is None


@pytest.mark.parametrize(("index", "size"), [(-1, 1), (1, 1), (0, 0), (5, 5)])
def test_index_outside_the_tree_has_no_root(index: int, size: int) -> None:
    assert root_from_path(bytes(32), index, size, []) is None


@given(st.integers(1, 300))
def test_paths_made_at_once_are_the_same(size: int) -> None:
    levels = tree_levels([leaf_hash(number.to_bytes(2)) for number in range(size)])
    one_by_one = [b"".join(inclusion_path(levels, index)) for index in range(size)]
    assert joined_paths(levels) == one_by_one
