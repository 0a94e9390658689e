"""Twenty real files of packages that come quickly, as `make corpus` takes all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpus.listed import LIST, NotFetched, fetch, read_list
from corpus.trying import try_file

CORPUS = read_list()
PACKAGE_OF = {file: package for package in CORPUS.packages for file in package.files}
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.xdist_group("corpus")]


@pytest.fixture(scope="module")
def fetched() -> dict[str, Path | str]:
    """The folder of each package of the sample, or why it is not here; where none is, there is no network, and all is skipped."""
    found: dict[str, Path | str] = {}
    for package in dict.fromkeys(PACKAGE_OF[file] for file in CORPUS.sample):
        try:
            found[package.name] = fetch(package)
        except NotFetched as error:
            found[package.name] = str(error)
    if not any(isinstance(place, Path) for place in found.values()):
        pytest.skip(f"no package of the corpus can be fetched here: {next(iter(found.values()))}")
    return found


@pytest.mark.parametrize("file", CORPUS.sample, ids=lambda file: Path(file).name)
def test_a_real_file(file: str, fetched: dict[str, Path | str], tmp_path: Path) -> None:
    place = fetched[PACKAGE_OF[file].name]
    assert isinstance(place, Path), place
    outcome = try_file(place / file, tmp_path, 3)
    assert outcome.wrong == []
    assert outcome.counts["equal"] == outcome.counts["checked"] == outcome.counts["unchanged"] == outcome.counts["xarray"] == 1


def test_the_list_is_as_long_as_it_is_said_to_be_and_names_no_host() -> None:
    assert len(PACKAGE_OF) == sum(len(package.files) for package in CORPUS.packages) >= 150
    assert len(CORPUS.sample) == 20
    assert {*CORPUS.sample, *CORPUS.refused, *CORPUS.decoded} <= PACKAGE_OF.keys()
    assert "://" not in LIST.read_text()
