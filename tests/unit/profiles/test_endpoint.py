# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The shape of S3 endpoints."""

import pytest
from zarrstream.errors import BadRequest
from zarrstream.profiles.endpoint import anonymous_endpoint, origin, s3_endpoint

JS2 = "https://js2.jetstream-cloud.org:8001"


@pytest.mark.parametrize("url", [JS2, f"{JS2}/", "http://127.0.0.1:8080", "https://[::1]:8080"])
def test_endpoint_is_accepted(url):
    assert s3_endpoint(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "path", ["/swift", "/swift/v1", "/swift/v1/", "/swift/v1/AUTH_1a2b", "/v1", "/v1/AUTH_1a2b", "/v1.0/AUTH_1a2b/bucket", "/bucket"]
)
def test_path_is_refused_with_the_right_url(path):
    with pytest.raises(BadRequest) as caught:
        s3_endpoint(JS2 + path)
    assert f"Use '{JS2}'" in str(caught.value)
    assert caught.value.details["suggestion"] == JS2


@pytest.mark.parametrize("url", ["", "js2.jetstream-cloud.org:8001", "ftp://host", "s3://bucket", "https://"])
def test_what_is_no_url_is_refused(url):
    with pytest.raises(BadRequest, match="an endpoint is a URL such as"):
        s3_endpoint(url)


def test_password_is_refused_and_not_repeated():
    with pytest.raises(BadRequest) as caught:
        s3_endpoint("https://me:hunter2@host")
    assert "hunter2" not in str(caught.value) + repr(caught.value.details)


def test_field_is_named():
    with pytest.raises(BadRequest, match=r"^the URL in the catalog is"):
        s3_endpoint("nonsense", "the URL in the catalog")


@pytest.mark.parametrize("url", [JS2, f"{JS2}/swift/v1", f"{JS2}/swift/v1/AUTH_1", "https://swift.example.org/v1/AUTH_1/"])
def test_anonymous_clients_may_go_to_the_swift_url_of_a_project(url):
    assert anonymous_endpoint(url) == url.rstrip("/")


@pytest.mark.parametrize("url", [f"{JS2}/v1", f"{JS2}/v1/AUTH_1/bucket", f"{JS2}/bucket"])
def test_anonymous_clients_may_not_go_elsewhere(url):
    with pytest.raises(BadRequest):
        anonymous_endpoint(url)


def test_origin_is_what_a_swift_url_shares_with_s3():
    assert origin("https://swift.example.org:8080/v1/AUTH_1?x=1") == "https://swift.example.org:8080"
