"""What a receipt file proves, in words: the reader needs the centre's public key and nothing else.

The words stand in Russian and English beside each other, as in `processing.wire.outcome`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import Enum
from typing import Final, Literal

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from processing.wire.outcome import TEXTS
from processing.wire.receipt import Receipt, ReceiptError, ReceiptFault
from processing.wire.receipt_file import ReceiptFile

Language = Literal["ru", "en"]

KEY_FILE_BYTES_MAX: Final = 64 * 1024
"""Longest key file: 255 generations are shorter."""
_PUBLIC_KEY: Final = re.compile(rb"-----BEGIN[^-]*-----.*?-----END[^-]*-----", re.DOTALL)
_NO_BREAK_SPACE: Final = "\u00a0"


class KeyFileError(ValueError):
    """The key file holds no receipt key; the message says what it holds instead."""

    exit_code = 2


class FaultText(msgspec.Struct, frozen=True):
    """Why a receipt proves nothing, and what to do about it."""

    ru: str
    ru_remedy: str
    en: str
    en_remedy: str


class Phrase(Enum):
    """What is said of a receipt, in Russian and English; `say` fills the {facts} in."""

    PROVEN = ("ДОКАЗАНО", "PROVEN")
    NOT_PROVEN = ("НЕ ДОКАЗАНО", "NOT PROVEN")
    DECISION = ("Решение: {said} (код {code}).", "Decision: {said} (code {code}).")
    APPROVAL_CODE = ("Код одобрения: {code}.", "Approval code: {code}.")
    LINE = (
        "Строка {number}: по льготе {covered}, к оплате {paid}.",
        "Line {number}: {covered} covered, {paid} to pay.",
    )
    ALL = (
        "Всего: по льготе {covered}, к оплате {paid}.",
        "In all: {covered} covered, {paid} to pay.",
    )
    DECIDED = ("Принято: {time}, день учёта {day}.", "Decided: {time}, posting date {day}.")
    PLACE = (
        "Место в журнале: {place} (поток, блок, номер с нуля); решений в блоке: {count}.",
        "Place in the journal: {place} (lane, block, number from 0); decisions there: {count}.",
    )
    SIGNED = (
        "Блок подписан центром: {time}, ключ {key}.",
        "The centre signed the block: {time}, key {key}.",
    )
    CLAIMED = (
        "Подпись не охватывает, стоит только в файле: операция {number}, позиции {items}.",
        "Only said in the file, not signed: transaction {number}, items {items}.",
    )

    def say(self, language: Language, **facts: object) -> str:
        """Return the sentence for a person."""
        ru, en = self.value
        return (ru if language == "ru" else en).format(**facts)


FAULTS: Final[dict[ReceiptFault, FaultText]] = {
    ReceiptFault.UNREADABLE: FaultText(
        "Квитанция повреждена или неизвестной версии",
        "Возьмите файл квитанции с терминала ещё раз или обновите программу",
        "The receipt is damaged or of an unknown version",
        "Take the receipt file from the terminal again, or update this program",
    ),
    ReceiptFault.OTHER_PLACE: FaultText(
        "Квитанция выдана на другую запись журнала, чем указано в файле",
        "Файл изменён или собран из двух: возьмите исходный с терминала",
        "The receipt belongs to another place in the journal than the file says",
        "The file was changed or made of two: take the original from the terminal",
    ),
    ReceiptFault.PATH_MISSING: FaultText(
        "В квитанции нет пути от этого решения к подписи блока",
        "Короткие квитанции подтверждают только блок: запросите полную в центре",
        "The receipt has no path from this decision to the block's signature",
        "A short receipt proves only the block: ask the centre for the full one",
    ),
    ReceiptFault.PATH_WRONG: FaultText(
        "Такого решения нет в подписанном блоке: результат, суммы или время изменены",
        "Не принимайте квитанцию; запросите решение в центре по дате, терминалу и номеру",
        "The signed block has no such decision: outcome, amounts or time were changed",
        "Do not accept the receipt; ask the centre by date, terminal and number",
    ),
    ReceiptFault.KEY_OTHER: FaultText(
        "Квитанция подписана другим ключом, чем дан для проверки",
        "Возьмите у центра ключ, действовавший в день решения, и проверьте ещё раз",
        "The receipt was signed with another key than the one given",
        "Get the centre's key that was in use on that day and verify again",
    ),
    ReceiptFault.SIGNATURE_WRONG: FaultText(
        "Подпись центра под блоком неверна",
        "Не принимайте квитанцию; сообщите в центр",
        "The centre's signature of the block is wrong",
        "Do not accept the receipt; tell the centre",
    ),
}


def public_keys_of(pem: bytes) -> tuple[bytes, ...]:
    """Return the points (65 bytes) of the PEM that `spk hsm export-public` writes.

    Raises `KeyFileError`.
    """
    if b"PRIVATE KEY" in pem:
        raise KeyFileError("the key file holds a private key; verifying needs only the public one")
    if b"CERTIFICATE" in pem:
        raise KeyFileError(
            "the key file holds a certificate; give receipt-public-key.pem, which "
            "`spk hsm export-public` writes beside it"
        )
    blocks = _PUBLIC_KEY.findall(pem)
    if not blocks:
        raise _no_public_key()
    return tuple(_point_of(block) for block in blocks)


def _point_of(pem: bytes) -> bytes:
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise _no_public_key() from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyFileError("the key file holds a key of another kind; a receipt key is EC P-256")
    return key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


def _no_public_key() -> KeyFileError:
    return KeyFileError(
        "the key file holds no public key in PEM; give receipt-public-key.pem as "
        "`spk hsm export-public` writes it"
    )


def fault_of(file: ReceiptFile, public_keys: tuple[bytes, ...]) -> ReceiptFault | None:
    """Return why the file's receipt does not prove its decision; None when it does."""
    try:
        file.verify(*public_keys)
    except ReceiptError as error:
        return error.fault
    return None


