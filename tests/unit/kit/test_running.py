"""What is shown of a scenario that failed."""

from __future__ import annotations

import pytest
from running import failed_part

MOLECULE = """\
INFO     [default > converge] Executing
PLAY [Converge] ****
TASK [Refuse it] ****
fatal: [host1]: FAILED! => changed=false
  msg: it was meant to be refused
TASK [The role said why] ****
ok: [host1]
INFO     [default > converge] Executed: Successful
INFO     [default > side_effect] Executing
TASK [Run the notebooks] ****
[ERROR]: Task failed
fatal: [host1]: FAILED! => changed=false
  msg: this is why
PLAY RECAP ****
CRITICAL Ansible return code was 2
INFO     [default > destroy] Executing
TASK [Show the journals of hosts on which something failed] ****
  - '=== host1'
"""


def test_the_task_that_failed_last_comes_first() -> None:
    lines = failed_part(MOLECULE).splitlines()
    assert lines[:2] == ["INFO     [default > side_effect] Executing", "TASK [Run the notebooks] ****"]
    assert lines[-1] == "CRITICAL Ansible return code was 2"


@pytest.mark.parametrize("number", [3, 200])
def test_without_a_task_the_last_lines(number: int) -> None:
    said = [f"line {each}" for each in range(number)]
    assert failed_part("\n".join(said)).splitlines() == said[-80:]
