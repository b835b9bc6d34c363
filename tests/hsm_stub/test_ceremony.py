"""A ceremony as its people meet it: handing over, mistakes, interruption, restoring, the record."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest
import shamir_mnemonic
from hypothesis import given, settings
from hypothesis import strategies as st

from hsm_stub.ceremony.conduct import Ceremony, restore
from hsm_stub.ceremony.record import Plan, verify_record
from hsm_stub.ceremony.shares import WORDS, combine, read_share, set_of, split
from hsm_stub.ceremony.sheets import Sheet, as_pdf, as_text, print_sheet
from hsm_stub.errors import CeremonyError, KeyFileDamaged, RecordWrong, ShareError
from hsm_stub.key_file import KeyFile
from hsm_stub.key_material import KeyMaterial, new_key_material
from hsm_stub.keyring import MasterKey, SigningKey
from hsm_stub.keystore import create_key_file, open_key_file
from hsm_stub.recovery import recovery_path
from hsm_stub.rotation import rotate
from tests.hsm_stub.running import LIGHT_SCRYPT, NOW_MS, PASSPHRASE
from tests.hsm_stub.test_secrets import assert_hides

SECRET = bytes(range(32))
PLAN = Plan(
    region="77",
    threshold=2,
    administrator="Волкова",
    custodians=("Орлов", "Зайцева", "Белова"),
    witnesses=("Седов",),
)


@settings(max_examples=15, deadline=None)
@given(secret=st.binary(min_size=32, max_size=32), data=st.data())
def test_any_quorum_restores_and_fewer_do_not(secret: bytes, data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 6))
    threshold = data.draw(st.integers(2, count))
    shares = split(secret, threshold, count)
    quorum = data.draw(st.permutations(shares))[:threshold]
    assert combine(quorum) == secret
    # The reference implementation of SLIP-39 reads them as its own.
    assert shamir_mnemonic.combine_mnemonics(list(quorum)) == secret
    with pytest.raises(ShareError, match="restore nothing"):
        combine(quorum[:-1])


# SLIP-39's own vectors (SatoshiLabs), of those that have a share's 33 words. The valid ones are
# extendable as ours; their passphrase is TREZOR, ours is empty.
ALONE = (
    "impulse calcium academic academic alcohol sugar lyrics pajamas column facility finance "
    "tension extend space birthday rainbow swimming purple syndrome facility trial warn "
    "duration snapshot shadow hormone rhyme public spine counter easy hawk album"
)
FIRST = (
    "western apart academic always artist resident briefing sugar woman oven coding club "
    "ajar merit pecan answer prisoner artist fraction amount desktop mild false necklace "
    "muscle photo wealthy alpha category unwrap spew losing making"
)
SECOND = (
    "western apart academic acid answer ancient auction flip image penalty oasis beaver "
    "multiple thunder problem switch alive heat inherit superior teaspoon explain blanket "
    "pencil numb lend punish endless aunt garlic humidity kidney observe"
)
CHECKSUM_WRONG = (
    "theory painting academic academic armed sweater year military elder discuss acne "
    "wildlife boring employer fused large satoshi bundle carbon diagnose anatomy hamster "
    "leaves tracks paces beyond phantom capital marvel lips brave detect lunar"
)
PADDING_WRONG = (
    "theory painting academic academic campus sweater year military elder discuss acne "
    "wildlife boring employer fused large satoshi bundle carbon diagnose anatomy hamster "
    "leaves tracks paces beyond phantom capital marvel lips facility obtain sister"
)
VECTORS = [
    ((ALONE,), "8340611602fe91af634a5f4608377b5235fa2d757c51d720c0c7656249a3035f"),
    ((FIRST, SECOND), "8dc652d6d6cd370d8c963141f6d79ba440300f25c467302c1d966bff8f62300d"),
]


@pytest.mark.parametrize(("shares", "secret"), VECTORS)
def test_the_standards_own_vectors(shares: tuple[str, ...], secret: str) -> None:
    assert [read_share(share) for share in shares] == list(shares)
    assert shamir_mnemonic.combine_mnemonics(list(shares), b"TREZOR").hex() == secret
    assert {set_of(share)[1] for share in shares} == {len(shares)}
    assert len(combine(shares)) == len(SECRET)
    with pytest.raises(ShareError, match="wrong"):
        read_share(" ".join([*shares[0].split()[:-1], "academic"]))


@pytest.mark.parametrize("share", [CHECKSUM_WRONG, PADDING_WRONG, FIRST])
def test_the_standards_own_shares_that_restore_nothing(share: str) -> None:
    with pytest.raises(ShareError, match="restore nothing"):
        combine([share])


@pytest.mark.parametrize(("threshold", "count"), [(1, 3), (4, 3), (2, 17), (0, 0), (1, 1)])
def test_what_is_no_quorum(threshold: int, count: int) -> None:
    with pytest.raises(ShareError, match="is no quorum"):
        split(SECRET, threshold, count)


@pytest.fixture(scope="module")
def share() -> str:
    return split(SECRET, 2, 3)[0]


def test_a_share_is_read_however_it_is_typed(share: str) -> None:
    assert read_share(share) == share
    assert read_share("  ".join(word[:4].upper() for word in share.split())) == share
    assert [set_of(one)[1:] for one in split(SECRET, 2, 3)] == [(2, 1), (2, 2), (2, 3)]


@pytest.mark.parametrize("place", [0, 1, 7, 16, 29, 30, 32])
def test_a_wrong_word_is_told_by_its_place(share: str, place: int) -> None:
    words = share.split()
    right = words[place]
    words[place] = "academic" if right != "academic" else "acid"
    with pytest.raises(ShareError, match=rf"^word {place + 1} is wrong: '{words[place]}'") as told:
        read_share(" ".join(words))
    assert repr(right) in str(told.value)
    words[place] = "zzyzx"
    with pytest.raises(ShareError, match=rf"word {place + 1} \('zzyzx'\) is not on the list"):
        read_share(" ".join(words))


@pytest.mark.parametrize("place", [0, 15, 31])
def test_two_words_in_the_wrong_order(place: int) -> None:
    words = next(
        words
        for words in (split(SECRET, 2, 3)[0].split() for _ in range(50))
        if words[place] != words[place + 1]
    )
    words[place], words[place + 1] = words[place + 1], words[place]
    with pytest.raises(ShareError, match=f"words {place + 1} and {place + 2} are in the wrong"):
        read_share(" ".join(words))


def test_too_many_mistakes_and_too_few_words(share: str) -> None:
    words = share.split()
    with pytest.raises(ShareError, match="has 32 words instead of 33"):
        read_share(" ".join(words[1:]))
    words[3], words[9], words[20] = "academic", "acid", "zero"
    with pytest.raises(ShareError, match=r"several words are wrong|is wrong"):
        read_share(" ".join(words))


def test_a_near_word_is_suggested(share: str) -> None:
    words = ["acadenic", *share.split()[1:]]
    with pytest.raises(ShareError, match="is it academic"):
        read_share(" ".join(words))


class Room:
    """People who do as they are asked, unless the test says otherwise."""

    def __init__(self, *, leave_after: int | None = None, mistakes: int = 0) -> None:
        self.sheets: list[Sheet] = []
        self.said: list[str] = []
        self._leave_after = leave_after
        self._mistakes = mistakes

    def say(self, text: str) -> None:
        self.said.append(text)

    def ask(self, question: str) -> str:
        if self._leave_after is not None and len(self.sheets) > self._leave_after:
            raise EOFError
        found = re.match(r"Word (\d+)", question)
        if found is None:
            return ""
        if self._mistakes:
            self._mistakes -= 1
            return "mistake"
        return self.sheets[-1].words.split()[int(found[1]) - 1][:4]

    def hand_over(self, sheet: Sheet) -> None:
        self.sheets.append(sheet)


class Custodians:
    """Who types shares in, one after the other."""

    def __init__(self, *typed: str) -> None:
        self._typed = iter(typed)
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def ask(self, _question: str) -> str:
        return next(self._typed)

    def hand_over(self, sheet: Sheet) -> None:
        raise AssertionError(sheet)


def held(room: Room, folder: Path, plan: Plan = PLAN) -> Path:
    """Hold a ceremony to its end and return its record."""
    keys = folder / "keys.spk"

    def install(material: KeyMaterial) -> None:
        create_key_file(keys, material, PASSPHRASE, LIGHT_SCRYPT)

    ceremony = Ceremony(folder, plan, PASSPHRASE, room, lambda: NOW_MS)
    return ceremony.conduct(keys, install, LIGHT_SCRYPT)


def words_of(room: Room) -> list[str]:
    return [sheet.words for sheet in room.sheets]


def test_from_the_ceremony_to_restored_keys(tmp_path: Path) -> None:
    room = Room()
    record = held(room, tmp_path)
    keys = open_key_file(tmp_path / "keys.spk", PASSPHRASE)
    assert [sheet.custodian for sheet in room.sheets] == list(PLAN.custodians)
    recovery = recovery_path(tmp_path / "keys.spk")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"keys.spk", recovery.name, record.name}
    for quorum in itertools.permutations(words_of(room), 2):
        assert restore(recovery, Custodians(*quorum)) == keys
    for path in tmp_path.iterdir():
        for words in words_of(room):
            assert words.encode() not in path.read_bytes()
    assert {one.key for one in keys.secrets} == {one.value for one in (*MasterKey, *SigningKey)}


def test_the_record_tells_and_convicts(tmp_path: Path) -> None:
    record = held(Room(), tmp_path)
    keys = open_key_file(tmp_path / "keys.spk", PASSPHRASE)
    audit = keys.ring.active(SigningKey.AUDIT).public_point
    found = verify_record(record, [audit])
    assert (found.kind, found.plan) == ("ceremony", PLAN)
    told = [(one.who, one.what) for one in found.happened]
    assert told[0] == ("Волкова", "keys and shares made")
    assert ("Зайцева", "sheet 2 confirmed") in told
    assert told[-1] == ("Волкова", "keys written to keys.spk")
    assert len(found.keys) == len(keys.ring.entries)
    assert len(set(found.shares)) == 3
    text = record.read_text("utf-8")
    for change in (text.replace("Зайцева", "Волчков"), text[:-20], ""):
        record.write_text(change, "utf-8")
        with pytest.raises(RecordWrong):
            verify_record(record, [audit])
    other = new_key_material("77", NOW_MS).ring.active(SigningKey.AUDIT).public_point
    record.write_text(text, "utf-8")
    with pytest.raises(RecordWrong, match="a key that was not given"):
        verify_record(record, [other])


@pytest.mark.parametrize("leave_after", [0, 1, 2])
def test_an_interrupted_ceremony_goes_on_with_the_same_shares(
    tmp_path: Path, leave_after: int
) -> None:
    first = Room(leave_after=leave_after)
    with pytest.raises(EOFError):
        held(first, tmp_path)
    assert not (tmp_path / "keys.spk").exists()
    state = (tmp_path / "ceremony.spk").read_bytes() + (tmp_path / "ceremony.json").read_bytes()
    for words in words_of(first):
        assert words.encode() not in state
        assert_hides(state.decode(errors="replace"), words.encode())
    second = Room()
    held(second, tmp_path)
    assert "The ceremony goes on where it was interrupted." in second.said
    # Who was interrupted before confirming gets the same sheet again; who confirmed keeps it.
    assert words_of(second)[0] == words_of(first)[-1]
    every = {sheet.number: sheet.words for sheet in (*first.sheets, *second.sheets)}
    recovery = recovery_path(tmp_path / "keys.spk")
    assert restore(recovery, Custodians(every[1], every[3])).region_code == "77"


def test_another_plan_does_not_go_on(tmp_path: Path) -> None:
    with pytest.raises(EOFError):
        held(Room(leave_after=0), tmp_path)
    other = Plan(region="77", threshold=2, administrator="Другой", custodians=("А", "Б"))
    with pytest.raises(CeremonyError, match="spk hsm ceremony abort"):
        held(Room(), tmp_path, other)


def test_a_rehearsal_keeps_no_keys(tmp_path: Path) -> None:
    plan = Plan(
        region="77", threshold=2, administrator="Волкова", custodians=("А", "Б"), dry_run=True
    )
    room = Room()
    record = held(room, tmp_path, plan)
    assert [path.name for path in tmp_path.iterdir()] == [record.name]
    assert json.loads(record.read_text("utf-8").splitlines()[0])["kind"] == "dry run"
    assert all("РЕПЕТИЦИЯ" in as_text(sheet) for sheet in room.sheets)


def test_who_reads_the_sheet_wrongly_gets_it_again(tmp_path: Path) -> None:
    room = Room(mistakes=4)
    held(room, tmp_path)
    assert [sheet.number for sheet in room.sheets] == [1, 1, 2, 3]
    assert any("destroy the one before" in one for one in room.said)


def test_mistakes_while_restoring_are_told_and_asked_again(tmp_path: Path) -> None:
    room, stranger = Room(), split(SECRET, 2, 3)[0]
    held(room, tmp_path)
    first, second, _ = words_of(room)
    mistyped = " ".join(["academic" if n == 8 else w for n, w in enumerate(second.split())])
    people = Custodians("hello", first, first, stranger, mistyped, second)
    recovery = recovery_path(tmp_path / "keys.spk")
    restore(recovery, people)
    refused = [one for one in people.said if one.startswith("Not taken")]
    assert "1 words instead of 33" in refused[0]
    assert "share 1 was given already" in refused[1]
    assert "of another ceremony" in refused[2]
    assert "word 9 is wrong" in refused[3]
    assert len(refused) == 4
    with pytest.raises(ShareError, match="another ceremony than the recovery file"):
        restore(recovery, Custodians(*split(SECRET, 2, 3)[:2]))
    recovery.write_bytes(recovery.read_bytes()[:-1] + b"\0")
    with pytest.raises(KeyFileDamaged, match="is damaged"):
        restore(recovery, Custodians(first, second))


def test_rotated_keys_are_restored_by_the_same_sheets(tmp_path: Path) -> None:
    room = Room()
    held(room, tmp_path)
    store = KeyFile.opened(tmp_path / "keys.spk", PASSPHRASE)
    rotate(store, MasterKey.CARD, NOW_MS)
    restored = restore(recovery_path(tmp_path / "keys.spk"), Custodians(*words_of(room)[:2]))
    assert restored == store.material
    assert restored.ring.active(MasterKey.CARD).generation == 2


SHEET = Sheet(
    region="77",
    number=2,
    count=5,
    threshold=3,
    custodian='Зайцева "О. П." \\ #panic()',
    date="2026-11-22",
    words=split(SECRET, 3, 5)[1],
)


def test_a_sheet_in_text_has_every_word_numbered() -> None:
    text = as_text(SHEET)
    for place, word in enumerate(SHEET.words.split(), 1):
        assert re.search(rf"\b{place}\. {word}\b", text)
    assert "Доля ключа 2 из 5" in text
    assert_hides(repr(SHEET), SHEET.words.encode())


def test_a_sheet_is_one_page_of_pdf_with_every_word(tmp_path: Path) -> None:
    import pypdf

    path = tmp_path / "printed.pdf"
    print_sheet(SHEET, ["tee", str(path)])
    (page,) = pypdf.PdfReader(path).pages
    text = page.extract_text()
    assert len(SHEET.words.split()) == WORDS
    for word in SHEET.words.split():
        assert word in text
    assert "#panic()" in text
    assert as_pdf(SHEET).startswith(b"%PDF")


@pytest.mark.parametrize(
    ("command", "message"),
    [(["false"], "did not print"), (["/no/such/printer"], "could not be printed")],
)
def test_a_printer_that_fails_is_told(command: list[str], message: str) -> None:
    with pytest.raises(CeremonyError, match=message):
        print_sheet(SHEET, command)
