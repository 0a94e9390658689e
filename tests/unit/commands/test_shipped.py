"""The package puts itself into an environment: whole, once, and readable for everybody."""

from __future__ import annotations

import os
import subprocess
import venv
import zipfile
from pathlib import Path

import pytest
import zarrstream
from zarrstream.commands import install as shipped
from zarrstream.errors import BadRequest, ZarrstreamError

PACKAGE = Path(zarrstream.__file__).parent
TOGETHER = pytest.mark.xdist_group("installed")  # in one process, which installs it once


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    venv.create(tmp_path / "env", symlinks=True)
    return tmp_path / "env"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the package, which all tests leave whole: to compile it costs most of an installation."""
    environment = tmp_path_factory.mktemp("installed") / "env"
    venv.create(environment, symlinks=True)
    assert shipped.install(str(environment)).anything
    return environment


def library(environment: Path) -> Path:
    return next(environment.glob("lib/python3.*/site-packages"))


@TOGETHER
def test_it_installs_what_it_runs_from_and_then_nothing(installed: Path) -> None:
    environment = installed
    again = shipped.install(str(environment))
    assert (again.anything, again.before) == (False, again.after)
    found = {str(path.relative_to(library(environment) / "zarrstream")) for path in library(environment).rglob("*.py")}
    assert found == {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py")}
    assert (library(environment) / "zarrstream/check/__pycache__").is_dir(), "compiled"
    done = subprocess.run([environment / "bin/zarrstream", "--version"], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout == f"zarrstream {zarrstream.__version__}\n"


@TOGETHER
def test_an_edited_a_stray_and_a_lost_file_are_put_right(installed: Path) -> None:
    environment = installed
    folder = library(environment) / "zarrstream"
    (folder / "plan.py").write_text("broken")
    (folder / "stray.py").write_text("old")
    (folder / "check/run.py").unlink()
    (environment / "bin/zarrstream").unlink()
    change = shipped.install(str(environment), dry_run=True)
    assert (change.package, change.script) == (True, True)
    assert (folder / "plan.py").read_text() == "broken", "a dry run writes nothing"
    assert {line.split()[1] for line in set(change.before.splitlines()) ^ set(change.after.splitlines())} == {
        *("plan.py", "stray.py", "check/run.py", "bin/zarrstream")
    }
    shipped.install(str(environment))
    assert not shipped.install(str(environment), dry_run=True).anything
    assert sorted(path.name for path in library(environment).iterdir()) == ["zarrstream"], "nothing is left behind"


def test_everybody_may_run_it_whatever_the_umask(environment: Path) -> None:
    before = os.umask(0o077)
    try:
        shipped.install(str(environment))
    finally:
        os.umask(before)
    folder = library(environment) / "zarrstream"
    modes = {path.stat().st_mode & 0o777 for path in folder.rglob("*.py")}
    assert modes == {0o644}
    assert (folder / "check").stat().st_mode & 0o777 == folder.stat().st_mode & 0o777 == 0o755
    assert (environment / "bin/zarrstream").stat().st_mode & 0o777 == 0o755


@pytest.mark.thorough
def test_it_works_out_of_an_archive_as_ansible_sends_it(environment: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "sent.zip", "w") as archive:
        for path in PACKAGE.rglob("*.py"):
            archive.write(path, f"zarrstream/{path.relative_to(PACKAGE)}")
    program = "import sys; sys.path.insert(0, sys.argv[1]); from zarrstream.commands.install import install; install(sys.argv[2])"
    subprocess.run([environment / "bin/python", "-I", "-c", program, tmp_path / "sent.zip", environment], check=True)
    assert not shipped.install(str(environment), dry_run=True).anything


def test_no_environment_is_one_clear_line(tmp_path: Path) -> None:
    assert shipped.install(str(tmp_path / "none"), dry_run=True).anything, "it will be made before this runs"
    with pytest.raises(BadRequest, match="no Python environment is there"):
        shipped.install(str(tmp_path / "none"))


def test_a_place_that_cannot_be_written_is_one_clear_line(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied", "/env/lib")

    monkeypatch.setattr(shipped, "_apply", refuse)
    with pytest.raises(ZarrstreamError, match=r"/env/lib cannot be written \(Permission denied\). Become the user who owns"):
        shipped.install(str(environment))
