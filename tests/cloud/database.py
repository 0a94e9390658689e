# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""MariaDB with the services' schemas. Making them takes minutes, so the folder of a database with fresh ones is kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from caches import LOCK, digest, forget_others
from layout import CACHE, ETC, LOGS, STATE
from shell import report, run, wait

DATA = STATE / "database"
SOCKET = STATE / "database.sock"
# A database belongs to the service whose name it begins with.
DATABASES = {"glance": "glance", "neutron": "neutron", "nova": "nova", "nova_api": "nova", "nova_cell0": "nova", "placement": "placement"}
# Nova fills these in from its own configuration: no password is kept with the schemas.
CELL0 = "{scheme}://{username}:{password}@{hostname}/nova_cell0?{query}"
CELL1 = "{scheme}://{username}:{password}@{hostname}/{path}?{query}"
QUEUE = "{scheme}://{username}:{password}@{hostname}:{port}/{path}"


def url(database: str, password: str) -> str:
    """The address of a database, as SQLAlchemy wants it: over the socket, since nobody else is to reach it."""
    return f"mysql+pymysql://{DATABASES[database]}:{password}@localhost/{database}?unix_socket={SOCKET}"


def prepare() -> bool:
    """Make the folder of the data, with the schemas where they are kept; tell whether they are in it."""
    kept = _kept()
    if kept.exists():
        run("cp", "--archive", "--sparse=always", kept, DATA)
        return True
    run(
        *("mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={DATA}"),
        *("--auth-root-authentication-method=socket", "--skip-test-db"),
        log=LOGS / "mariadb-install.log",
    )
    return False


def start(start_programs: Callable[..., None], passwords: Mapping[str, str]) -> None:
    """Start MariaDB; make the databases that are missing, and the users with these passwords."""
    start_programs("mariadb")
    wait("MariaDB answers", _answers, 120)
    statements = [f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb3;" for name in DATABASES]
    users = sorted(set(DATABASES.values()))
    statements += [f"CREATE OR REPLACE USER {user}@localhost IDENTIFIED BY '{passwords[user]}';" for user in users]
    statements += [f"GRANT ALL ON {name}.* TO {user}@localhost;" for name, user in DATABASES.items()]
    _client("\n".join(statements))


def make_schemas(environment: Path) -> None:
    """Let each service make its schema, two at a time."""
    report("Making the schemas, once")
    tool = f"{environment}/bin"
    nova = f"{tool}/nova-manage --config-file {ETC}/nova/nova.conf"
    commands = [
        f"{nova} api_db sync && {nova} cell_v2 map_cell0 --database_connection '{CELL0}' && {nova} db sync"
        f" && {nova} cell_v2 create_cell --name cell1 --database_connection '{CELL1}' --transport-url '{QUEUE}'",
        f"{tool}/neutron-db-manage --config-file {ETC}/neutron/neutron.conf upgrade heads",
        f"{tool}/glance-manage --config-file {ETC}/glance/glance-api.conf db_sync",
        f"{tool}/placement-manage --config-file {ETC}/placement/placement.conf db sync",
    ]
    run("xargs", "-0", "-P", "2", "-I", "{}", "sh", "-ec", "{}", stdin="\0".join(commands), log=LOGS / "schemas.log", env={**os.environ})


def keep(stop_programs: Callable[..., None], start_programs: Callable[..., None]) -> None:
    """Keep a copy of the data for the next time, taken while MariaDB does not run."""
    stop_programs("mariadb")
    kept = _kept()
    draft = kept.with_suffix(".part")
    shutil.rmtree(draft, ignore_errors=True)
    run("cp", "--archive", "--sparse=always", DATA, draft)
    draft.rename(kept)
    forget_others(kept, "schemas-*")
    start_programs("mariadb")
    wait("MariaDB answers", _answers, 120)


def _kept() -> Path:
    """Where the data are kept, by all that they depend on."""
    return CACHE / f"schemas-{digest(LOCK.read_text(), run('mariadbd', '--version'), Path(__file__).read_text())}"


def _answers() -> bool:
    return SOCKET.exists() and "1" in _client("SELECT 1", check=False)


def _client(statements: str, check: bool = True) -> str:
    return run("mariadb", "--no-defaults", f"--socket={SOCKET}", stdin=statements, check=check)
