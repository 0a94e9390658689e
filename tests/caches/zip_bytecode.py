# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keep the bytecode of what Python imports from zip archives.

Python keeps the bytecode of files, but not of what is in an archive, and Ansible brings each module in one: much of what a short
module costs is that forty of Ansible's own files are compiled again, each of them twice, once to find it and once to load it. A file
here is named by the hash of its source and of Python's version, as in a pyc that is checked by hash. A line in a .pth file loads this
on the hosts, sitecustomize on the controller. Whatever cannot be read or written is compiled as ever.
"""

import _imp
import os
import sys
import zipimport

FOLDER = os.environ.get("ZIP_BYTECODE", "/var/cache/zip-bytecode")
# Python's own machinery, already there: a start is not to cost more than it has to.
_external = sys.modules["_frozen_importlib_external"]
_compile = zipimport._compile_source


def _compile_once(path, source):
    source_hash = _imp.source_hash(_external._RAW_MAGIC_NUMBER, source)
    file = f"{FOLDER}/{source_hash.hex()}"
    try:
        with open(file, "rb") as opened:  # noqa: PTH123 - pathlib would cost an import
            return _external._compile_bytecode(memoryview(opened.read())[16:], path, file, path)
    except (OSError, EOFError, ValueError):
        code = _compile(path, source)
    _keep(file, _external._code_to_hash_pyc(code, source_hash))
    return code


def _keep(file, bytecode):
    from contextlib import suppress

    with suppress(OSError):
        _external._write_atomic(file, bytecode)


zipimport._compile_source = _compile_once
