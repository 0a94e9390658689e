# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long a request may take, in seconds: all attempts together, which is the option ``timeout``, and each, whichever client makes it."""

TIMEOUT, LONGEST_TIMEOUT = 60.0, 3600.0  # where the option is not given, and the most that it may be
CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0  # without a byte; Swift is slow to delete
PATIENCE = 8.0  # for a first question, so that a dead endpoint is named within 30 s after all attempts
