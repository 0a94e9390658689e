"""`make demo` does the main job, and a second time changes nothing."""

from __future__ import annotations

import re
from pathlib import Path

from .conftest import Demo, recap


def test_the_first_run_ends_with_a_summary(demo: Demo) -> None:
    recapped = recap(demo.first)
    assert recapped["failed"] == 0
    assert recapped["changed"] > 0
    for wanted in (
        "air-temperature: written",
        "bucket   zarr-demo, public",
        "store    s3://zarr-demo/air-temperature.zarr",
        "store    s3://zarr-demo/sea-surface-temperature.zarr",
        "unsigned passed: open, decode, anonymous",
    ):
        assert wanted in demo.first, demo.first
    assert re.search(r"checks   passed: open, .*complete, .*manifest, .*values", demo.first), demo.first
    assert re.search(r"objects  \d+, \d[\d.]* [KM]B, [\d.]+ MiB/s", demo.first), demo.first
    assert "Nothing was changed" not in demo.first
    assert demo.first.count("TASK [Refuse a run that could not come to its end]") == 1, "each stage begins with it, and it is done once"


def test_the_second_run_changes_nothing_and_says_so(demo: Demo) -> None:
    assert recap(demo.second)["changed"] == 0
    assert "air-temperature: unchanged" in demo.second
    assert re.search(r"checks   passed: open, .*values", demo.second), demo.second
    assert demo.second.rstrip().endswith("Nothing was changed: everything was already as declared.")


def test_check_mode_after_the_demo_predicts_no_change(demo: Demo) -> None:
    playbook = demo.checkout / "build/venv/bin/ansible-playbook"
    output = demo.run(playbook, "-i", "inventory/embedded", *demo.environment["ARGS"].split(), "--check", "--diff", "playbooks/site.yml")
    assert recap(output)["changed"] == 0
    assert recap(output)["failed"] == 0


def test_the_lines_of_the_summary_open_the_store_without_credentials(demo: Demo, tmp_path: Path) -> None:
    lines = re.search(r"open it  (import xarray)\n\s+(options = .*)\n\s+(xarray\.open_zarr\(.*\))", demo.first)
    assert lines, demo.first
    shown = demo.python(f"{lines[1]}\n{lines[2]}\nprint(float({lines[3]}['air_temperature'].mean()))", home=tmp_path)
    assert 260 < float(shown) < 300, "a mean air temperature over North America, in kelvin"


def test_the_guide_looks_around_as_a_user(demo: Demo) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", (demo.checkout / "docs/getting-started.md").read_text(), re.MULTILINE | re.DOTALL)
    activate = blocks[0].splitlines()[1]
    look = next(block for block in blocks if "OS_CLIENT_CONFIG_FILE" in block)
    said = demo.run("bash", "-euo", "pipefail", "-c", f"{activate}\n{look}")
    assert "air-temperature.zarr/zarr.json" in said, "openstack"
    assert "'zarr-demo/air-temperature.zarr'" in said, "s3fs"


def test_the_users_own_configuration_is_left_alone(demo: Demo) -> None:
    home = Path(demo.environment["HOME"])
    assert not (home / ".aws").exists()
    assert not (home / ".config/openstack").exists()


def test_make_alone_shows_the_targets(demo: Demo) -> None:
    shown = demo.make()
    for target in ("demo", "demo-down", "test", "clean"):
        assert re.search(rf"^{target}\s+\w", shown, re.MULTILINE)
