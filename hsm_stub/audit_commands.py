"""`spk hsm audit`: read the audit of the keys, and find out whether anybody touched it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from hsm_stub.home import audit_folder, default_keys

app = cyclopts.App(name="audit", help="Read and verify the audit of key uses.")

Folder = Annotated[
    Path | None, Parameter(help="The audit's folder; default: audit beside the key file.")
]


@app.command
def verify(
    folder: Folder = None,
    /,
    *,
    public_keys: Annotated[
        Path, Parameter(help="audit-public-keys.pem, as spk hsm export-public wrote it.")
    ],
    head: Annotated[
        str,
        Parameter(help="SHA-256 of a record noted elsewhere, from spk hsm status: must be there."),
    ] = "",
) -> None:
    """Check that no record was changed, taken out, put in or cut off."""
    from hsm_stub.audit_check import verify_audit
    from hsm_stub.public_files import read_points

    path = folder or audit_folder(default_keys(os.environ))
    verdict = verify_audit(path, read_points(public_keys), head)
    print(
        f"{verdict.records} records in {verdict.files} files are whole: {verdict.used} uses, "
        f"{verdict.refused} refused"
    )
    print(f"sealed up to record {verdict.sealed}; last record {verdict.head.hex()}")
    if verdict.torn:
        print(f"{verdict.torn} times power was lost while a record was written")
    if verdict.windows_open:
        print(
            f"{verdict.windows_open} sums of frequent uses are missing: the service was killed, "
            "or still runs"
        )


@app.command
def show(
    folder: Folder = None,
    /,
    *,
    client: Annotated[str, Parameter(help="Only this client's.")] = "",
    key: Annotated[str, Parameter(help="Only this key's, such as 'card master'.")] = "",
    refused: Annotated[bool, Parameter(help="Only what was refused.")] = False,
) -> None:
    """Print the records, one a line: time (UTC), client, command, key, what came of it."""
    from hsm_stub.audit_check import read_audit
    from hsm_stub.audit_record import What

    for _, _, one in read_audit(folder or audit_folder(default_keys(os.environ))):
        if (client and one.client != client) or (key and one.key != key):
            continue
        if refused and one.what is not What.REFUSED:
            continue
        at = datetime.fromtimestamp(one.at_ms / 1000, UTC)
        facts = " ".join(f"{name}={value}" for name, value in one.facts.items())
        words = (one.what.value, one.client, one.command, one.key, one.code, facts)
        count = f"{one.count} times" if one.count else ""
        print(f"{at:%Y-%m-%d %H:%M:%S} {' '.join(word for word in (*words, count) if word)}")
