# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The note of the pairs that were made: what is written is read again, and what is no note is refused with the way out."""

import json
from dataclasses import replace

import pytest
from zarrstream.errors import ProfileError
from zarrstream.openstack import ec2_note
from zarrstream.openstack.ec2_note import Note, Owner, Stage, note_path
from zarrstream.profiles import profile_file

OWNER = Owner("lab", "js2", "https://js2/v3", "user", "project")


@pytest.fixture
def config(tmp_path):
    (tmp_path / ".aws").mkdir()
    return tmp_path / ".aws" / "config"


def test_note_is_read_as_it_was_written(config):
    note = Note(
        (
            ec2_note.new_pair(OWNER, "a" * 32, Stage.WRITTEN),
            ec2_note.new_pair(OWNER, None, Stage.CREATING, replaces="b" * 32, known=("c" * 32,)),
            ec2_note.new_pair(replace(OWNER, profile="other"), "d" * 32, Stage.REPLACED, ours=False),
        )
    )
    ec2_note.read(config).save(note)
    assert ec2_note.read(config).note == note
    assert note_path(config).stat().st_mode & 0o777 == 0o600
    assert note.of(OWNER) == note.pairs[:2]
    assert note.without_nameless(OWNER).pairs == (note.pairs[0], note.pairs[2])
    ec2_note.read(config).save(Note())
    assert not note_path(config).exists()


PAIR = json.loads(ec2_note.dump(Note((ec2_note.new_pair(OWNER, "a" * 32, Stage.WRITTEN),))))["pairs"][0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "\ufffd",
        json.dumps({"format": 2, "pairs": []}),
        json.dumps({"format": 1}),
        json.dumps({"format": 1, "pairs": [{}]}),
        json.dumps({"format": 1, "pairs": [PAIR | {"access_key": "../../../users"}]}),
        json.dumps({"format": 1, "pairs": [PAIR | {"stage": "forgotten"}]}),
        json.dumps({"format": 1, "pairs": [PAIR | {"made": "yesterday"}]}),
        json.dumps({"format": 1, "pairs": [PAIR | {"made": "2026-11-28T07:00:00"}]}),
    ],
)
def test_what_is_no_note_is_refused_with_the_way_out(config, text):
    note_path(config).write_text(text)
    with pytest.raises(ProfileError, match=r"is no note of EC2 credentials .* move it away"):
        ec2_note.read(config)
    assert note_path(config).read_text() == text


def test_note_that_others_may_write_is_refused(config):
    """It says what is revoked."""
    ec2_note.read(config).save(Note((ec2_note.new_pair(OWNER, "a" * 32, Stage.WRITTEN),)))
    note_path(config).chmod(0o620)
    with pytest.raises(ProfileError, match="others may write it: its mode is 0620"):
        ec2_note.read(config)


def test_link_in_the_place_of_the_note_is_refused(config, tmp_path):
    note_path(config).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ProfileError, match="symbolic link"):
        ec2_note.read(config)


def test_all_places_that_hold_a_pair_are_found(config):
    config.write_text("[default]\naws_access_key_id = A\n[profile lab]\naws_access_key_id = A\n[profile x]\naws_access_key_id = B\n")
    (config.parent / "credentials").write_text("[old]\naws_access_key_id = A\naws_secret_access_key = s\n")
    found = profile_file.find(str(config))
    assert profile_file.holders("A", "lab", found, str(config)) == [f"[default] of {config}", f"[old] of {config.parent}/credentials"]
    assert profile_file.holders("B", "x", found, str(config)) == []
