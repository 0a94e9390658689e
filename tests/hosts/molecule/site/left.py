"""Look whether what others have is left on a host of the site, and nothing of the kit's."""

import subprocess
from pathlib import Path

OTHERS = {Path("/home/debian/.aws/config"), Path("/opt/zarrstream/notes.ini")}
# Dask's extension of JupyterLab writes its defaults for the user, who may have changed them.
THE_USERS = {Path("/var/lib/jupyter/.config/dask/labextension.yaml")}
CONTENT = "# my own\n[profile other]\nregion = eu-north-1\n"
PLACES = """
    /home/debian/.aws /home/debian/.config/dask /srv/people/ada/.config/dask /opt /etc/dask /etc/zarrstream-notebook /var/lib/dask
    /usr/local/share/zarrstream-notebook /var/lib/jupyter/.aws /var/lib/jupyter/.config/dask
"""


def main() -> None:
    """What people wrote in notebooks stays; a file of profiles stays without a profile."""
    units = [
        path for place in ("/etc/systemd/system", "/var/cache") for name in ("*dask*", "zarrstream*") for path in Path(place).glob(name)
    ]
    found = {path for place in PLACES.split() for path in Path(place).rglob("*") if path.is_file() and path.stat().st_size}
    left = (found | set(units)) - THE_USERS
    assert left == OTHERS, left
    for path in OTHERS:
        assert path.read_text().strip() == CONTENT.strip(), path
    assert subprocess.run(["getent", "passwd", "dask"], check=False, capture_output=True).returncode
    people = Path("/var/lib/jupyter/notebooks")
    assert not people.parent.exists() or people.owner() == "jupyter"


if __name__ == "__main__":
    main()
