"""`spk receipt verify`: what it says of sound, changed and unreadable receipts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hsm_stub.client.commands import PublicKey, PublicKeys
from hsm_stub.client.enums import KeyState
from hsm_stub.public_files import write_public_files
from processing.cli import EXTRAS, run
from processing.journal.commands import app
from processing.journal.receipt_verdict import FAULTS
from processing.wire.outcome import Outcome
from processing.wire.receipt import Receipt, ReceiptFault
from processing.wire.receipt_file import SIZE_MAX_BYTES, ReceiptFile
from processing.wire.transaction import Kind
from tests.wire.examples import (
    CARD_SCALAR,
    RECEIPT_SCALAR,
    decision_of,
    point_of,
    receipt_of,
    request_of,
)

REQUEST = request_of(Kind.SALE)
DECISION = decision_of(REQUEST, ordinal=2)
RECEIPT = receipt_of(DECISION, 8)
ITEMS = tuple(line.item for line in REQUEST.lines)
FILE = ReceiptFile.of(REQUEST.key, ITEMS, DECISION, RECEIPT.encode())


def pem_of(scalar: int) -> bytes:
    """Return a public key as `spk hsm export-public` writes it."""
    return ec.EllipticCurvePublicKey.from_encoded_point(
        ec.SECP256R1(), point_of(scalar)
    ).public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Give the centre's public key in a file."""
    path = tmp_path / "receipt-public-key.pem"
    path.write_bytes(pem_of(RECEIPT_SCALAR))
    return path


def verdict_on(tmp_path: Path, content: bytes, key: Path, *words: str) -> int | str | None:
    """Verify a receipt file with that content; give the exit code."""
    path = tmp_path / "receipt.json"
    path.write_bytes(content)
    try:
        return run(app, ["verify", str(path), "--key", str(key), *words])
    except SystemExit as stop:
        return stop.code


def test_proven(tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict_on(tmp_path, FILE.encode(), key) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ДОКАЗАНО",
        "Решение: Одобрено (код 703).",
        "Код одобрения: 004711.",
        "Строка 1: по льготе 125,49\u00a0₽, к оплате 0,01\u00a0₽.",
        "Строка 2: по льготе 299,99\u00a0₽, к оплате 0,01\u00a0₽.",
        "Всего: по льготе 425,48\u00a0₽, к оплате 0,02\u00a0₽.",
        "Принято: 2026-03-02 09:00:01 UTC, день учёта 2026-03-02.",
        "Место в журнале: 1-900-2 (поток, блок, номер с нуля); решений в блоке: 8.",
        f"Блок подписан центром: 2026-03-02 09:00:01 UTC, ключ {RECEIPT.key_id.hex()}.",
        (
            "Подпись не охватывает, стоит только в файле: операция 20260302-T0000042-000203, "
            "позиции N02BE01-500, C09AA02-10."
        ),
    ]


