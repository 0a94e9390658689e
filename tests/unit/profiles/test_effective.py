# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What botocore makes of a file that we write: proved by botocore before the file is there, and here by botocore after that."""

import os
import re
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from botocore.configloader import load_config, raw_config_parse
from botocore.exceptions import ConfigParseError
from botocore.session import Session
from hypothesis import example, given, settings
from hypothesis import strategies as st
from running import THOROUGH
from zarrstream.errors import ProfileError, ZarrstreamError
from zarrstream.profiles import effective, profile_edit, profile_file, profile_text
from zarrstream.profiles.profile import config_path, read_profile
from zarrstream.profiles.profile_text import ProfileSettings

SECRET = "hunter2hunter2%#;=/+"
ENDPOINT = "https://object.example.org:8001"
HEADER = "[profile lab]\n"


def wanted(name="lab", **other):
    return ProfileSettings(**{"name": name, "access_key": "AK", "secret_key": SECRET, "endpoint_url": ENDPOINT, **other})


@pytest.fixture(autouse=True)
def config(tmp_path, monkeypatch):
    for name in [*effective.variables(), "AWS_CONFIG_FILE"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    return tmp_path / ".aws" / "config"


def put(config, text, credentials=None, name="lab"):
    """Write the profile into a file with this text, as the modules do, and say how it is then misread."""
    config.write_bytes(text.encode("utf-8", "surrogateescape"))
    if credentials is not None:
        (config.parent / "credentials").write_text(credentials)
    found = profile_file.find(str(config))
    plan = profile_file.plan_present(wanted(name), found)
    misread = profile_file.misread(name, plan.text, found, str(config))
    plan.apply()
    return misread


def nested(config, name="lab"):
    return load_config(str(config))["profiles"][name]


# --- what other tools and Amazon's own settings would make of the profile ------------------------------------------------


@pytest.mark.parametrize("block", ["s3", "s3api"])
def test_endpoint_of_the_plugin_of_the_command_line_follows(config, block):
    plugin = "[plugins]\nendpoint = awscli_plugin_endpoint\n"
    text = f"{HEADER}{block} =\n    max_queue_size = 5\n    endpoint_url = https://old.example.org\n{plugin}"
    assert put(config, text).places == ()
    assert nested(config)[block]["endpoint_url"] == ENDPOINT
    assert nested(config)[block]["max_queue_size"] == "5"
    assert config.read_text().endswith(plugin)
    before = config.read_bytes()
    put(config, before.decode())
    assert config.read_bytes() == before


def test_acceleration_of_amazon_goes(config):
    assert put(config, f"{HEADER}s3 =\n  use_accelerate_endpoint = True\n  max_queue_size = 5\n").places == ()
    assert nested(config)["s3"] == {"max_queue_size": "5", "addressing_style": "path"}


@pytest.mark.parametrize("token", ["aws_session_token", "aws_security_token"])
def test_token_of_an_older_pair_goes(config, token):
    assert put(config, f"{HEADER}{token} = t\n").places == ()
    assert Session(profile="lab").get_credentials().token is None


def test_a_block_that_is_none_is_replaced(config):
    put(config, f"{HEADER}s3 = x\n  addressing_style = path\n")
    assert nested(config)["s3"] == {"addressing_style": "path"}


MISREAD = {
    "ignored": ("ignore_configured_endpoint_urls = true\n", ["ignore_configured_endpoint_urls"], {"endpoint_url": ".*amazonaws.com"}),
    "services": ("services = s\n[services s]\ns3 =\n  endpoint_url = https://x\n", ["services"], {"endpoint_url": "https://x"}),
    "no services": ("services = s\n", ["services"], {"failure": 'the "s" services configuration does not exist'}),
    "sso": ("sso_session = s\n", ["sso_session"], {"failure": 'the "s" sso_session configuration does not exist'}),
    "half of sso": ("sso_account_id = 1\n", ["sso_account_id"], {"failure": "missing required configuration"}),
    "role": ("role_arn = x\nsource_profile = lab\n", ["role_arn"], {"keys": "assume-role"}),
    "two": ("role_arn = x\ncredential_process = /bin/x\n", ["role_arn", "credential_process"], {"keys": "assume-role"}),
    "web": ("web_identity_token_file = /x\nrole_arn = y\n", ["web_identity_token_file", "role_arn"], {"keys": ".*web-identity"}),
    "number": ("max_attempts = many\n", ["max_attempts"], {"failure": "invalid literal"}),
    "no block": ("api_versions = x\n", ["api_versions"], {"failure": "botocore fails .AttributeError."}),
    "style": ("defaults_mode = x\n", ["defaults_mode"], {"failure": "invalid defaults mode"}),
    "default": ("[DEFAULT]\nrole_arn = x\n", ["role_arn of [DEFAULT]"], {"keys": "assume-role"}),
    "nothing": ("max_attempts = 7\noutput = json\nuse_fips_endpoint = true\ncli_pager =\n", [], {}),
}


@pytest.mark.parametrize(("text", "settings_", "read_as"), MISREAD.values(), ids=MISREAD)
def test_what_is_believed_rather_than_the_profile_is_named(config, text, settings_, read_as):
    misread = put(config, HEADER + text)
    assert list(misread.places) == [f"{config}: {setting}" for setting in settings_]
    assert misread.read_as.keys() == read_as.keys() | misread.read_as.keys()
    for setting, says in read_as.items():
        assert re.search(says, misread.read_as[setting])
    assert bool(misread.warning) == bool(settings_)


def test_keys_in_the_credentials_file_are_named_and_not_shown(config):
    misread = put(config, "", "[lab]\naws_access_key_id = B\naws_secret_access_key = hunter3\nregion = q\n")
    assert misread.places == (str(config.parent / "credentials"),)
    expected = {"keys": "shared-credentials-file", "aws_access_key_id": "B", "aws_secret_access_key": "(hidden)", "region": "q"}
    assert misread.read_as == expected
    assert not {"hunter3", SECRET} & set(re.split(r"[\s:,()]+", misread.warning))


def test_no_program_is_started_for_keys(config, tmp_path):
    touched = tmp_path / "touched"
    own = f"credential_process = /usr/bin/touch {touched}\n"
    put(config, f"{HEADER}{own}[profile other]\n{own}")
    put(config, f"{HEADER}role_arn = arn:aws:iam::1:role/x\nsource_profile = other\n[profile other]\n{own}")
    assert not touched.exists()


def test_no_metadata_service_is_asked(config):
    with socket.create_server(("127.0.0.1", 0)) as service:
        url = f"http://127.0.0.1:{service.getsockname()[1]}"
        misread = put(config, f"{HEADER}defaults_mode = auto\nec2_metadata_service_endpoint = {url}\nmetadata_service_timeout = 1\n")
        service.setblocking(False)
        with pytest.raises(BlockingIOError):
            service.accept()
    assert misread.places == ()
    assert "AWS_EC2_METADATA_DISABLED" not in os.environ


@pytest.mark.parametrize("endpoint", ["https://Object.Example.org", "http://h:80", "https://127.0.0.1:8080", "http://[::1]:8080"])
@pytest.mark.parametrize("style", ["path", "virtual", "auto"])
def test_any_endpoint_and_style_is_read_as_it_is_written(config, endpoint, style):
    text = profile_edit.plan(wanted(endpoint_url=endpoint, addressing_style=style, ca_bundle="/ca.pem", region="lab-1"), "")
    config.write_text(text)
    assert profile_file.misread_on_disk("lab", str(config)).places == ()


def test_environment_of_the_module_does_not_count(config, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://wrong.example.org")
    monkeypatch.setenv("AWS_PROFILE", "none")
    assert put(config, HEADER).places == ()
    assert os.environ["AWS_ENDPOINT_URL"] == "https://wrong.example.org"


# --- what botocore cannot read, and the way out --------------------------------------------------------------------------

UNREADABLE = {
    "BOM": (b"\xef\xbb\xbf[default]\nregion = x\n", "byte order mark", ["sed", "-i", r"1s/^\xef\xbb\xbf//"]),
    "Latin-1": (
        "# é\n[default]\n# é\n".encode("latin-1"),
        "line 1 holds bytes that are no UTF-8",
        ["iconv", "-f", "latin1", "-t", "utf-8"],
    ),
    "UTF-16": ("[default]\nregion = x\n".encode("utf-16"), "no UTF-8", ["iconv", "-f", "utf-16", "-t", "utf-8"]),
    "value below": (
        b"[profile a]\ncredential_process =\n  /bin/x\n",
        "the indented lines below 'credential_process' in .profile a. are not all 'name = value'",
        ["sed", "-i", r"/process =/{N;s/\n *//}"],
    ),
    "token of all": (b"[DEFAULT]\naws_session_token = t\n", r"\[DEFAULT\] in capitals is no profile", ["sed", "-i", r"s/DEFAULT/default/"]),
    "carriage returns": (b"[profile lab]\nregion = x\rs3 = y\n", "end in a carriage return without a line feed", ["tr", "\r", "\n"]),
}


@pytest.mark.parametrize(("data", "says", "remedy"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_cannot_be_read_is_refused_with_a_remedy_that_works(config, data, says, remedy):
    config.write_bytes(data)
    with pytest.raises(ProfileError, match=says):
        put(config, data.decode("utf-8", "surrogateescape"))
    assert config.read_bytes() == data
    if remedy[0] == "sed":
        subprocess.run([*remedy, config], check=True)
    else:
        config.write_bytes(subprocess.run(remedy, stdin=config.open("rb"), capture_output=True, check=True).stdout)
    put(config, config.read_bytes().decode())
    assert Session(profile="lab").get_credentials().secret_key == SECRET


@pytest.mark.parametrize("name", ["BOM", "Latin-1", "value below"])
def test_the_fault_is_named_to_who_reads_the_profile_too(config, name):
    config.write_bytes(UNREADABLE[name][0])
    with pytest.raises(ProfileError, match=f"{config}: .*{UNREADABLE[name][1]}"):
        read_profile("default")


def test_an_unreadable_credentials_file_is_named(config):
    with pytest.raises(ProfileError, match="credentials: it is not in INI form: line 1") as caught:
        put(config, "", "hunter3\n")
    assert "hunter3" not in str(caught.value)
    assert not config.read_bytes()


def test_default_in_capitals_is_named_where_the_profile_is_looked_for(config):
    config.write_text("[DEFAULT]\nregion = x\n")
    with pytest.raises(ProfileError, match=r"\[DEFAULT\] in capitals is no profile, write \[default\]"):
        read_profile(None)


def test_a_change_for_another_section_is_refused(config, monkeypatch):
    """As a last line: the text that is planned should never do that."""
    monkeypatch.setattr(profile_edit, "plan", lambda *_: "[profile lab]\nregion = y\n[profile b]\nregion = z\n")
    with pytest.raises(ProfileError, match=r"change of what AWS tools read in \[profile b\]"):
        put(config, "[profile lab]\n[profile b]\nregion = x\n")
    monkeypatch.setattr(profile_edit, "plan", lambda *_: "[profile lab]\nx =\n  y\n")
    with pytest.raises(ProfileError, match="AWS tools cannot read it, or could not after this change"):
        put(config, "[profile lab]\n")


# --- which file ----------------------------------------------------------------------------------------------------------


def test_variables_in_the_name_of_the_file_are_read_as_botocore_does(config, monkeypatch):
    monkeypatch.setenv("AWS_CONFIG_FILE", "$HOME/.aws/config")
    assert config_path(None) == config
    monkeypatch.setenv("AWS_CONFIG_FILE", "${ZARR_NOWHERE}/config")
    with pytest.raises(ProfileError, match=r"AWS_CONFIG_FILE is '\$.ZARR_NOWHERE./config', and \$.ZARR_NOWHERE. is not set"):
        config_path(None)


@pytest.mark.parametrize("variable", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
def test_the_variable_that_names_the_profile_is_named(config, monkeypatch, variable):
    config.write_text("[default]\n")
    monkeypatch.setenv(variable, "x")
    with pytest.raises(ProfileError, match=f"profile 'x', as {variable} says, is not in"):
        read_profile(None)


# --- generated files -----------------------------------------------------------------------------------------------------

HEADERS = [
    "[profile lab]",
    "[profile  'lab']",
    '[profile "lab"]\t; x',
    "[default]",
    "[profile default]",
    "[DEFAULT]",
    "[profile a]",
    "[profile 'b c']",
    "[profile 'x]",
    "[profilex lab]",
    "[services s]",
    "[sso-session s]",
    "[plugins]",
    "[é]",
]
OPTIONS = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "AWS_SESSION_TOKEN",
    "aws_security_token",
    "region",
    "Region",
    "endpoint_url",
    "ca_bundle",
    "services",
    "role_arn",
    "credential_process",
    "sso_session",
    "sso_account_id",
    "ignore_configured_endpoint_urls",
    "use_dualstack_endpoint",
    "max_attempts",
    "request_checksum_calculation",
    "output",
    "s3",
    "s3api",
    "endpoint",
    "é",
]
VALUES = ["", "x", "s", "true", "5", "https://old.example.org", "a = b", "%(x)s %", "# no comment", "ü\u2028\x0b", "'q' \"r\"", "[default]"]
INNER = ["endpoint_url", "addressing_style", "use_accelerate_endpoint", "max_queue_size", "signature_version", "é"]
LINE = st.one_of(
    st.sampled_from(["", "  ", "# c", "; d", "  # e", "\t", "#[profile lab]"]),
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["", "", "", " "]),
        st.sampled_from(OPTIONS),
        st.sampled_from([" = ", "=", ": "]),
        st.sampled_from(VALUES),
    ),
    st.builds(
        "{} =\n    {} = {}\n\t{}={}".format, st.sampled_from(["s3", "s3api", "S3"]), *map(st.sampled_from, [INNER, VALUES, INNER, VALUES])
    ),
    st.builds("  {}".format, st.sampled_from(["more", "a = b", "[profile q]", "x: y"])),
)
SECTION = st.tuples(st.sampled_from(HEADERS), st.lists(LINE, max_size=6)).map(lambda parts: "\n".join([parts[0], *parts[1]]))
ENDS = st.sampled_from(["\n", "\n", "\r\n", "\r", "mixed"])
ENCODINGS = st.sampled_from(["utf-8"] * 6 + ["utf-8-sig", "latin-1", "utf-16"])


def ended(text: str, end: str) -> str:
    """The text with these ends of lines."""
    if end != "mixed":
        return text.replace("\n", end)
    return "".join(line + ("\r\n", "\n", "\r")[number % 3] for number, line in enumerate(text.split("\n")))


FILES = st.builds(
    lambda first, sections, last, end, encoding: ended("\n".join([*first, *sections]) + last, end).encode(encoding, "replace"),
    st.lists(st.sampled_from(["# top", ""]), max_size=2),
    st.lists(SECTION, max_size=5),
    st.sampled_from(["", "\n", "\n\n", "\n# end"]),
    ENDS,
    ENCODINGS,
)
CREDENTIALS = st.sampled_from(
    [None, None, "[lab]\naws_access_key_id = x\naws_secret_access_key = y\n", "[other]\nregion = x\n", "[default]\nrole_arn = x\n"]
)


def readable(path: Path) -> dict | None:
    try:
        return {"sections": raw_config_parse(str(path)), **load_config(str(path))}
    except ConfigParseError:
        return None


def own_span(data: bytes, section: str | None) -> tuple[int, int]:
    """Where the bytes of the section are: from its header to the next one; at the end where there is none."""
    if section is None:
        return len(data), len(data)
    start = [match.start(1) for match in re.finditer(rb"(?:^|[\r\n])(" + re.escape(f"[{section}]".encode()) + rb")", data)][-1]
    following = re.search(rb"[\r\n]\[", data[start:])
    return start, start + following.end() - 1 if following else len(data)


def without(read: dict, section: str | None, name: str) -> dict:
    """What botocore reads of everything but the profile."""
    profiles = {key: value for key, value in read["profiles"].items() if key != name}
    return {"sections": {key: value for key, value in read["sections"].items() if key != section}, "profiles": profiles}


@settings(max_examples=2000 if THOROUGH else 25)
@given(FILES, CREDENTIALS, st.sampled_from(["lab", "lab", "default"]))
@example(b"[profile lab]\ns3 =\n  endpoint_url = https://x\n", None, "lab")
@example(b"[profile lab]\n[profile a]\ncredential_process =\n  /bin/x\n", None, "lab")
def test_any_file_is_refused_or_changed_in_the_profile_alone(data, credentials, name):
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config")
        config.write_bytes(data)
        if credentials:
            Path(folder, "credentials").write_text(credentials)
        before = readable(config)
        text = data.decode("utf-8", "surrogateescape")
        try:
            misread = put(config, text, name=name)
        except ZarrstreamError:
            assert config.read_bytes() == data
            return
        assert before is not None, "a file that botocore cannot read is not reported as good"
        after, written = readable(config), config.read_bytes()
        assert after is not None, "a file that was readable stays so"
        section = profile_text.section_name(name, text)
        mine = profile_text.section_name(name, written.decode())
        assert without(after, mine, name) == without(before, section, name)
        start, end = own_span(data, section)
        assert written.startswith(data[:start])
        assert written.endswith(data[end:])
        assert effective.look(name, config, Path(folder, "credentials")).differing(MEANT) == misread.read_as
        assert bool(misread.places) >= bool(misread.read_as)
        again = profile_file.plan_present(wanted(name), profile_file.find(str(config)))
        assert not again.changed
        try:
            profile_file.plan_absent(name, profile_file.find(str(config))).apply()
        except ZarrstreamError:
            assert config.read_bytes() == written
            return
        assert readable(config) is not None
        assert without(readable(config), None, name)["profiles"] == without(before, None, name)["profiles"]


MEANT = {
    "keys": "config-file",
    "aws_access_key_id": "AK",
    "aws_secret_access_key": SECRET,
    "aws_session_token": "",
    "endpoint_url": ENDPOINT,
    "region": "RegionOne",
    "s3.addressing_style": "path",
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
    "ca_bundle": "",
}
