#!/bin/sh
# `make` for a machine that may lack it: installs what is missing (as root) or names it in one line, then runs make.
# `./make --environment` builds the controller's environment; the Makefile calls it.
set -eu
cd "$(dirname "$0")"
unset PYTHONDONTWRITEBYTECODE  # uncompiled, every start of Ansible costs twice as much

say() { printf '==> %s\n' "$*"; }

# A name on PATH is no proof: a version manager's shim may stand for a version that is not active.
usable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for version in 3.13 3.12 3.11; do
        for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/"python$version"; do
            if usable "$candidate"; then echo "$candidate"; return; fi
        done
    done
}

packages() {  # Debian's names of what is missing
    command -v make >/dev/null || echo make
    python=${PYTHON:-$(find_python)}
    if [ -z "$python" ]; then
        echo python3 python3-venv
    elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        "$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'
    fi
}

require_system() {
    missing=$(packages | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "Installing $missing"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    else
        echo "Missing: $missing- run: sudo apt-get install -y $missing" >&2
        exit 1
    fi
    missing=$(packages | tr '\n' ' ')
    [ -z "$missing" ] || { echo "Python 3.11, 3.12 or 3.13 is needed and this system offers none: install one, or name it with PYTHON=…" >&2; exit 1; }
}

# Python compiles what it imports, and keeps it. Many tests at once would each do so.
compile() {
    say "Compiling it once"
    # Of the hundred collections that the package "ansible" brings, these are the ones in use.
    "$1/bin/python" -m compileall -q -j 0 \
        -x 'ansible_collections/(?!ansible/|openstack/|community/crypto/)|/tests?/' "$1/lib" >/dev/null || true
}

environment() {
    environment=${1:-build/venv} lock=${2:-requirements/controller.lock}
    stamp=$environment/.$(sha256sum "$lock" | cut -c1-16)
    [ ! -e "$stamp" ] || return 0
    python=${PYTHON:-$(find_python)}
    say "Building $environment with $("$python" --version): $(grep -c '^[^ #]' "$lock") locked packages"
    # The lock holds uv itself: pip installs that one package, uv the rest.
    [ -x "$environment/bin/uv" ] || {
        "$python" -m venv "$environment"
        mkdir -p build
        sed -n '/^uv==/,/[^\\]$/p' "$lock" > build/uv.lock
        "$environment/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r build/uv.lock
    }
    "$environment/bin/uv" pip sync -q --python "$environment/bin/python" --require-hashes "$lock"
    [ "$lock" = requirements/controller.lock ] || compile "$environment"
    touch "$stamp"
}

case ${1:-} in
    --environment) shift; require_system; environment "$@" ;;
    *) require_system; exec make "$@" ;;
esac
