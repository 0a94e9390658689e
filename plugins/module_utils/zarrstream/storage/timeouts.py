# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long one attempt at a request may take, in seconds, whichever client makes it. All attempts together have the option ``timeout``."""

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0  # without a byte; Swift is slow to delete
PATIENCE = 8.0  # for a first question, so that a dead endpoint is named within 30 s after all attempts