def test_proven_in_english(tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict_on(tmp_path, FILE.encode(), key, "--lang", "en") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("PROVEN\nDecision: Approved (code 703).\n")
    assert "In all: 425.48\u00a0₽ covered, 0.02\u00a0₽ to pay." in printed
    assert "Only said in the file, not signed: transaction 20260302-T0000042-000203" in printed


def test_a_proven_refusal(tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = msgspec.structs.replace(
        DECISION, outcome=Outcome.CARD_BLOCKED, approval_code="", lines=()
    )
    file = ReceiptFile.of(REQUEST.key, ITEMS, refused, receipt_of(refused, 3).encode())
    assert verdict_on(tmp_path, file.encode(), key) == 0
    printed = capsys.readouterr().out
    assert "(код 303)" in printed
    assert "Код одобрения" not in printed
    assert "Всего" not in printed


def with_receipt(**changes: Any) -> Callable[[], ReceiptFile]:
    """Return the file with something else in its receipt."""
    changed = msgspec.structs.replace(RECEIPT, **changes)
    return lambda: msgspec.structs.replace(FILE, receipt=changed.encode().hex())


def with_file(**changes: Any) -> Callable[[], ReceiptFile]:
    """Return the file with something else said in it."""
    return lambda: msgspec.structs.replace(FILE, **changes)


CHANGED = [
    ("cut receipt", with_file(receipt=RECEIPT.encode()[:-1].hex()), ReceiptFault.UNREADABLE),
    ("other place", with_file(ordinal=3), ReceiptFault.OTHER_PLACE),
    ("no path", with_receipt(path=()), ReceiptFault.PATH_MISSING),
    ("other outcome", with_file(outcome=Outcome.APPROVED_PARTLY), ReceiptFault.PATH_WRONG),
    (
        "other amount",
        with_file(lines=(msgspec.structs.replace(FILE.lines[0], paid_kopecks=0), FILE.lines[1])),
        ReceiptFault.PATH_WRONG,
    ),
    ("other time", with_file(decided_at_ms=FILE.decided_at_ms + 1), ReceiptFault.PATH_WRONG),
    ("other code", with_file(approval_code="004712"), ReceiptFault.PATH_WRONG),
    ("other key", with_receipt(key_id=bytes(8)), ReceiptFault.KEY_OTHER),
    ("other signature", with_receipt(signature=b"\1" * 64), ReceiptFault.SIGNATURE_WRONG),
]


@pytest.mark.parametrize(
    ("make", "fault"), [row[1:] for row in CHANGED], ids=[row[0] for row in CHANGED]
)
def test_not_proven(
    tmp_path: Path,
    key: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[], ReceiptFile],
    fault: ReceiptFault,
) -> None:
    content = make().encode()
    text = FAULTS[fault]
    assert verdict_on(tmp_path, content, key) == 1
    expected = ["НЕ ДОКАЗАНО", f"{text.ru}.", f"{text.ru_remedy}."]
    assert capsys.readouterr().out.splitlines() == expected
    assert verdict_on(tmp_path, content, key, "--lang", "en") == 1
    expected = ["NOT PROVEN", f"{text.en}.", f"{text.en_remedy}."]
    assert capsys.readouterr().out.splitlines() == expected


def test_every_fault_is_worded_and_tested() -> None:
    assert set(FAULTS) == set(ReceiptFault) == {row[2] for row in CHANGED}


def test_another_key_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(pem_of(CARD_SCALAR))
    assert verdict_on(tmp_path, FILE.encode(), other) == 1
    assert FAULTS[ReceiptFault.KEY_OTHER].ru in capsys.readouterr().out


def test_a_file_cannot_steer_the_reader_terminal(
    tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = msgspec.structs.replace(FILE.lines[0], item="\x1b[2J\nДОКАЗАНО")
    file = msgspec.structs.replace(FILE, lines=(line, FILE.lines[1]), terminal_id="\x1b]0;x\x07")
    assert verdict_on(tmp_path, file.encode(), key) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert printed.splitlines().count("ДОКАЗАНО") == 1


UNREADABLE = [
    ("empty", b"", "not a receipt file"),
    ("no JSON", b"\xff\xfe", "not a receipt file"),
    ("too long", b" " * (SIZE_MAX_BYTES + 1), f"over {SIZE_MAX_BYTES} bytes"),
    ("no such outcome", FILE.encode().replace(b"703", b"799"), "$.outcome"),
    (
        "missing field",
        json.dumps({k: v for k, v in json.loads(FILE.encode()).items() if k != "stan"}).encode(),
        "stan",
    ),
    (
        "bad digest",
        FILE.encode().replace(b'"request_digest": "', b'"request_digest": "zz'),
        "digest",
    ),
]


@pytest.mark.parametrize(
    ("content", "message"), [row[1:] for row in UNREADABLE], ids=[row[0] for row in UNREADABLE]
)
def test_unreadable(
    tmp_path: Path,
    key: Path,
    capsys: pytest.CaptureFixture[str],
    content: bytes,
    message: str,
) -> None:
    assert verdict_on(tmp_path, content, key) == 2
    said = capsys.readouterr().err
    assert said.startswith("spk: ")
    assert message in said


def _private_pem() -> bytes:
    key = ec.derive_private_key(RECEIPT_SCALAR, ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _foreign_pem() -> bytes:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: b"", "no public key in PEM"),
        (lambda: point_of(RECEIPT_SCALAR), "no public key in PEM"),
        (lambda: b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no public key"),
        (lambda: b"-----BEGIN CERTIFICATE-----\n", "a certificate; give receipt-public-key.pem"),
        (_private_pem, "a private key; verifying needs only the public one"),
        (_foreign_pem, "a key of another kind; a receipt key is EC P-256"),
    ],
    ids=["empty", "raw", "damaged", "certificate", "private", "RSA"],
)
def test_wrong_key_files(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[], bytes],
    message: str,
) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(make())
    assert verdict_on(tmp_path, FILE.encode(), key) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["receipt", "key"])
def test_a_file_that_is_not_there(
    tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    nowhere = tmp_path / "nowhere"
    receipt = tmp_path / "receipt.json"
    receipt.write_bytes(FILE.encode())
    file, pem = (nowhere, key) if missing == "receipt" else (receipt, nowhere)
    assert run(app, ["verify", str(file), "--key", str(pem)]) == 2
    assert f"{nowhere} cannot be read: No such file or directory" in capsys.readouterr().err


def generation(number: int, scalar: int) -> PublicKey:
    """Return a generation of the receipt key."""
    state = KeyState.ACTIVE if number == 2 else KeyState.RETIRING
    return PublicKey(key="receipt signing", generation=number, state=state, point=point_of(scalar))


def test_a_receipt_of_any_generation_by_the_keys_that_the_key_service_exports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    public = PublicKeys(
        receipt_key=point_of(RECEIPT_SCALAR),
        receipt_key_id=bytes(8),
        issuing_certificates=(),
        keys=(generation(2, CARD_SCALAR), generation(1, RECEIPT_SCALAR)),
    )
    exported = write_public_files(tmp_path / "public", public)[0]
    assert verdict_on(tmp_path, FILE.encode(), exported) == 0
    assert "ДОКАЗАНО" in capsys.readouterr().out


def test_needs_no_library_of_the_centre(tmp_path: Path, key: Path) -> None:
    receipt = tmp_path / "receipt.json"
    receipt.write_bytes(FILE.encode())
    script = (
        "import sys; names = sys.argv[1].split(','); del sys.argv[1]\n"
        "sys.modules.update(dict.fromkeys(names))\n"
        "from processing.journal.commands import app\n"
        "outside = [n for n in sys.modules if n.startswith('processing.') "
        "and not n.startswith(('processing.wire', 'processing.journal'))]\n"
        "assert outside == [], outside\n"
        "app()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, ",".join(EXTRAS), "verify", receipt, "--key", key],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONUTF8": "1"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ДОКАЗАНО\n")


def test_any_receipt_in_any_block(tmp_path: Path, key: Path) -> None:
    for size in (1, 2, 3, 256):
        decision = msgspec.structs.replace(DECISION, ordinal=size - 1)
        receipt: Receipt = receipt_of(decision, size)
        file = ReceiptFile.of(REQUEST.key, ITEMS, decision, receipt.encode())
        assert verdict_on(tmp_path, file.encode(), key) == 0, size
