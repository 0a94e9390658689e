# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A moment of a write in words, for the command line and for Ansible's screen."""

from __future__ import annotations

from .progress import Progress

BAR, LEAST = 20, 8  # characters
WIDTH = 79


def words(moment: Progress, *, speed: bool = True, retries: bool = True) -> str:
    """``copying, 12 of 40 objects, 35.2 MiB/s, 0:03 left``; what is not known yet, or not wanted, is left out."""
    parts = [moment.state]
    if moment.objects_total:
        parts.append(f"{moment.objects_done} of {moment.objects_total} objects")
    if speed and moment.mib_per_second:
        parts.append(f"{moment.mib_per_second:.1f} MiB/s")
    if speed and moment.fetched_mib_per_second:
        parts.append(f"source {moment.fetched_mib_per_second:.1f} MiB/s")
    if speed and moment.waits_for:
        parts.append(f"waiting for the {moment.waits_for}")
    if moment.state in ("copying", "removing") and moment.seconds_left is not None:
        parts.append(f"{clock(moment.seconds_left)} left")
    if retries and moment.retries:
        parts.append(f"{moment.retries} requests sent again")
    return ", ".join(parts)


def bar(moment: Progress, width: int = WIDTH) -> str:  # pylint: disable=disallowed-name
    """The same behind a bar, on a line of at most ``width`` characters: a shorter bar first, then fewer words, the time left last."""
    share = min(1.0, moment.objects_done / moment.objects_total) if moment.objects_total else 0.0
    percent = f"] {int(share * 100):3}%  "
    texts = [words(moment, speed=speed, retries=retries) for speed, retries in ((True, True), (True, False), (False, False))]
    room = width - len(percent) - 1
    text = next((text for text in texts if len(text) + LEAST <= room), texts[-1])
    length = max(LEAST, min(BAR, room - len(text)))
    done = int(share * length)
    return f"[{'#' * done}{'.' * (length - done)}{percent}{text}"[:width]


def clock(seconds: float) -> str:
    """``0:03``, ``12:40``, ``2:05:00``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
