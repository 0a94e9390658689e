# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The cloud's programs, their configuration, and the supervisor that keeps them running."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import urllib.error
import urllib.request
import xmlrpc.client
from pathlib import Path
from typing import Any

import database
import layout
import machine
import network
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from shell import CloudError, report, run, wait

sys.path += [str(layout.HERE / "driver"), str(layout.CHECKOUT / "roles" / "embedded_cloud" / "files" / "server")]
from cgroups import Group
from control import Cloud as Supervisor

API_SECONDS = 180
STOP_SECONDS = 60
ACCOUNTS = ("glance", "neutron", "nova", "placement")
# The Python module of each API.
APIS = {"glance": "glance.wsgi.api", "neutron": "neutron.wsgi.api", "nova": "nova.wsgi.osapi_compute", "placement": "placement.wsgi.api"}
WORKERS = ("nova-conductor", "nova-scheduler", "nova-compute")
TEMPLATES = {
    "supervisord.conf": "supervisord.conf",
    "glance-api.conf": "glance/glance-api.conf",
    "neutron.conf": "neutron/neutron.conf",
    "nova.conf": "nova/nova.conf",
    "placement.conf": "placement/placement.conf",
    "rabbitmq.conf": "rabbitmq.conf",
}
SERVICES = Group("services")


def make_passwords() -> dict[str, str]:
    """A password for each service, and one for the message queue. They are kept in the configuration only."""
    return {name: secrets.token_hex(16) for name in (*ACCOUNTS, "queue")}


def configure(environment: Path, passwords: dict[str, str]) -> None:
    """Write the configuration of everything."""
    engine = Environment(
        loader=FileSystemLoader(layout.HERE / "templates"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    binds = [f"--bind={layout.UV_CACHE}:/var/cache/uv"]
    if bundle := machine.trust():
        binds.append(f"--bind-ro={bundle}:/etc/ssl/certs/ca-certificates.crt")
    values: dict[str, Any] = {
        "layout": layout,
        "passwords": passwords,
        "environment": environment,
        "database": database,
        "network": network,
        "name_servers": machine.name_servers(),
        "apis": APIS,
        "binds": binds,
        "queue_url": f"rabbit://zarrstream:{passwords['queue']}@{layout.QUEUE_ADDRESS}:{layout.QUEUE_PORT}/",
    }
    for template, target in TEMPLATES.items():
        write(layout.ETC / target, engine.get_template(f"{template}.j2").render(values))
    for name, module in APIS.items():
        text = engine.get_template("uwsgi.ini.j2").render(values, port=layout.PORTS[name], module=module)
        write(layout.ETC / f"uwsgi-{name}.ini", text)
    # Nova keeps the node's identity there.
    (layout.STATE / "nova").mkdir()
    # Nova looks for it beside its configuration.
    shutil.copy(environment / "etc" / "nova" / "api-paste.ini", layout.ETC / "nova" / "api-paste.ini")
    for user, number in (("root", 0), ("debian", 1000)):
        cache = layout.UV_CACHE / user
        cache.mkdir(parents=True, exist_ok=True)
        os.chown(cache, number, number)


def write(path: Path, text: str) -> None:
    """Write a file that only its owner reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


def supervisor() -> Supervisor:
    """The client of this cloud's supervisor."""
    return Supervisor(layout.STATE)


def start_supervisor(environment: Path) -> None:
    """Start the supervisor in a control group, by which everything that it starts can be found again."""
    SERVICES.make()
    join = "".join(f"echo $$ > {procs}; " for procs in SERVICES.procs)
    clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "PYTHONWARNINGS": "ignore", "HOME": str(layout.STATE)}
    program = environment / "bin" / "supervisord"
    run("sh", "-ec", f'{join}exec "$@"', "sh", program, "-c", layout.ETC / "supervisord.conf", env=clean, cwd=layout.STATE)
    wait("The supervisor answers", lambda: supervisor().states(), 30)


def start(*names: str) -> None:
    """Start programs, without waiting for them."""
    for name in names:
        supervisor().call("startProcess", name, False)


def stop(*names: str) -> None:
    """Stop programs, and wait until they have ended."""
    for name in names:
        supervisor().call("stopProcess", name, True)


def require_running(*names: str) -> None:
    """Refuse to go on when a program did not stay up; show the end of its log."""
    states = supervisor().states()
    for name in names:
        if states.get(name) not in ("STARTING", "RUNNING", "BACKOFF"):
            raise CloudError(f"{name} does not stay up.\n{supervisor().last_lines(name)}")


def await_answer(name: str) -> None:
    """Wait until an API answers."""

    def answered() -> bool:
        require_running(name)
        return answers(f"http://{layout.ADDRESS}:{layout.PORTS[name]}/")

    wait(f"{name} answers", answered, API_SECONDS)
    report(f"{name} answers")


def answers(url: str) -> bool:
    """Tell whether a server says anything at all: several answer 300 or 401 to who is nobody."""
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=60).close()
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
    return True


def end_all() -> None:
    """End every program of the cloud: in order where the supervisor answers, and by force what is left."""
    client = supervisor()
    try:
        if client.states():
            client.call("stopAllProcesses", True)
            client.call("shutdown")
            wait("The supervisor ends", lambda: client.pid() is None, STOP_SECONDS)
    except (OSError, CloudError, xmlrpc.client.Error) as error:
        report(f"The supervisor does not end by itself ({error}): its programs are killed")
    SERVICES.kill()
