# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What forking.py's server has imported: of a second that a process takes to start, this is nearly all."""

import dask.array
import dask.cli  # noqa: F401
import distributed
import distributed.cli.dask_scheduler
import distributed.cli.dask_worker  # noqa: F401
import netCDF4  # noqa: F401
import numcodecs  # noqa: F401
import obstore  # noqa: F401
import xarray  # noqa: F401
import zarr  # noqa: F401
from zarrstream.commands.write import write_dataset  # noqa: F401
from zarrstream.write import append, replace, session  # noqa: F401
