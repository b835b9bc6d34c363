"""What is installed is declared, pinned and explained."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from processing.cli import EXTRAS
from tests.house.sources import PACKAGES, ROOT, package_files, relative

PIN = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[0-9][A-Za-z0-9.+!]*)$")


def project() -> dict[str, Any]:
    """Give the [project] table of pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table: dict[str, Any] = tomllib.loads(text)["project"]
    return table


def requirements_of(lines: list[str]) -> dict[str, Requirement]:
    """Give requirements by canonical name, without those that point back to spk."""
    parsed = [Requirement(line) for line in lines]
    return {canonicalize_name(each.name): each for each in parsed if each.name != "spk"}


def runtime_requirements() -> dict[str, Requirement]:
    """Give what the programs themselves need, with every extra but dev."""
    extras = project()["optional-dependencies"]
    optional = [line for name, lines in extras.items() if name != "dev" for line in lines]
    return requirements_of(project()["dependencies"] + optional)


def every_requirement() -> dict[str, Requirement]:
    """Give what spk[all,dev] asks for by name."""
    return runtime_requirements() | requirements_of(project()["optional-dependencies"]["dev"])


def pins() -> dict[str, Version]:
    """Give constraints.txt by canonical name; a line that is no plain pin fails."""
    found: dict[str, Version] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        match = PIN.match(line)
        assert match, f"constraints.txt: not a plain pin: {line!r}"
        found[canonicalize_name(match["name"])] = Version(match["version"])
    return found


def imported_from_outside(path: Path) -> set[str]:
    """Give the top names that a file imports and that neither the house nor Python brings."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names - set(PACKAGES) - sys.stdlib_module_names


def test_every_requirement_is_pinned_within_its_bounds() -> None:
    pinned = pins()
    loose = {
        name: (str(requirement.specifier), str(pinned.get(name)))
        for name, requirement in every_requirement().items()
        if name not in pinned or pinned[name] not in requirement.specifier
    }
    assert loose == {}


def test_every_requirement_has_a_lower_bound() -> None:
    unbounded = [
        name
        for name, requirement in every_requirement().items()
        if not any(clause.operator in {">=", "=="} for clause in requirement.specifier)
        or requirement.specifier.contains("0")
    ]
    assert unbounded == []


def test_every_requirement_is_explained() -> None:
    text = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    explained = {
        canonicalize_name(name) for name in re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
    }
    assert explained == set(every_requirement())


def test_every_import_is_declared() -> None:
    declared = set(runtime_requirements())
    brought_by = packages_distributions()
    undeclared = [
        f"{relative(path)} imports {name}"
        for path in package_files()
        for name in sorted(imported_from_outside(path))
        if not declared & {canonicalize_name(each) for each in brought_by.get(name, [])}
    ]
    assert undeclared == []


def test_the_front_knows_the_extra_of_every_optional_library() -> None:
    extras = project()["optional-dependencies"]
    modules: dict[str, set[str]] = {}
    for module, distributions in packages_distributions().items():
        for distribution in distributions:
            modules.setdefault(canonicalize_name(distribution), set()).add(module)
    expected = {
        (module, extra)
        for extra, lines in extras.items()
        if extra not in {"all", "dev"}
        for name in requirements_of(lines)
        for module in modules.get(name, set())
        if not module.startswith("_") and "." not in module
    }
    assert set(EXTRAS.items()) <= expected
    assert {extra for _, extra in expected} == set(EXTRAS.values())


def test_all_brings_every_extra_but_dev() -> None:
    extras = project()["optional-dependencies"]
    (everything,) = (Requirement(line) for line in extras["all"])
    assert everything.name == "spk"
    assert everything.extras == set(extras) - {"all", "dev"}
