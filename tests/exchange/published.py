"""The published description of the social registry interface, as a judge of messages.

It stands beside the checkout (../shared/dci) and is not copied in; where it is absent, tests that
need it are skipped and say so.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft4Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT4

from tests.house.sources import ROOT

DESCRIPTION = "social_api_v1.0.0.yaml"
NOTIFIED = (
    "components/schemas/NotifyEventRequest/properties/notify_event/items/properties/data/"
    "properties/reg_records"
)


def shared(folder: str) -> Path:
    """Give the folder of public schemas, beside the checkout or beside its main worktree."""
    named = os.environ.get("SPK_SHARED")
    for place in (Path(named) if named else ROOT.parent / "shared",):
        if (place / folder).is_dir():
            return place / folder
    pytest.skip(f"the public schemas are not here: {ROOT.parent / 'shared' / folder}")


class Published:
    """The description, and whether a message is what it says."""

    def __init__(self) -> None:
        text = (shared("dci") / DESCRIPTION).read_text(encoding="utf-8")
        self.document: dict[str, Any] = yaml.safe_load(text)
        # The one place where the description contradicts itself: an object here, a list elsewhere.
        node: dict[str, Any] = self.document
        for name in NOTIFIED.split("/"):
            node = node[name]
        node.clear()
        node["type"] = "array"
        resource = DRAFT4.create_resource(self.document)
        self._registry: Registry[Any] = Registry().with_resource("urn:dci", resource)

    def faults(self, pointer: str, value: object) -> list[str]:
        """Give what is wrong with a value, by the schema that stands at a JSON pointer."""
        validator = Draft4Validator(
            {"$ref": f"urn:dci#/{pointer}"},
            registry=self._registry,
            format_checker=FormatChecker(),
        )
        return [
            f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
            for error in validator.iter_errors(value)
        ]

    def request_faults(self, path: str, body: object) -> list[str]:
        """Give what is wrong with the body of a request to a path."""
        content = "post/requestBody/content/application~1json/schema"
        return self.faults(f"paths/{path.replace('/', '~1')}/{content}", body)

    def response_faults(self, path: str, status: int, body: object) -> list[str]:
        """Give what is wrong with an answer of a path."""
        responses = self.document["paths"][path]["post"]["responses"]
        name = str(status) if str(status) in responses else "default"
        found = responses[name]
        place = f"paths/{path.replace('/', '~1')}/post/responses/{name}"
        if "$ref" in found:
            place = found["$ref"].removeprefix("#/")
        return self.faults(f"{place}/content/application~1json/schema", body)

    def enum(self, *names: str) -> list[str]:
        """Give the closed list at a path of names below components/schemas."""
        node: Any = self.document["components"]["schemas"]
        for name in names:
            node = node[name]
        return list(node["enum"])
