"""The shipped regulations and what they refer to."""

from importlib import resources

import pytest

from processing.region.catalogue import directory_of, load_catalogue
from processing.regulations.directory import Directory
from processing.regulations.shipped import CATALOGUE, shipped_regulations


@pytest.fixture(scope="session")
def directory() -> Directory:
    services = {one.regulation.service for one in shipped_regulations()}
    return directory_of(load_catalogue(services))


@pytest.fixture(scope="session")
def medicine() -> str:
    """Give the text of the regulation that the tests spoil."""
    folder = resources.files("processing.regulations").joinpath(CATALOGUE)
    return folder.joinpath("medicine.toml").read_text("utf-8")
