# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role zarr_stack: its removal, and a Python that it cannot have. What it installs is looked at on hosts, by Molecule."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PLAY = "- {hosts: zarr_hosts, gather_facts: false, roles: [zarr_stack]}\n"


@pytest.fixture
def stack(run_playbook: Any, tmp_path: Path) -> Any:
    """A function that runs the role for an environment of this test, below its own folder."""

    def run(*arguments: str, play: str = PLAY, env: dict[str, str] | None = None, **variables: str) -> Any:
        wanted = {"zarr_stack_path": str(tmp_path / "stack"), "zarr_stack_python": sys.executable, **variables}
        return run_playbook(play, *arguments, extra_vars=wanted, env=env, check=False)

    return run


def test_only_what_the_role_made_is_removed(stack: Any, tmp_path: Path) -> None:
    """A removal looks at names alone, so that no package needs to be there."""
    path = tmp_path / "stack"
    mine = path / "bin" / "mine"
    for file in (path / "envs" / "1234" / "bin" / "python", path / "envs" / "1234.lock", path / "bin" / "uv", mine):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (path / "current").symlink_to("envs/1234")
    foreseen = stack("--check", zarr_stack_state="absent")
    assert (foreseen.changed, (path / "current" / "bin" / "python").exists()) == (1, True)
    assert stack(zarr_stack_state="absent").changed == 1
    assert [each for each in path.rglob("*") if not each.is_dir() or each.is_symlink()] == [mine]
    mine.unlink()
    assert stack(play=PLAY + PLAY, zarr_stack_state="absent").changed == 1, "the second time nothing is there"
    assert not path.exists()


def test_python_that_is_not_there_is_named(stack: Any, tmp_path: Path) -> None:
    refused = stack(zarr_stack_python="/nowhere/python3")
    assert refused.rc
    assert "zarr_stack_python is '/nowhere/python3' on localhost" in refused.stdout
    assert not (tmp_path / "stack").exists()


def test_python_that_cannot_be_downloaded_is_a_clear_error(stack: Any, tmp_path: Path) -> None:
    nobody = {"UV_PYTHON_INSTALL_MIRROR": "http://127.0.0.1:9", "UV_HTTP_RETRIES": "0", "UV_NO_CONFIG": "1"}
    refused = stack(zarr_stack_python="3.12", env=nobody)
    said = " ".join(refused.stdout.split())
    assert refused.rc
    assert "uv cannot make an environment with it" in said
    assert "http://127.0.0.1:9" in said
    assert "name a mirror in UV_PYTHON_INSTALL_MIRROR" in said
    assert not (tmp_path / "stack" / "current").exists()


# Stands for uv, whose work needs a registry: an environment that runs the tests' own Python, with modes as files in its cache have them.
# That the packages import is proved where they are installed; here it would be most of the cost.
UV = """\
#!/bin/sh
[ "$1" = venv ] || exit 0
for folder; do :; done
mkdir -p "$folder/bin" "$folder/lib/python3.13/site-packages"
printf '#!/bin/sh\\ncase "$*" in *"import boto3"*) exit;; esac\\nexec {python} "$@"\\n' > "$folder/bin/python"
echo > "$folder/lib/python3.13/site-packages/library.py"
chmod {program} "$folder/bin/python"
chmod {library} "$folder/lib/python3.13/site-packages/library.py"
touch "$folder/.lock"
chmod 666 "$folder/.lock"
"""


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Where the controller makes temporary files; a short path, since Ansible's own socket lies there too."""
    with tempfile.TemporaryDirectory(prefix="two-") as folder:
        yield Path(folder)


@pytest.fixture
def two(run_playbook: Any, tmp_path: Path, temporary: Path) -> Any:
    """A function that runs the role for two hosts, both this machine: one builds, the other gets what it has built."""
    uv, lock = tmp_path / "uv", tmp_path / "my.lock"
    lock.write_text(f"# {tmp_path}\n")
    one_after_the_other = "--forks=1"  # since they write to the same place
    local = {"ansible_connection": "local", "ansible_python_interpreter": run_playbook.python}
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps({"zarr_hosts": {"hosts": {"one": local, "two": local}}, "ungrouped": {"hosts": {"localhost": local}}}))
    variables = {"zarr_stack_path": tmp_path / "stack", "zarr_stack_python": sys.executable, "zarr_stack_lock": lock, "zarr_stack_uv": uv}

    def run(*arguments: str, umask: int, play: str = PLAY, **more: str) -> Any:
        modes = {"program": f"{0o777 & ~umask:o}", "library": f"{0o666 & ~umask:o}"}
        uv.write_text(UV.format(python=sys.executable, **modes))
        uv.chmod(0o755)
        before = os.umask(umask)
        try:
            env = {"TMPDIR": str(temporary), **more}
            return run_playbook(play, one_after_the_other, *arguments, inventory=inventory, extra_vars=variables, env=env, check=False)
        finally:
            os.umask(before)

    return run


