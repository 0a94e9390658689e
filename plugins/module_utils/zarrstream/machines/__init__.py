# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The machines of a cluster: what is wanted, what a project holds, and what follows. Only `find` and `facts` talk to a cloud."""
