# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs modules of this collection as Ansible does on a host, without the seconds that Ansible itself takes.

A program: it reads one request a line from standard input ({"module", "args", "env"}), imports the module where no request before
has named it, runs it in a process forked for it, and answers with one line {"stdout", "stderr", "status"}.
"""

import importlib
import json
import os
import sys
import tempfile
import traceback
from pathlib import Path

from ansible.module_utils.testing import patch_module_args

COLLECTION = "ansible_collections.zarrstream.platform.plugins.modules"
# What the modules import when they need it: here once, not in each process.
LIBRARIES = {
    "aws_profile": ("configupdater",),
    "cloud_doctor": ("openstack.connection",),
    "dask_info": ("distributed",),
    "ec2_credential": ("openstack.connection", "boto3", "configupdater"),
    "s3_probe": ("boto3", "s3fs"),
    "zarr_check": ("dask.array", "netCDF4", "numcodecs", "obstore", "xarray", "zarr"),
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "ansible_collections", "zarrstream", "platform")
        place.parent.mkdir(parents=True)
        place.symlink_to(Path(__file__).parents[2])
        sys.path.append(folder)
        for line in sys.stdin:
            request = json.loads(line)
            sys.stdout.write(json.dumps(run(loaded(request["module"]), request)) + "\n")
            sys.stdout.flush()


def loaded(name: str):
    for library in LIBRARIES[name]:
        importlib.import_module(library)
    if "openstack.connection" in LIBRARIES[name]:
        importlib.import_module("keystoneauth1.loading").get_plugin_loader("password")  # looks at every package that is installed
    return importlib.import_module(f"{COLLECTION}.{name}")


def run(module, request: dict) -> dict:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os._exit(execute(module, request))
        _, status = os.waitpid(child, 0)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return {"stdout": texts[0], "stderr": texts[1], "status": os.waitstatus_to_exitcode(status)}


def execute(module, request: dict) -> int:
    os.environ.clear()
    os.environ.update(request["env"])
    try:
        with patch_module_args(request["args"]):
            module.main()
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:  # noqa: BLE001 - the test sees it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 99


if __name__ == "__main__":
    main()
