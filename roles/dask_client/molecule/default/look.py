"""What a user has in ~/.config/dask, and that a TLS client can use it; runs as that user, with nothing but Python: look.py SCHEDULER."""

import ssl
import sys
from pathlib import Path

FOLDER = Path.home() / ".config" / "dask"
MODES = {
    "tls": "700",
    "tls/ca.pem": "644",
    "tls/cert.pem": "644",
    "tls/key.pem": "600",
    "tls/tls_errors.py": "644",
    "zarrstream.yaml": "644",
}


def main() -> None:
    """The files are her own, the key is hers alone, and there is nothing else."""
    found = {str(path.relative_to(FOLDER)): path.stat() for path in FOLDER.rglob("*") if "__pycache__" not in path.parts}
    assert {name: f"{about.st_mode & 0o7777:o}" for name, about in found.items()} == MODES, found
    assert {about.st_uid for about in [*found.values(), FOLDER.stat()]} == {Path.home().stat().st_uid}, found
    # What distributed does with them: the key is that of the certificate.
    files = {name: str(FOLDER / "tls" / f"{name}.pem") for name in ("ca", "cert", "key")}
    ssl.create_default_context(cafile=files["ca"]).load_cert_chain(files["cert"], files["key"])
    text = (FOLDER / "zarrstream.yaml").read_text()
    for wanted in (*files.values(), f"scheduler-address: {sys.argv[1]}", "require-encryption: true"):
        assert wanted in text, text


if __name__ == "__main__":
    main()
