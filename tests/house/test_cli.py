"""The `spk` front: lazy, and clear about what it cannot do."""

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path

import cyclopts
import pytest

from processing.cli import COMMAND_GROUP, EXTRAS, SUMMARIES, build_app, missing_extra_message, run
from tests.house.sources import PACKAGES

PROGRAM = """
import cyclopts

app = cyclopts.App(name="{name}", help="A program made for this test.")


class Refused(Exception):
    exit_code = 3


@app.command
def work() -> None:
    print("worked")


@app.command
def refuse() -> None:
    raise Refused("reader 7 is not there; `spk reader list` names those that are")


@app.command
def miss(module: str) -> None:
    raise ModuleNotFoundError("No module named " + module, name=module)


@app.command
def break_down() -> None:
    raise RuntimeError("a fault")


@app.command
async def wait() -> int:
    return 4
"""


@pytest.fixture
def front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> cyclopts.App:
    """Give a front with the commands `made`, `bare` (imports what is not there) and `broken`."""
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("spk_test_made", "spk_test_bare", "spk_test_broken"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    (tmp_path / "spk_test_made.py").write_text(PROGRAM.format(name="made"), encoding="utf-8")
    missing = "raise ModuleNotFoundError('no smartcard', name='smartcard.System')\n"
    (tmp_path / "spk_test_bare.py").write_text(missing, encoding="utf-8")
    (tmp_path / "spk_test_broken.py").write_text("import spk_test_nowhere\n", encoding="utf-8")
    return build_app(
        [
            EntryPoint(name, f"spk_test_{name}:app", COMMAND_GROUP)
            for name in ("made", "bare", "broken")
        ]
    )


def exit_code_of(front: cyclopts.App, *words: str) -> int | str | None:
    """Run one command line and give the exit code of the process it would have been."""
    try:
        return run(front, words)
    except SystemExit as stop:
        return stop.code


@pytest.mark.parametrize(
    ("words", "exit_code", "stdout", "stderr"),
    [
        (["made", "work"], 0, "worked", ""),
        (["made", "wait"], 4, "", ""),
        (["made", "refuse"], 3, "", "spk: reader 7 is not there; `spk reader list` names those"),
        (["made", "miss", "asyncpg"], 2, "", "spk: this command needs: pip install 'spk[centre]'"),
        (["bare"], 2, "", "spk: this command needs: pip install 'spk[pcsc]'"),
        (["made", "unheard-of"], 2, "", "unheard-of"),
        (["unheard-of"], 2, "", "spk: unknown command 'unheard-of'. Available: bare, broken, made"),
        (["[red]"], 2, "", "unknown command '[red]'"),
        (["maid"], 2, "", "Did you mean 'made'?"),
        (["--version"], 0, version("spk"), ""),
        (["--help"], 0, "made", ""),
    ],
)
def test_exit_code_and_words(
    front: cyclopts.App,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    exit_code: int,
    stdout: str,
    stderr: str,
) -> None:
    assert exit_code_of(front, *words) == exit_code
    printed = capsys.readouterr()
    assert stdout in printed.out
    assert stderr in printed.err
    assert "Traceback" not in printed.err


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["made", "break-down"], RuntimeError),
        (["made", "miss", "a_library_of_nobody"], ModuleNotFoundError),
        (["broken"], ImportError),
    ],
)
def test_a_fault_keeps_its_traceback(
    front: cyclopts.App, words: list[str], fault: type[Exception]
) -> None:
    with pytest.raises(fault):
        run(front, words)


@pytest.mark.parametrize(("module", "extra"), sorted(EXTRAS.items()))
def test_every_optional_library_names_its_extra(module: str, extra: str) -> None:
    message = missing_extra_message(ModuleNotFoundError(name=f"{module}.inner"))
    assert message is not None
    assert f"pip install 'spk[{extra}]'" in message


def test_help_imports_no_program(front: cyclopts.App) -> None:
    assert exit_code_of(front, "--help") == 0
    assert "spk_test_made" not in sys.modules


@pytest.mark.parametrize("word", ["--help", "--version", "unheard-of"])
def test_the_front_alone_imports_nothing_of_the_house(word: str) -> None:
    script = (
        "import sys; from processing import cli\n"
        "outside, sys.argv[1:] = sys.argv[2:], sys.argv[1:2]\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "print(sorted(name for name in sys.modules if name.partition('.')[0] in outside))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, word, *PACKAGES, *EXTRAS],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "['processing', 'processing.cli']"


def test_every_entry_point_has_a_summary() -> None:
    assert {entry.name for entry in entry_points(group=COMMAND_GROUP)} == set(SUMMARIES)


@pytest.mark.parametrize(
    "entry", sorted(entry_points(group=COMMAND_GROUP)), ids=lambda entry: entry.name
)
def test_every_entry_point_is_an_app_of_that_name(entry: EntryPoint) -> None:
    app = entry.load()
    assert isinstance(app, cyclopts.App)
    assert app.name == (entry.name,)
    assert app.help == SUMMARIES[entry.name]
