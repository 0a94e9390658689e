"""What a person finds of the cluster, with her own certificate and her own file; and what somebody finds who has none of ours.

Says as JSON what the workers know of themselves: host and spill threshold; and unless it is to be brief, user, the mean of the store,
whether they may look into the private bucket, and whether they wrote a store.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import dask
from distributed import Client
from distributed.security import Security

CERTIFICATES = Path.home() / ".config" / "dask" / "tls"
HOSTS = 2


def look_briefly():
    """Where this worker is, and with which settings."""
    import socket

    import dask.config

    return {"host": socket.gethostname(), "spill": dask.config.get("distributed.worker.memory.spill")}


def look(dask_worker):
    """Read the store with the profile of the workers' own user. What a worker computes, it counts by the kind of task."""
    import getpass

    import s3fs
    import xarray

    files = s3fs.S3FileSystem(profile="site")
    air = xarray.open_zarr(files.get_mapper("molecule-site/air-temperature.zarr"), chunks=None)
    return {
        "user": getpass.getuser(),
        "mean": round(float(air.air_temperature.mean())),
        "private": isinstance(files.ls("molecule-site-private"), list),
        "wrote": any(name[0] == "execute" and name[2] == "zarrstream-write" for name in dask_worker.digests_total),
    }


def is_refused(address, security):
    """Somebody else comes to that address."""
    try:
        Client(address, security=security, timeout=5, set_as_default=False).close()
    except (OSError, TypeError):
        return True
    return False


def refuses_others(address):
    """Neither who has no certificate is let in, nor who has one that our CA has not signed."""
    with tempfile.TemporaryDirectory() as folder:
        own = [f"{folder}/own.{kind}" for kind in ("pem", "key")]
        new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=ada"]
        subprocess.run([*new, "-out", own[0], "-keyout", own[1]], check=True, capture_output=True)
        foreign = Security(tls_ca_file=str(CERTIFICATES / "ca.pem"), tls_client_cert=own[0], tls_client_key=own[1])
        with dask.config.set({"distributed.comm.require-encryption": False}):  # whoever comes without has not got her file
            return [is_refused(address.replace("tls:", "tcp:"), Security()), is_refused(address, foreign)] == [True, True]


def main(*wanted):
    """Compute on each host, and be somebody else."""
    with Client(timeout=60) as client:
        client.wait_for_workers(HOSTS, timeout=120)
        address, found = client.scheduler.address, client.run(look_briefly)
        if "briefly" not in wanted:
            for worker, more in client.run(look).items():
                found[worker] |= more
            key = dask.config.get("distributed.comm.tls.client.key")
            assert key == str(CERTIFICATES / "key.pem"), key
            assert refuses_others(address), "others were let in"
    json.dump(sorted(found.values(), key=lambda one: one["host"]), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
