# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A moment of a write in words, for the command line and for Ansible's screen."""

from __future__ import annotations

from .progress import Progress

BAR = 24  # characters


def words(moment: Progress) -> str:
    """``copying, 12 of 40 objects, 35.2 MiB/s, 0:03 left``; what is not known yet is left out."""
    parts = [moment.state]
    if moment.objects_total:
        parts.append(f"{moment.objects_done} of {moment.objects_total} objects")
    if moment.mib_per_second:
        parts.append(f"{moment.mib_per_second:.1f} MiB/s")
    if moment.state in ("copying", "removing") and moment.seconds_left is not None:
        parts.append(f"{clock(moment.seconds_left)} left")
    if moment.retries:
        parts.append(f"{moment.retries} requests sent again")
    return ", ".join(parts)


def bar(moment: Progress) -> str:  # pylint: disable=disallowed-name
    """The same behind a bar of fixed length."""
    share = min(1.0, moment.objects_done / moment.objects_total) if moment.objects_total else 0.0
    done = int(share * BAR)
    return f"[{'#' * done}{'.' * (BAR - done)}] {int(share * 100):3}%  {words(moment)}"


def clock(seconds: float) -> str:
    """``0:03``, ``12:40``, ``2:05:00``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