def fault_lines(fault: ReceiptFault, language: Language) -> list[str]:
    """Return the verdict on a receipt that proves nothing."""
    text = FAULTS[fault]
    sentences = (text.ru, text.ru_remedy) if language == "ru" else (text.en, text.en_remedy)
    return [Phrase.NOT_PROVEN.say(language), *(f"{sentence}." for sentence in sentences)]


def proven_lines(file: ReceiptFile, language: Language) -> list[str]:
    """Return what a receipt that was verified proves, and what it does not."""
    rows = [
        Phrase.PROVEN.say(language),
        *_decision_lines(file, language),
        *_journal_lines(file, language),
        _claimed_line(file, language),
    ]
    # The file is anybody's: nothing in it may steer the reader's terminal.
    return ["".join(c if _harmless(c) else "?" for c in row) for row in rows]


def _harmless(character: str) -> bool:
    return character.isprintable() or character == _NO_BREAK_SPACE


def _decision_lines(file: ReceiptFile, language: Language) -> list[str]:
    text = TEXTS[file.outcome]
    said = text.ru if language == "ru" else text.en
    rows = [Phrase.DECISION.say(language, said=said, code=int(file.outcome))]
    if file.approval_code:
        rows.append(Phrase.APPROVAL_CODE.say(language, code=file.approval_code))
    for number, line in enumerate(file.lines, 1):
        covered = _roubles(line.covered_kopecks, language)
        paid = _roubles(line.paid_kopecks, language)
        rows.append(Phrase.LINE.say(language, number=number, covered=covered, paid=paid))
    if file.lines:
        covered = _roubles(sum(line.covered_kopecks for line in file.lines), language)
        paid = _roubles(sum(line.paid_kopecks for line in file.lines), language)
        rows.append(Phrase.ALL.say(language, covered=covered, paid=paid))
    return rows


def _journal_lines(file: ReceiptFile, language: Language) -> list[str]:
    receipt = Receipt.decode(bytes.fromhex(file.receipt))
    place = f"{file.lane}-{file.block}-{file.ordinal}"
    return [
        Phrase.DECIDED.say(
            language, time=_time(file.decided_at_ms), day=file.posting_date.isoformat()
        ),
        Phrase.PLACE.say(language, place=place, count=receipt.leaf_count),
        Phrase.SIGNED.say(language, time=_time(receipt.signed_at_ms), key=receipt.key_id.hex()),
    ]


def _claimed_line(file: ReceiptFile, language: Language) -> str:
    """Return what the file says beyond the proof: only the request itself could prove it."""
    number = f"{file.business_date:%Y%m%d}-{file.terminal_id}-{file.stan:06}"
    items = ", ".join(line.item for line in file.lines if line.item) or "—"
    return Phrase.CLAIMED.say(language, number=number, items=items)


def _time(utc_ms: int) -> str:
    """Return a time as "2026-03-02 09:00:01 UTC", or the bare number when no calendar has it."""
    try:
        return f"{datetime.fromtimestamp(utc_ms // 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{utc_ms} ms UTC"


def _roubles(amount_kopecks: int, language: Language) -> str:
    whole, rest = divmod(amount_kopecks, 100)
    mark = "," if language == "ru" else "."
    return f"{whole}{mark}{rest:02}{_NO_BREAK_SPACE}₽"
