# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading profiles: everything that AWS tools read, and none of their fall-backs."""

import pytest
from zarrstream.errors import BadRequest, ProfileError
from zarrstream.profiles.profile import config_path, credentials_path, read_profile
from zarrstream.profiles.profile_ca import settled_ca

KEYS = "aws_access_key_id = AK12\naws_secret_access_key = s%#;=/+\n"
WHOLE = f"{KEYS}endpoint_url = https://h:1\nregion = lab\nca_bundle = /ca.pem\n"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    return tmp_path


def write(home, text, name="config"):
    (home / ".aws" / name).write_text(text)


def test_whole_profile(home):
    write(home, f"[profile x]\n{WHOLE}")
    found = read_profile("x")
    assert (found.access_key, found.secret_key) == ("AK12", "s%#;=/+")
    assert (found.endpoint_url, found.region, found.ca_bundle) == ("https://h:1", "lab", "/ca.pem")


def test_secret_is_in_no_repr(home):
    write(home, f"[profile x]\n{WHOLE}")
    assert "s%#" not in repr(read_profile("x"))
    assert read_profile("x").label == "profile 'x' (access key …AK12)"


def test_region_of_openstack_is_the_default(home):
    write(home, f"[default]\n{KEYS}endpoint_url = https://h:1\n")
    assert read_profile(None).region == "RegionOne"


def test_name_comes_from_the_option_then_the_environment(home, monkeypatch):
    write(home, f"[default]\n{WHOLE}[profile x]\n{WHOLE}[profile y]\n{WHOLE}")
    assert read_profile(None).name == "default"
    monkeypatch.setenv("AWS_PROFILE", "x")
    assert read_profile(None).name == "x"
    assert read_profile("y").name == "y"


def test_endpoint_of_a_services_section_wins(home):
    write(home, f"[profile x]\n{WHOLE}services = s\n[services s]\ns3 =\n  endpoint_url = https://other:2\n")
    assert read_profile("x").endpoint_url == "https://other:2"
    assert read_profile("x", endpoint_url="https://third:3").endpoint_url == "https://third:3"


def test_keys_of_the_environment_do_not_count_for_a_named_profile(home, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ENV")
    write(home, f"[profile x]\n{WHOLE}")
    assert read_profile("x").access_key == "AK12"


def test_credentials_file_wins_as_it_does_for_aws_tools(home):
    write(home, f"[profile x]\n{WHOLE}")
    write(home, "[x]\naws_access_key_id = OTHER\naws_secret_access_key = t\n", "credentials")
    assert read_profile("x").access_key == "OTHER"


def test_credentials_of_the_home_do_not_mix_with_another_file(home):
    write(home, "[x]\naws_access_key_id = OTHER\naws_secret_access_key = t\n", "credentials")
    other = home / "elsewhere.config"
    other.write_text(f"[profile x]\n{WHOLE}")
    assert read_profile("x", str(other)).access_key == "AK12"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[default]\n", "profile 'x' is not in .*it has: default"),
        ("", "profile 'x' is not in .*it has none"),
        ("[x]\n" + WHOLE, "profile 'x' is not in .*it has none"),
        ("[profile x]\nregion = lab\n", "has no keys: run the role ec2_credentials"),
        ("[profile x]\naws_access_key_id = a\n", "Partial credentials"),
        (f"[profile x]\n{KEYS}", "has no endpoint_url.*would turn to Amazon"),
        ("nonsense\n", "Unable to parse"),
    ],
)
def test_what_is_missing_is_named(home, text, says):
    write(home, text)
    with pytest.raises(ProfileError, match=says):
        read_profile("x")


def test_missing_file_is_named():
    with pytest.raises(ProfileError, match="there is no such file"):
        read_profile("x", "/nowhere/config")


def test_swift_url_in_a_profile_is_refused_with_the_place(home):
    write(home, f"[profile x]\n{KEYS}endpoint_url = https://h:1/swift/v1\n")
    with pytest.raises(BadRequest, match=r"endpoint_url of profile 'x' in .*config is .*Use 'https://h:1'"):
        read_profile("x")


def test_paths(home, monkeypatch):
    assert config_path(None) == home / ".aws" / "config"
    assert config_path("") == home / ".aws" / "config"
    assert credentials_path(None) == home / ".aws" / "credentials"
    assert credentials_path("/a/b") == config_path("/a/b").parent / "credentials"
    monkeypatch.setenv("AWS_CONFIG_FILE", "/env/config")
    assert str(config_path(None)) == "/env/config"
    assert credentials_path(None) == home / ".aws" / "credentials"
    assert str(config_path("~/c")) == f"{home}/c"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/env/credentials")
    assert str(credentials_path("/a/b")) == "/env/credentials"


@pytest.mark.parametrize(
    ("wanted", "held", "expected"),
    [("cloud", "copy", "copy"), ("cloud", "other", "cloud"), ("cloud", "gone", "cloud"), ("cloud", None, "cloud"), (None, "copy", None)],
)
def test_a_copy_of_the_same_ca_stays_where_it_is(tmp_path, wanted, held, expected):
    for name, text in (("cloud", "CA 1"), ("copy", "CA 1"), ("other", "CA 2")):
        (tmp_path / name).write_text(text)
    place = {name: str(tmp_path / name) for name in ("cloud", "copy", "other", "gone")} | {None: None}
    assert settled_ca(place[wanted], place[held]) == place[expected]
