"""`spk hsm ceremony`: make the keys of a region before witnesses, and restore them."""

from __future__ import annotations

import os
import shlex
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

from hsm_stub.home import default_keys

if TYPE_CHECKING:
    from hsm_stub.ceremony.sheets import Sheet

app = cyclopts.App(name="ceremony", help="Make keys under the control of several custodians.")

Keys = Annotated[Path | None, Parameter(help="Key file to write; a token's ends in .p11.")]
Folder = Annotated[Path | None, Parameter(help="Where state and record lie; default: beside it.")]
PassphraseFile = Annotated[
    Path | None,
    Parameter(help="File with the passphrase or PIN; else SPK_HSM_PASSPHRASE or asked."),
]
Printer = Annotated[
    str, Parameter(help="Command that prints a PDF from its input, such as 'lp -d vault'.")
]
Module = Annotated[str, Parameter(help="The token's library, for keys in a token.")]
Token = Annotated[str, Parameter(help="The token's label, for keys in a token.")]


@app.command
def conduct(
    *,
    threshold: Annotated[int, Parameter(help="How many custodians restore the keys.")],
    custodian: Annotated[tuple[str, ...], Parameter(help="A custodian's name; once for each.")],
    administrator: Annotated[str, Parameter(help="Who conducts the ceremony.")],
    witness: Annotated[tuple[str, ...], Parameter(help="A witness's name; once for each.")] = (),
    region: Annotated[str, Parameter(help="Region's two digits.")] = "00",
    pki_url: Annotated[str, Parameter(help="As of spk hsm init.")] = "",
    dry_run: Annotated[bool, Parameter(help="Rehearse: sheets say so, no keys are kept.")] = False,
    keys: Keys = None,
    folder: Folder = None,
    passphrase_file: PassphraseFile = None,
    print_command: Printer = "",
    module: Module = "",
    token: Token = "",
) -> None:
    """Make keys, hand a share of their recovery key to each custodian, and write the record.

    Interrupted, the same command goes on where it was.
    """
    from hsm_stub.ceremony.conduct import Ceremony
    from hsm_stub.ceremony.installing import installer
    from hsm_stub.ceremony.record import Plan
    from hsm_stub.keystore import refuse_existing
    from hsm_stub.passphrase import choose_passphrase

    path = keys or default_keys(os.environ)
    refuse_existing(path)
    plan = Plan(
        region=region,
        threshold=threshold,
        administrator=administrator,
        custodians=custodian,
        witnesses=witness,
        pki_url=pki_url,
        dry_run=dry_run,
    )
    passphrase = choose_passphrase(os.environ, passphrase_file)
    ceremony = Ceremony(folder or path.parent, plan, passphrase, _Screen(print_command), _now_ms)
    record = ceremony.conduct(path, installer(path, passphrase, module, token))
    if dry_run:
        print(f"the rehearsal is over; no key was kept. Record: {record}")
    else:
        print(f"keys of region {region} are in {path}, their recovery file beside it")
        print(f"record: {record}; copy it and the recovery file to safe places")


@app.command
def abort(*, keys: Keys = None, folder: Folder = None) -> None:
    """End an interrupted ceremony: sheets handed out so far open nothing."""
    base = folder or (keys or default_keys(os.environ)).parent
    for name in ("ceremony.spk", "ceremony.json"):
        (base / name).unlink(missing_ok=True)
    print("there is no interrupted ceremony any more; have its sheets destroyed")


@app.command
def restore(
    recovery: Path,
    /,
    *,
    keys: Keys = None,
    passphrase_file: PassphraseFile = None,
    module: Module = "",
    token: Token = "",
) -> None:
    """Restore the keys of a recovery file from the custodians' shares into a new key file."""
    from hsm_stub.ceremony.conduct import restore as restored
    from hsm_stub.ceremony.installing import installer
    from hsm_stub.keystore import refuse_existing
    from hsm_stub.passphrase import choose_passphrase

    path = keys or default_keys(os.environ)
    refuse_existing(path)
    material = restored(recovery, _Screen(""))
    installer(path, choose_passphrase(os.environ, passphrase_file), module, token)(material)
    print(f"keys of region {material.region_code} restored to {path}")


@app.command
def verify(
    record: Path,
    /,
    *,
    public_keys: Annotated[Path, Parameter(help="audit-public-keys.pem of spk hsm export-public.")],
) -> None:
    """Check the signature of a ceremony's record, and print the record."""
    from hsm_stub.ceremony.record import verify_record
    from hsm_stub.public_files import read_points

    found = verify_record(record, read_points(public_keys))
    plan = found.plan
    print(f"{found.kind} of region {plan.region}, conducted by {plan.administrator}: signed")
    print(f"{plan.threshold} of {len(plan.custodians)}: {', '.join(plan.custodians)}")
    if plan.witnesses:
        print(f"witnesses: {', '.join(plan.witnesses)}")
    for one in found.happened:
        print(f"  {datetime.fromtimestamp(one.at_ms / 1000, UTC):%H:%M:%S} {one.who}: {one.what}")
    for key in found.keys:
        print(f"  {key.key} {key.generation} {key.key_id} {key.certificate_sha256}".rstrip())


class _Screen:
    """The terminal in front of everybody; a sheet without a printer is shown, then wiped off."""

    def __init__(self, print_command: str) -> None:
        self._print_command = shlex.split(print_command)

    def say(self, text: str) -> None:
        print(text)

    def ask(self, question: str) -> str:
        return input(question)

    def hand_over(self, sheet: Sheet) -> None:
        from hsm_stub.ceremony.sheets import as_text, print_sheet

        if self._print_command:
            print_sheet(sheet, self._print_command)
            return
        print(as_text(sheet))
        input("Write the words down by hand, then press Enter; they vanish from the screen.")
        # Clears the screen and what a terminal keeps above it.
        print("\033[H\033[2J\033[3J", end="", flush=True)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
