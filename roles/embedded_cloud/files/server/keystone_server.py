# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keystone in one process: brings its database up to date, bootstraps it, and serves it.

Keystone no longer ships a server of its own. The standard library's threaded WSGI server is enough
for one machine; requests are handled one at a time, because SQLite refuses a second writer.
"""

from __future__ import annotations

import argparse
import io
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import keystone.conf
import keystone.server
from keystone.cmd.bootstrap import Bootstrapper
from keystone.common import fernet_utils
from keystone.common.sql import upgrades
from keystone.server.flask import application
from keystone.server.flask.core import setup_app_middleware
from parent import die_with_parent

CONF = keystone.conf.CONF
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Server(ThreadingMixIn, WSGIServer):
    """A WSGI server with a thread for each connection."""

    daemon_threads = True
    request_queue_size = 128

    def server_bind(self) -> None:
        """Bind without the reverse name look-up of the parent class, which can hang for seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()


class QuietHandler(WSGIRequestHandler):
    """A request handler that neither logs each request nor looks up the client's name."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the parent's name)
        """Keystone has its own log."""

    def address_string(self) -> str:
        """Return the client's address as it is."""
        return str(self.client_address[0])


def one_at_a_time(app: WsgiApp) -> WsgiApp:
    """Serialise the requests of app; bodies are read before the lock, so a slow client stalls nobody."""
    lock = threading.Lock()

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length))
        with lock:
            return [b"".join(app(environ, start_response))]

    return serve


def let_readers_be(database: Path) -> None:
    """Keep a log of writes beside the database, so that nobody who reads holds up a writer.

    Keystone leaves a session open now and then, until Python collects it; its read lock would make writes fail.
    """
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def migrate(release_file: Path) -> None:
    """Create or upgrade the database and the key repositories, once for each Keystone release."""
    release = version("keystone")
    if release_file.exists() and release_file.read_text() == release:
        return
    upgrades.offline_sync_database_to_version(None)
    for name, group in (("fernet_tokens", CONF.fernet_tokens), ("credential", CONF.credential)):
        Path(group.key_repository).mkdir(mode=0o700, exist_ok=True)
        keys = fernet_utils.FernetUtils(group.key_repository, CONF.fernet_tokens.max_active_keys, name)
        if not keys.validate_key_repository(requires_write=True):
            raise SystemExit(f"{group.key_repository} is not writable")
        keys.initialize_key_repository()
    release_file.write_text(release)


def bootstrap(url: str, region: str, password: str) -> None:
    """Load the backends; make the administrator and the identity endpoint what they should be.

    Runs at every start: it costs little, and repairs a lost password or a changed address.
    """
    work = Bootstrapper()
    work.admin_username, work.admin_password = "admin", password
    work.project_name, work.admin_role_name, work.service_name = "admin", "admin", "keystone"
    work.region_id, work.immutable_roles = region, True
    work.public_url = work.internal_url = work.admin_url = url
    work.bootstrap()


def main() -> None:
    """Serve until ended by a signal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, help="keystone.conf")
    parser.add_argument("--state", required=True, type=Path, help="folder of the database and the keys")
    parser.add_argument("--password-file", required=True, type=Path, help="holds the administrator's password")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--region", required=True)
    args = parser.parse_args()
    del sys.argv[1:]  # Keystone reads the command line too
    die_with_parent()

    args.state.mkdir(mode=0o700, exist_ok=True)
    let_readers_be(args.state / "keystone.db")
    keystone.server.configure(config_files=[args.config])
    migrate(args.state / "release")
    bootstrap(f"http://{args.host}:{args.port}/v3", args.region, args.password_file.read_text().strip())
    app = setup_app_middleware(application.application_factory("public"))

    with Server((args.host, args.port), QuietHandler) as server:
        server.set_app(one_at_a_time(app))
        server.serve_forever()


if __name__ == "__main__":
    main()
