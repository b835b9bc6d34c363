"""Shares of a 32-byte secret: m of n restore it (Shamir over GF(256), written as SLIP-39 words).

33 words of a list of 1,024, each known by its first four letters; words 1 and 2 are the same in all
shares of a set, the last three are a checksum that finds up to three wrong words. A single wrong
word and two neighbours in the wrong order are located exactly.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Final

import shamir_mnemonic
from shamir_mnemonic import rs1024
from shamir_mnemonic.constants import CUSTOMIZATION_STRING_EXTENDABLE
from shamir_mnemonic.share import Share
from shamir_mnemonic.utils import MnemonicError
from shamir_mnemonic.wordlist import WORDLIST

from hsm_stub.errors import ShareError

SECRET_BYTES: Final = 32
WORDS: Final = 33
PREFIX_LETTERS: Final = 4
CUSTODIANS_MAX: Final = 16
"""SLIP-39 numbers shares with four bits."""
_RADIX_BITS: Final = 10


def split(secret: bytes, threshold: int, count: int) -> tuple[str, ...]:
    """Return `count` shares of 33 words, of which any `threshold` restore `secret` (32 bytes).

    Raises `ShareError` unless 2 ≤ threshold ≤ count ≤ 16.
    """
    if not 2 <= threshold <= count <= CUSTODIANS_MAX:
        raise ShareError(
            f"{threshold} of {count} is no quorum: at least 2, at most all, of at most "
            f"{CUSTODIANS_MAX} custodians"
        )
    groups = shamir_mnemonic.generate_mnemonics(
        1, [(threshold, count)], secret, extendable=True, iteration_exponent=1
    )
    return tuple(groups[0])


def read_share(text: str) -> str:
    """Return a share as it was printed; raises `ShareError` naming the place of a wrong word.

    Case, spaces and what follows a word's first four letters do not matter.
    """
    words = text.lower().split()
    if len(words) != WORDS:
        raise ShareError(f"the share has {len(words)} words instead of {WORDS}")
    expanded = [_expanded(place, word) for place, word in enumerate(words, 1)]
    indices = [_INDEX[word] for word in expanded]
    if not rs1024.verify_checksum(indices, CUSTOMIZATION_STRING_EXTENDABLE):
        raise ShareError(_where(indices))
    return " ".join(expanded)


def set_of(share: str) -> tuple[int, int, int]:
    """Return the number of a share's set, how many are needed, and the share's own number."""
    read = Share.from_mnemonic(share)
    return read.identifier, read.member_threshold, read.index + 1


def combine(shares: Sequence[str]) -> bytes:
    """Return the secret of enough shares of one set; raises `ShareError`."""
    try:
        secret: bytes = shamir_mnemonic.combine_mnemonics(list(shares))
    except MnemonicError as error:
        raise ShareError(f"these shares restore nothing: {error}") from None
    return secret


_INDEX: Final = {word: index for index, word in enumerate(WORDLIST)}
_BY_PREFIX: Final = {word[:PREFIX_LETTERS]: word for word in WORDLIST}


def _expanded(place: int, word: str) -> str:
    found = _BY_PREFIX.get(word[:PREFIX_LETTERS])
    # A word longer than its prefix must go on as the one of the list does.
    if found is not None and (word in {found, found[:PREFIX_LETTERS]}):
        return str(found)
    near = difflib.get_close_matches(word, WORDLIST, n=3, cutoff=0.6)
    meant = f"; is it {' or '.join(near)}?" if near else ""
    raise ShareError(f"word {place} ({word!r}) is not on the list{meant}")


def _where(indices: list[int]) -> str:
    """Return in words which word is wrong, if it is only one, or two that changed places."""
    for place in range(len(indices) - 1):
        swapped = indices.copy()
        swapped[place], swapped[place + 1] = swapped[place + 1], swapped[place]
        if rs1024.verify_checksum(swapped, CUSTOMIZATION_STRING_EXTENDABLE):
            return f"words {place + 1} and {place + 2} are in the wrong order"
    # The checksum is linear: what one wrong bit of a word adds to it does not depend on the others.
    target = _checksum(indices) ^ 1
    for place, present in enumerate(indices):
        changes = _changes(place, len(indices))
        if target in changes:
            right = present ^ changes[target]
            return (
                f"word {place + 1} is wrong: {WORDLIST[present]!r}; look at the sheet whether it "
                f"is {WORDLIST[right]!r}"
            )
    return "several words are wrong: compare each with the sheet"


def _changes(place: int, length: int) -> dict[int, int]:
    """Return, by what it does to the checksum, every way in which one word may be wrong."""
    zero = _checksum([0] * length)
    bits = []
    for bit in range(_RADIX_BITS):
        words = [0] * length
        words[place] = 1 << bit
        bits.append((_checksum(words) ^ zero, 1 << bit))
    effects = {0: 0}
    for effect, change in bits:
        effects |= {one ^ effect: other ^ change for one, other in effects.items()}
    return {effect: change for effect, change in effects.items() if change}


def _checksum(indices: list[int]) -> int:
    """Return the checksum polynomial's rest (SLIP-39, RS1024); 1 for a right share."""
    return int(rs1024._polymod([*CUSTOMIZATION_STRING_EXTENDABLE, *indices]))
