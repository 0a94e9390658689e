# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Proof that a Zarr store is whole, readable and equal to its source. ``run.check_store`` is the way in."""
