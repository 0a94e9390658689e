"""Look whether what others have is left on a host of the site, and nothing of the kit's."""

import subprocess
from pathlib import Path

OTHERS = {Path("/home/debian/.aws/config"), Path("/opt/zarrstream/notes.ini")}
CONTENT = "# my own\n[profile other]\nregion = eu-north-1\n"
PLACES = """
    /home/debian/.aws /home/debian/.config/dask /srv/people/ada/.config/dask /opt /etc/dask /etc/zarrstream-notebook /var/lib/dask
    /usr/local/share/zarrstream-notebook /var/lib/jupyter/.aws /var/lib/jupyter/.config/dask
"""


def main() -> None:
    """What people wrote in notebooks stays."""
    units = list(Path("/etc/systemd/system").glob("*dask*")) + list(Path("/etc/systemd/system").glob("zarrstream*"))
    found = {path for place in PLACES.split() for path in Path(place).rglob("*") if path.is_file()}
    assert found | set(units) == OTHERS, found | set(units)
    for path in OTHERS:
        assert path.read_text().strip() == CONTENT.strip(), path
    assert subprocess.run(["getent", "passwd", "dask"], check=False, capture_output=True).returncode
    people = Path("/var/lib/jupyter/notebooks")
    assert not people.parent.exists() or people.owner() == "jupyter"


if __name__ == "__main__":
    main()
