# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs modules in processes forked from one that has the libraries imported, without the seconds that Ansible and the imports take.

A program, module_server.py SOCKET. It has two kinds of clients:

- a test reads and writes one line each: {"module", "args", "env"} for a module of this collection, whose file is imported where no
  request before has named it; {"stdout", "stderr", "status"} is the answer;
- Ansible takes the program SOCKET.python for its interpreter of a host, and pipes it a module packed as for any host. That program
  sends its files, folder, umask and environment through the socket. All code of the kit is that of the package.
"""

import gc
import importlib
import json
import os
import re
import selectors
import socket
import stat
import sys
import tempfile
import traceback
from importlib.machinery import PathFinder
from pathlib import Path

from ansible.module_utils import basic  # noqa: F401 - all modules import it
from ansible.module_utils._internal._ansiballz import _loader  # noqa: F401 - every package does
from ansible.module_utils.testing import patch_module_args
from forked import answer, become, flush

COLLECTION = "ansible_collections.zarrstream.platform.plugins.modules"
OPENSTACK = ("openstack.connection",)
WRITING = ("dask.array", "netCDF4", "numcodecs", "obstore", "xarray", "zarr")
# What the modules import when they need it: here once, not in each process.
LIBRARIES = {
    "aws_profile": ("configupdater",),
    "cloud_doctor": OPENSTACK,
    "dask_info": ("distributed",),
    "ec2_credential": (*OPENSTACK, "boto3", "configupdater"),
    "object_container": OPENSTACK,
    "object_store_info": OPENSTACK,
    "openssl_csr_pipe": ("cryptography.x509",),
    "openssl_privatekey": ("cryptography.x509",),
    "s3_probe": ("boto3", "s3fs"),
    "x509_certificate": ("cryptography.x509",),
    "zarr_check": WRITING,
    "zarr_plan": WRITING,
    "zarr_write": WRITING,
}
# A start without the folders and the site of an environment takes a third of the time.
CLIENT = """\
#!{python} -ISE
import sys
import posix
if len(sys.argv) > 1:
    posix.execv({python!r}, [{python!r}, *sys.argv[1:]])
import _socket
server = _socket.socket(_socket.AF_UNIX)
server.connect({address!r})
request = b"\\0".join([posix.getcwdb(), b"%d" % posix.umask(0), *map(b"=".join, posix.environ.items())])
files = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
server.sendmsg([len(request).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
server.sendall(request)
status = server.recv(1)
posix._exit(status[0] if status else 137)
"""


class OfThePackage:
    """Finds what is in the package of the module that runs and not in the Ansible that the server has imported: the kit's files."""

    @staticmethod
    def find_spec(name: str, _path: object, _target: object = None):
        return PathFinder.find_spec(name, ["/".join([sys.path[0], *name.split(".")[:-1]])])


def main() -> None:
    address = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening, selectors.DefaultSelector() as ready:
        place = Path(folder, "ansible_collections", "zarrstream", "platform")
        place.parent.mkdir(parents=True)
        place.symlink_to(Path(__file__).parents[2])
        sys.path.append(folder)
        listening.bind(address)
        listening.listen(64)
        client = Path(f"{address}.python")
        client.write_text(CLIENT.format(python=sys.executable, address=address))
        client.chmod(stat.S_IRWXU)
        ready.register(listening, selectors.EVENT_READ, "module")
        ready.register(sys.stdin, selectors.EVENT_READ, "test")
        sys.stdout.write("ready\n")
        flush()
        while True:
            for key, _ in ready.select():
                if key.data == "module":
                    serve(listening.accept()[0], folder)
                elif line := sys.stdin.readline():
                    load(json.loads(line)["module"])
                    importlib.import_module(f"{COLLECTION}.{json.loads(line)['module']}")
                    answer(line, execute)
                else:
                    return


def load(name: str) -> None:
    """Import what a module will."""
    for library in LIBRARIES.get(name, ()):
        importlib.import_module(library)
    if OPENSTACK[0] in LIBRARIES.get(name, ()):
        importlib.import_module("keystoneauth1.loading").get_plugin_loader("password")  # looks at every package that is installed
    gc.freeze()  # so that a collection in a forked process copies no page


def execute(request: dict) -> int:
    """Run a module of this checkout."""
    try:
        with patch_module_args(request["args"]):
            sys.modules[f"{COLLECTION}.{request['module']}"].main()
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:  # noqa: BLE001 - the test sees it
        traceback.print_exc()
    finally:
        flush()
    return 99


def serve(connection: socket.socket, folder: str) -> None:
    """Run a packed module in a process of its own. Nobody waits for it here: its client does."""
    with connection:
        length, files, _, _ = socket.recv_fds(connection, 4, 3)
        request = connection.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL)
        with open(files[0], "rb", closefd=False) as piped:
            package = piped.read()
        if named := re.search(rb"ansible_module='([^']+)'", package):
            load(named[1].decode().rpartition(".")[2])
        if not os.fork():
            folder_of_client, umask, *environment = os.fsdecode(request).split("\0")
            become(dict(each.split("=", 1) for each in environment), int(umask), *files)
            os.chdir(folder_of_client)
            sys.path.remove(folder)
            connection.send(bytes([unpacked(package)]))
            os._exit(0)
    for file in files:
        os.close(file)
    reap()


def reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def unpacked(package: bytes) -> int:
    for name in [name for name in sys.modules if name.partition(".")[0] == "ansible_collections"]:
        del sys.modules[name]
    sys.meta_path.append(OfThePackage)
    sys.argv = [""]
    try:
        exec(compile(package, "<stdin>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:  # noqa: BLE001 - Ansible shows it
        traceback.print_exc()
        return 1
    finally:
        flush()
    return 0


if __name__ == "__main__":
    main()
