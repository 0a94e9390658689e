# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A module for one store or for several: these share one start of Python and its libraries, and fail one by one."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from .zarrstream.errors import ZarrstreamError
from .zarrstream.source.urls import secrets_of

Spec = dict[str, dict[str, Any]]
Run = Callable[[AnsibleModule, dict[str, Any]], dict[str, Any]]

_STORES = {"stores": {"type": "list", "elements": "dict"}}


def run_module(spec: Spec, run: Run, required_if: list[Any] | None = None) -> None:
    """Run the module that does ``run`` with the options of ``spec``, for one store or for each of its option ``stores``."""
    alone = [("store", "stores")]
    # no_log keeps the arguments out of the system's log, where they would be before it is known what of them is secret.
    module = AnsibleModule(
        argument_spec={**spec, **_STORES}, supports_check_mode=True, required_one_of=alone, mutually_exclusive=alone, no_log=True
    )
    module.no_log_values.update(secret for options in (module.params, *(module.params["stores"] or ())) for secret in secrets_in(options))
    validator = ArgumentSpecValidator({**spec, "store": {"type": "str", "required": True}}, required_if=required_if)
    given = {name: value for name, value in module.params.items() if name in spec and value is not None}
    if module.params["stores"] is None:
        result = _result(module, validator, run, given)
    else:
        result = _together([_result(module, validator, run, {**given, **each}) for each in module.params["stores"]])
    (module.fail_json if result.get("failed") else module.exit_json)(**result)


def secrets_in(options: dict[str, Any]) -> Iterator[str]:
    """What of the sources in these options no result may show."""
    source = options.get("source")
    for text in source if isinstance(source, list) else [source]:
        if isinstance(text, str):
            yield from secrets_of(text)


def _result(module: AnsibleModule, validator: ArgumentSpecValidator, run: Run, options: dict[str, Any]) -> dict[str, Any]:
    """The result for one store; ``failed`` and ``msg`` say that there is none, and why."""
    found = validator.validate(options)
    if found.error_messages:
        return {"failed": True, "msg": "; ".join(found.error_messages)}
    try:
        return run(module, found.validated_parameters)
    except ZarrstreamError as error:
        return {"failed": True, "msg": str(error), **error.details}
    except Exception as error:  # noqa: BLE001 - an error of ours, which is not to hold the other stores up
        return {"failed": True, "msg": f"{type(error).__name__}: {error}", "exception": traceback.format_exc()}


def _together(results: list[dict[str, Any]]) -> dict[str, Any]:
    failed = [result["msg"] for result in results if result.get("failed")]
    together = {
        "changed": any(result.get("changed", False) for result in results),
        "diff": [result.pop("diff") for result in results if "diff" in result],
        "stores": results,
    }
    return (
        {**together, "failed": True, "msg": f"{len(failed)} of {len(results)} stores failed: {'; '.join(failed)}"} if failed else together
    )
