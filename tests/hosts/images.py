# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The images of the test hosts: one for each distribution, built once from its own packages, and some with Python environments in them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import ssl
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine import BUILD, Engine, HostsError, report, run

RECIPE = Path(__file__).resolve().parent / "build-image"
REPOSITORY = "localhost/zarrstream-test-host"
DEFAULT_SUITE = "trixie"
SUITES = {"bookworm": "Debian 12", "trixie": "Debian 13", "jammy": "Ubuntu 22.04", "noble": "Ubuntu 24.04"}
# The keys that Ubuntu signs its packages with, which Debian 12 does not have. The mirror is trusted no further than this sum.
UBUNTU_KEYRING = "http://archive.ubuntu.com/ubuntu/pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb"
UBUNTU_KEYRING_SHA256 = "36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8"


ROLES = Path(__file__).resolve().parents[2] / "roles"
CHANGES = ['CMD ["/sbin/init"]', "STOPSIGNAL SIGRTMIN+3", "ENV container=container"]


@dataclass(frozen=True)
class Stack:
    """What an image holds besides its base: environments that the role zarr_stack installs, as {path, lock, owner}."""

    base: str
    environments: list[dict[str, str]]


# As on a real site: of the person who logs in, and of root for the service. To give an environment away later copies all its files.
_ZARR = {"path": "/opt/zarrstream", "lock": "zarr_stack/files/requirements.lock", "owner": "debian"}
_NOTEBOOK = {"path": "/opt/zarrstream-notebook", "lock": "notebook/files/requirements.lock", "owner": "root"}
STACKS = {"trixie-stack": Stack("trixie", [_ZARR]), "trixie-notebook": Stack("trixie", [_ZARR, _NOTEBOOK])}


def stack_image_name(suite: str) -> str:
    """Return the image's name; its tag changes with the base image, the locks and owners, and the role that installs them."""
    environments = STACKS[suite].environments
    files = [RECIPE, *sorted(path for part in ("defaults", "tasks", "vars") for path in (ROLES / "zarr_stack" / part).glob("*.yml"))]
    files += [ROLES / environment["lock"] for environment in environments]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files) + repr(environments).encode()).hexdigest()
    return f"{REPOSITORY}:{suite}-{digest[:12]}"


def commit_image(engine: Engine, container: str, suite: str, image: str) -> None:
    """Make an image of what the disk of a stopped host holds, and remove the image's predecessors."""
    engine("commit", *(option for change in CHANGES for option in ("--change", change)), container, image)
    remove_outdated(engine, suite, image)


def remove_outdated(engine: Engine, suite: str, image: str) -> None:
    """Remove the earlier images of a suite."""
    pattern = re.compile(rf"{re.escape(REPOSITORY)}:{suite}-[0-9a-f]{{12}}")
    if outdated := [name for name in images(engine) if pattern.fullmatch(name) and name != image]:
        engine("image", "rm", *outdated, check=False)


@contextmanager
def locked(suite: str) -> Iterator[None]:
    """Let one process make an image: scenarios side by side want it at the same moment."""
    with (BUILD / f"{suite}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def image_name(suite: str) -> str:
    """Return the image's name; its tag changes with the recipe."""
    return f"{REPOSITORY}:{suite}-{hashlib.sha256(RECIPE.read_bytes()).hexdigest()[:12]}"


def images(engine: Engine) -> list[str]:
    """List all images of test hosts, outdated ones too."""
    return engine("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={REPOSITORY}").stdout.split()


def build_image(engine: Engine, suite: str, image: str) -> None:
    """Make the image, and remove its predecessors."""
    report(f"Building the image of a test host, {SUITES[suite]}; one to three minutes, once")
    archive = BUILD / f"{suite}.tar"
    with tempfile.TemporaryDirectory() as folder:
        keyring = [str(ubuntu_keyring(Path(folder)))] if SUITES[suite].startswith("Ubuntu") else []
        run([str(RECIPE), suite, str(archive), *keyring])
    engine("import", *(option for change in CHANGES for option in ("--change", change)), str(archive), image)
    archive.unlink()
    remove_outdated(engine, suite, image)


def ubuntu_keyring(folder: Path) -> Path:
    """Fetch the keys that Ubuntu signs its packages with, and believe them by their sum."""
    folder.chmod(0o755)  # apt reads them as a user of its own
    package = folder / "ubuntu-keyring.deb"
    try:
        with urllib.request.urlopen(UBUNTU_KEYRING, timeout=60) as answer:
            package.write_bytes(answer.read())
    except OSError as error:
        raise HostsError(f"{UBUNTU_KEYRING} cannot be fetched: {error}. Without it there is no test host with Ubuntu.") from None
    found = hashlib.sha256(package.read_bytes()).hexdigest()
    if found != UBUNTU_KEYRING_SHA256:
        raise HostsError(f"{UBUNTU_KEYRING} has the SHA-256 {found}, not {UBUNTU_KEYRING_SHA256}: nothing is built from it.")
    run(["dpkg-deb", "--extract", str(package), str(folder)])
    return folder / "usr" / "share" / "keyrings" / "ubuntu-archive-keyring.gpg"


def ensure_image(engine: Engine, suite: str) -> str:
    """Build the image of a suite from its packages unless it is there."""
    if suite not in SUITES:
        raise HostsError(f"There is no recipe for a test host with '{suite}'. There are {', '.join(SUITES)}.")
    image = image_name(suite)
    if engine.has("image", image):
        return image
    with locked(suite):
        if not engine.has("image", image):
            build_image(engine, suite, image)
    return image


def certificates(text: str) -> set[str]:
    """Return the PEM blocks of a bundle."""
    end = "-----END CERTIFICATE-----"
    return {block[block.index("-----BEGIN") :] + end for block in text.split(end) if "-----BEGIN" in block}


def trust_options(engine: Engine, image: str) -> list[str]:
    """Mount the machine's certificates where it trusts one that Debian does not, as behind a proxy that intercepts TLS."""
    machine = Path(os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile or "/nonexistent")
    if not machine.exists():
        return []
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    debian = BUILD / f"{image.rpartition(':')[2]}.crt"
    if not debian.exists():
        debian.write_text(engine("run", "--rm", "--network=none", image, "cat", bundle).stdout)
    extra = certificates(machine.read_text()) - certificates(debian.read_text())
    return [f"--volume={machine.resolve()}:{bundle}:ro"] if extra else []
