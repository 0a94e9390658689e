"""Stop, kill and restart the services of this cluster while it computes, and count how often each task was computed.

Runs as root on the host of a worker with the settings of its service; the other worker is on another host.
"""

import os
import signal
import socket
import subprocess
import sys
import time

from distributed import Client, get_worker, wait

SECONDS = 90
HOST = socket.gethostname()


def compute(number, seconds, topic):
    """Square a number, slowly, and leave a note that it was done."""
    time.sleep(seconds)
    get_worker().log_event(topic, number)
    return number**2


def systemctl(*arguments):
    """Run systemctl, and return what it says."""
    return subprocess.run(["systemctl", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def here(client):
    """Return the address of the worker on this host, or nothing while it is away."""
    return next((address for address, info in client.scheduler_info(n_workers=-1)["workers"].items() if info["name"] == HOST), None)


def come_back(client, was=None):
    """Wait until the worker on this host is there, with another process than before."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if address := here(client):
            process = client.run(os.getpid, workers=[address], on_error="return")[address]
            if isinstance(process, int) and process != was:
                return process
        time.sleep(0.5)
    raise SystemExit(f"no worker has come back within {SECONDS} s")


def stop_while_it_computes(client):
    """What the stopped worker holds, computes and was given is there in the end, and nothing was computed twice."""
    numbers, topic = range(12), f"computed-{time.time()}"
    held = client.map(compute, numbers[:6], seconds=0, topic=topic, workers=[here(client)], allow_other_workers=True)
    wait(held)
    running = client.map(compute, numbers[6:], seconds=2, topic=topic, workers=[here(client)], allow_other_workers=True)
    time.sleep(1)
    systemctl("stop", "dask-worker")
    assert client.gather(held + running) == [number**2 for number in numbers]
    computed = sorted(number for _, number in client.get_events(topic))
    assert computed == list(numbers), computed
    assert here(client) is None
    systemctl("start", "dask-worker")
    assert here(client), "systemd called the service started before the worker had joined"


def kill(client):
    """A process that is killed is replaced by its nanny, a nanny that is killed by systemd."""
    worker = come_back(client)
    os.kill(worker, signal.SIGKILL)
    worker = come_back(client, was=worker)
    os.kill(int(systemctl("show", "dask-worker", "--property=MainPID", "--value")), signal.SIGKILL)
    come_back(client, was=worker)
    assert int(systemctl("show", "dask-worker", "--property=NRestarts", "--value")) >= 1


def main():
    """Play the parts, one after the other."""
    with Client(sys.argv[1], timeout=30) as client:
        client.wait_for_workers(2, timeout=SECONDS)
        stop_while_it_computes(client)
        kill(client)


if __name__ == "__main__":
    main()