def assert_settled(path: Path) -> None:
    """All users can read it and run its programs, its owner alone can write."""
    for entry in (path, *path.rglob("*")):
        mode = stat.S_IMODE(entry.lstat().st_mode)
        runs = entry.is_dir() or entry.parent.name == "bin"
        assert entry.is_symlink() or (mode, entry.lstat().st_uid) == (0o755 if runs else 0o644, os.geteuid()), (entry, oct(mode))


def handed_over(temporary: Path) -> list[Path]:
    """What was packed on the host and on the controller, and is still there."""
    return [*Path("/var/tmp").glob("zarr_stack-*"), *temporary.glob("zarr_stack-*")]


@pytest.mark.parametrize("umask", [0o000, *(pytest.param(umask, marks=pytest.mark.thorough) for umask in (0o027, 0o077))])
def test_any_umask_gives_an_environment_for_all_users_that_its_owner_alone_writes(
    two: Any, tmp_path: Path, temporary: Path, umask: int
) -> None:
    """It goes from host to host in a folder of the run's own: what somebody has put at a name that could be guessed stays as it is."""
    digest = hashlib.sha256((tmp_path / "my.lock").read_text().rstrip().encode()).hexdigest()[:16]
    precious, planted = tmp_path / "precious", Path(f"/var/tmp/zarrstream-{digest}.tar.gz")
    precious.write_bytes(b"precious")
    planted.symlink_to(precious)
    path, others = tmp_path / "stack", handed_over(temporary)
    foreseen = two("--check", umask=umask)
    assert (foreseen.rc, min(foreseen.stats[host]["changed"] for host in ("one", "two")) > 0, path.exists()) == (0, True, False)
    try:
        first = two(umask=umask)
    finally:
        planted.unlink(missing_ok=True)
    assert first.rc == 0, first.output
    assert (path / "envs" / digest).is_dir()
    assert "Take the environment from the host that built it" in first.stdout
    assert precious.read_bytes() == b"precious"
    assert handed_over(temporary) == others
    assert_settled(path)

    complete = path / "envs" / digest / f".complete-{digest}"
    made = complete.stat().st_mtime_ns
    foresee = PLAY.replace("{", "{check_mode: true, ")
    (path / "envs").chmod(0o777)
    (path / "current" / "bin" / "python").chmod(0o640)
    mended = two(umask=umask, play=foresee + PLAY + PLAY)
    assert mended.rc == 0, mended.output
    # In check mode each of the two foresees what then the first does.
    assert (mended.stats["one"]["changed"], mended.stats["two"]["changed"]) == (2, 1), mended.output
    assert_settled(path)

    (path / "current").unlink()
    linked = two(umask=umask)
    assert linked.rc == 0, linked.output
    assert (path / "current").readlink() == Path("envs", digest)
    assert complete.stat().st_mtime_ns == made, "nothing was installed anew"
    assert_settled(path)


@pytest.mark.thorough
def test_what_is_handed_over_goes_also_when_the_run_fails(two: Any, tmp_path: Path, temporary: Path) -> None:
    others = handed_over(temporary)
    tar = tmp_path / "bin" / "tar"
    tar.parent.mkdir()
    tar.write_text("#!/bin/sh\n")  # says that all is well, and packs nothing
    tar.chmod(0o755)
    failed = two(umask=0o022, PATH=f"{tar.parent}:{os.environ['PATH']}")
    assert failed.rc, failed.output
    assert "Make a folder for it on the controller" in failed.stdout
    assert handed_over(temporary) == others
    assert [failed.stats[host]["failed"] for host in ("one", "two")] == [1, 0], "the other builds its own"
