# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a report shows: a page with drawings of a store, made without any library. Nothing that ``zarr_check`` decides is here."""
