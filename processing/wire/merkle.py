"""Merkle tree hashing of RFC 9162 §2.1: roots, inclusion paths and their verification."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

Levels = list[list[bytes]]
"""A tree, level by level: the leaf hashes first, the root alone last."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of one entry (RFC 9162 §2.1.1: SHA-256 of 0x00 and the entry)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes; of no leaves, SHA-256 of nothing."""
    return tree_levels(leaves)[-1][0] if leaves else hashlib.sha256().digest()


def tree_levels(leaves: Sequence[bytes]) -> Levels:
    """Return every level of the tree, leaves first, root last. `leaves` must not be empty.

    A node without a sibling rises unchanged, which gives the tree of RFC 9162 for any size.
    """
    levels = [list(leaves)]
    while len(level := levels[-1]) > 1:
        parents = [
            _node_hash(level[i], level[i + 1]) if i + 1 < len(level) else level[i]
            for i in range(0, len(level), 2)
        ]
        levels.append(parents)
    return levels


def inclusion_path(levels: Levels, index: int) -> list[bytes]:
    """Return the hashes that lead from leaf `index` to the root, lowest first (§2.1.3.1)."""
    path = []
    for level in levels[:-1]:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        index //= 2
    return path


def joined_paths(levels: Levels) -> list[bytes]:
    """Return the inclusion paths of all leaves, the hashes of each joined.

    From the root down, each node's path is its sibling before its parent's path, so that what
    neighbours have in common is joined once.
    """
    above = [b""]
    for level in reversed(levels[:-1]):
        size = len(level)
        above = [
            level[index ^ 1] + above[index >> 1] if index ^ 1 < size else above[index >> 1]
            for index in range(size)
        ]
    return above


def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that the path claims for the leaf (§2.1.3.2), or None if it cannot be one."""
    if not 0 <= index < size:
        return None
    node, last, rest = leaf, size - 1, list(path)
    while last:
        if index & 1 or index < last:
            if not rest:
                return None
            sibling = rest.pop(0)
            node = _node_hash(sibling, node) if index & 1 else _node_hash(node, sibling)
        index, last = index >> 1, last >> 1
    return None if rest else node


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
