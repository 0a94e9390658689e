# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Writing and checking on a Dask cluster: the host plans, proves and publishes, the workers read, encode and send.

``connection`` and the executors are the host's side, ``ship`` brings this package to the workers, the jobs run there.
"""
