# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How many requests a run of vms.yml sends to the cloud, for 1, 3 and 10 servers: every HTTP request of the run is counted."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from e2e_cloud.site import Site, listing, say

CLUSTER = "cnt"
SIZES = (1, 3, 10)
SERVICES = {"5000": "Keystone", "8774": "Nova", "9696": "Neutron", "9292": "Glance", "8080": "Swift"}
COUNTING = Path(__file__).parent / "counting"


def counted(site: Site, playbook: str = "vms.yml") -> tuple[int, Counter[str]]:
    """Seconds, and requests by service; looks at consoles and at what is being built by themselves, since they depend on the time."""
    file = site.folder / "requests"
    file.write_text("")
    begin = time.monotonic()
    site.play(playbook, environment={"PYTHONPATH": str(COUNTING), "COUNT_REQUESTS": str(file)})
    seconds = round(time.monotonic() - begin)
    requests: Counter[str] = Counter()
    for line in file.read_text().splitlines():
        method, port, url = line.split(" ", 2)
        waits = method == "POST" and url.endswith("/action")
        requests["consoles" if waits else SERVICES.get(port, port)] += 1
    return seconds, requests


def test_requests_grow_with_the_servers_by_little(tmp_path: Path) -> None:
    before = listing()
    first: dict[int, Counter[str]] = {}
    second: dict[int, Counter[str]] = {}
    say("", f"{'servers':>7} {'run':>8} {'seconds':>7} {'requests':>8}")
    for size in SIZES:
        folder = tmp_path / str(size)
        folder.mkdir()
        site = Site(folder, CLUSTER, 1, b"nothing")
        site.declare(size - 1)
        try:
            for title, counts in (("first", first), ("second", second)):
                seconds, counts[size] = counted(site)
                parts = ", ".join(f"{name} {number}" for name, number in sorted(counts[size].items()))
                say(f"{size:>7} {title:>8} {seconds:>7} {counts[size].total():>8}  {parts}")
        finally:
            seconds, requests = counted(site, "teardown.yml")
            parts = ", ".join(f"{name} {number}" for name, number in sorted(requests.items()))
            say(f"{size:>7} {'teardown':>8} {seconds:>7} {requests.total():>8}  {parts}")
    assert listing() == before
    # A look is a request a kind of thing, however many there are.
    assert second[10].total() <= second[1].total() + 2
    # Making a server is one request; the rest is looks while it is being built, and at its console.
    assert first[10]["Nova"] - first[3]["Nova"] <= 7 * 2 + 10
    assert first[10]["Neutron"] <= first[1]["Neutron"] + 10
