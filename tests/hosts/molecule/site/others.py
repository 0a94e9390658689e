"""What others than the kit have in the cloud and on the controller, and what they find there of the site.

`before` leaves a bucket and a profile, `published` looks at the buckets without credentials and keeps a copy of the keys, `kept` looks at
what a teardown has left that keeps data, and `gone` after one that takes them too.
"""

import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import botocore.exceptions
import openstack

PROFILES, COPY = Path.home() / ".aws" / "config", Path.home() / ".aws" / "copy"
OTHERS = "[profile other]\nregion = eu-north-1\n"
CA = Path(os.environ["OS_CLIENT_CONFIG_FILE"]).parent / "tls" / "ca.pem"
PUBLIC, PRIVATE = "molecule-site/air-temperature.zarr/zarr.json", "molecule-site-private"
SECONDS = 30


def store() -> openstack.proxy.Proxy:
    return openstack.connect(cloud="embedded").object_store


def buckets() -> set[str]:
    """As the cloud lists them, whatever a client makes of it."""
    return {found["name"] for found in store().get("/", params={"format": "json"}).json() if found["name"].startswith("molecule-")}


def anonymous(path: str) -> int:
    """Return what the cloud answers to somebody without credentials."""
    try:
        context = ssl.create_default_context(cafile=str(CA))
        return urllib.request.urlopen(f"{store().get_endpoint()}/{path}", context=context, timeout=SECONDS).status
    except urllib.error.HTTPError as error:
        return error.code


def refusal() -> str:
    """With which word the cloud refuses the copy of the keys; Swift keeps a secret for a second."""
    os.environ["AWS_CONFIG_FILE"] = str(COPY)
    client = boto3.Session(profile_name="site").client("s3")
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        try:
            client.list_buckets()
        except botocore.exceptions.ClientError as error:
            return error.response["Error"]["Code"]
        time.sleep(1)
    return ""


def before() -> None:
    store().create_container("molecule-others")
    PROFILES.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    PROFILES.write_text(OTHERS)
    PROFILES.chmod(0o600)


def published() -> None:
    assert [anonymous(PUBLIC), anonymous(PRIVATE)] == [200, 401]
    COPY.write_bytes(PROFILES.read_bytes())
    COPY.chmod(0o600)


def kept() -> None:
    """What holds data stays."""
    assert buckets() >= {"molecule-others", "molecule-site"}, buckets()
    assert "molecule-site-private" not in buckets()
    assert anonymous(PUBLIC) == 200


def gone() -> None:
    """The buckets, the keys and the profile are gone, those of others' are not."""
    assert [name for name in buckets() if name.startswith("molecule-site")] == []
    assert "molecule-others" in buckets()
    code = refusal()
    assert code in ("InvalidAccessKeyId", "SignatureDoesNotMatch"), code
    assert PROFILES.read_text().strip() == OTHERS.strip(), "~/.aws/config on the controller has changed"


if __name__ == "__main__":
    {"before": before, "published": published, "kept": kept, "gone": gone}[sys.argv[1]]()
