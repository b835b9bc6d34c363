"""`spk receipt`: verify a receipt file with the centre's public key: no database, no network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from processing.journal.receipt_verdict import (
    KEY_FILE_BYTES_MAX,
    KeyFileError,
    Language,
    fault_lines,
    fault_of,
    proven_lines,
    public_keys_of,
)
from processing.wire.receipt_file import SIZE_MAX_BYTES, ReceiptFile, ReceiptFileError

app = cyclopts.App(name="receipt", help="Verify a receipt with the centre's public key.")


@app.command
def verify(
    file: Annotated[Path, Parameter(help="The receipt file that the terminal wrote.")],
    /,
    *,
    key: Annotated[
        Path, Parameter(help="receipt-public-key.pem, as spk hsm export-public writes it.")
    ],
    lang: Annotated[Language, Parameter(help="The language of the verdict.")] = "ru",
) -> int:
    """Say what a receipt proves, or why it proves nothing.

    Exits with 0 when the decision is proven, with 1 when it is not, with 2 when a file cannot be
    read.
    """
    public_keys = public_keys_of(_key_bytes(key))
    receipt_file = ReceiptFile.decode(_file_bytes(file))
    fault = fault_of(receipt_file, public_keys)
    if fault is not None:
        print("\n".join(fault_lines(fault, lang)))
        return 1
    print("\n".join(proven_lines(receipt_file, lang)))
    return 0


def _key_bytes(path: Path) -> bytes:
    try:
        return _read(path, KEY_FILE_BYTES_MAX)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror or error}") from None


def _file_bytes(path: Path) -> bytes:
    try:
        # One byte more than is taken, so that a file that is too long shows.
        return _read(path, SIZE_MAX_BYTES + 1)
    except OSError as error:
        raise ReceiptFileError(f"{path} cannot be read: {error.strerror or error}") from None


def _read(path: Path, size_max_bytes: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size_max_bytes)
