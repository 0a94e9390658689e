"""A person who computes while the cluster is changed: short tasks, one after the other, until a file says that it is enough.

Then each result has to be there and right, each task was computed once, and on each host by a worker of before and one of after the change.
The last of these may have come just now: as long as it has computed nothing, it is not enough. Tells systemd when the first results are
there, and keeps all of them until it is stopped.
"""

import os
import signal
import socket
import sys
import time
from collections import Counter
from pathlib import Path

from distributed import Client, get_worker, wait

SECONDS = 600
TOGETHER = 8


def compute(number):
    """Square a number, slowly, and leave a note of who did it."""
    time.sleep(0.3)
    get_worker().log_event("load", (number, socket.gethostname(), os.getpid()))
    return number**2


def processes(notes):
    """Who has computed."""
    return {(host, process) for _, host, process in notes}


def say_that_it_runs():
    """As a service of the type notify does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])


def main():
    """Compute, look whether it is enough, look at all of it, and keep it."""
    enough, ends = Path(sys.argv[1]), time.monotonic() + SECONDS
    notes, futures = [], []
    with Client(name="ada", timeout=30) as client:
        client.wait_for_workers(2, timeout=90)
        client.subscribe_topic("load", lambda event: notes.append(event[1]))
        while time.monotonic() < ends and not (enough.exists() and len(processes(notes)) == 4):
            futures += client.map(compute, range(len(futures), len(futures) + TOGETHER))
            wait(futures[-3 * TOGETHER : -2 * TOGETHER])
            if len(futures) == 3 * TOGETHER:
                say_that_it_runs()
        assert client.gather(futures) == [number**2 for number in range(len(futures))]
        time.sleep(1)  # for the last notes
        look_at_all(futures, notes)
        signal.pause()


def look_at_all(futures, notes):
    """Each task was computed once, on each host by a worker of before and one of after the change."""
    computed = sorted(number for number, *_ in notes)
    assert computed == list(range(len(futures))), f"{len(futures)} tasks, computed {len(computed)} times"
    assert sorted(Counter(host for host, _ in processes(notes)).values()) == [2, 2], processes(notes)
    sys.stdout.write(f"{len(futures)} tasks, each once\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
