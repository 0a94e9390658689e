#!/usr/bin/python
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: zarr_check
short_description: Prove that a Zarr store is whole, readable and equal to its source
version_added: "0.1.0"
description:
  - Checks a Zarr store, format 2 or 3, sharded or not, in a bucket or in a folder, without changing it.
  - Readers of Zarr take a missing chunk for fill values and say nothing. This module lists the store once, compares the
    listing with what the metadata announce and what the manifest recorded, decodes a sample of the chunks or all of
    them, and compares them with the source.
  - Each check has an identifier, is made or says why not, and names the objects and values that it objects to.
  - What is wrong with the store is a result. What keeps it from being looked at, such as a wrong secret, a missing
    bucket or a dead endpoint, is an error.
author:
  - Zarrstream authors (@zarrstream)
requirements:
  - botocore
  - distributed (for O(scheduler))
  - obstore
  - xarray
  - zarr >= 3.1
extends_documentation_fragment:
  - zarrstream.platform.s3
  - zarrstream.platform.source
  - zarrstream.platform.transport
  - zarrstream.platform.dask
attributes:
  check_mode:
    support: full
    description: Makes all checks and leaves only the files of O(report) unwritten.
  diff_mode:
    support: none
    description: A store is never changed.
options:
  store:
    description:
      - The store, such as V(s3://bucket/air.zarr) or V(/data/air.zarr).
    type: str
  stores:
    description:
      - Several stores in one run, which starts Python and its libraries once. Each is a dictionary of the other options; those
        beside this one are for all of them that do not say otherwise.
      - One that fails does not hold the others up; the task fails at the end.
      - Exactly one of O(store) and O(stores) is required.
    type: list
    elements: dict
  anonymous:
    description:
      - Make all checks without credentials, as an anonymous client would.
      - Then O(endpoint_url) may also be the Swift URL of a project, V(https://host/v1/AUTH_<project id>), under which stock Swift
        serves public buckets. It cannot be listed there, and the checks that need a listing are skipped.
      - Where O(profile) is set too, its endpoint and its certificate authority are used, but not its keys.
    type: bool
    default: false
  source:
    description:
      - What the store was made from, to compare with, as for M(zarrstream.platform.zarr_write). A path, a glob, a URL, a text file of
        URLs, or a list of them. Files in buckets and on the web are read where they lie, as far as they are compared.
      - HDF5 and NetCDF-4 are read by another library than for a write, where there is one.
      - The values are compared in encoded form and bit for bit, NaN payloads and the sign of zero included. Where the
        store is encoded otherwise on purpose, decoded values are compared within what that encoding may cost, and the
        result says so.
    type: raw
  follow:
    description:
      - Folders on the host that links in O(source) may lead to, as O(zarrstream.platform.zarr_write#module:follow) has them.
    type: list
    elements: path
    default: []
  combine:
    description:
      - How the files of O(source) are joined, as O(zarrstream.platform.zarr_write#module:combine) takes it. Without it, as they were at
        the write, by the manifest of the store.
    type: raw
  prepare:
    description:
      - What is done to each file before, as O(zarrstream.platform.zarr_write#module:prepare) takes it. Without it, as at the write.
    type: list
    elements: dict
  checks:
    description:
      - Identifiers of the checks to make. Without it, all that apply.
      - V(open), the store opens.
      - V(metadata), every document is valid, and dimensions of one name have one length.
      - V(json), every document is strict JSON, without NaN and Infinity, which only Python's readers take.
      - V(consolidated), the consolidated metadata say what the documents of the nodes say.
      - V(complete), every object that the metadata announce is in the listing.
      - V(strays), nothing else is.
      - V(sizes), no object is empty or shorter than its codecs can write.
      - V(inner_chunks), every chunk inside every shard is in the shard's index, and the index is sound. It reads the indexes alone, with a
        request for each shard; of more than 1000 shards only where it is named here or O(sample) is V(all).
      - V(manifest), size and MD5 of every object are those that were recorded at the write. It takes the MD5 from the
        ETags of the listing and reads no object. A folder has no ETags, so there it compares sizes only.
      - V(codecs), every codec is installed here.
      - V(opens), plain xarray opens every group, decoded and not, with the consolidated metadata, and without where these say anything
        else, and reads the first and the last element of each variable. Where times alone do not decode, it is a warning; with O(source),
        where that is so too, none.
      - V(decode), chunks decode.
      - V(fill_value), no value that is data reads as missing.
      - V(order), coordinates of time and place rise or fall at each step, and none is there twice or missing.
      - V(gaps), no step of time is left out, where most steps have one length; months and years may differ by their days. O(gaps) declares
        the step; then one that is left out is an error.
      - V(fresh), the last step with a value is no older than O(fresh) says. Of each variable along a time it reads the chunks at its end
        alone, ten steps or more, and of these only some where they are large, as do the next two.
      - V(nan_share), of none of the newest steps more is missing than O(nan_share) allows.
      - V(range), the values of the newest steps are in O(range), and none is one value where the others vary.
      - V(roundtrip), dtype, shape, dimensions, attributes and times are those of the source.
      - V(values), values are those of the source.
      - V(anonymous), a client without keys reads the store and gets 404 for what is not there. Made when it is named here
        or O(anonymous) is set.
      - V(chunk_size), advice about objects of unfavourable size.
    type: list
    elements: str
    choices:
      - open
      - metadata
      - json
      - consolidated
      - complete
      - strays
      - sizes
      - inner_chunks
      - manifest
      - codecs
      - opens
      - decode
      - fill_value
      - order
      - gaps
      - fresh
      - nan_share
      - range
      - roundtrip
      - values
      - anonymous
      - chunk_size
  fresh:
    description:
      - How old the last step that has a value may be, such as V(2d), V(6h), V(1d 12h) or V(1mo). It counts by the coordinate of time,
        not by the times of files.
      - A dictionary with C(max_age) and C(variables), where only some variables are to be fresh.
    type: raw
  gaps:
    description:
      - The step of time, such as V(1d) or V(1mo), by which each time follows the one before.
      - A dictionary with C(step), without which the usual one counts, and C(accept), a list of dates that are not there and need not be.
        An entry is a date or a part of one, such as V(2020-02), or a list of the two ends of a range, of which V(null) is open.
    type: raw
  nan_share:
    description:
      - The share of missing values that each of the newest steps may have, from V(0) to V(1), or V(history), no share far beyond those of
        the other steps (three distances between their quartiles, and 5 percent, above the upper one).
      - A dictionary of these by variable, C(*) for all that are not named.
    type: raw
  range:
    description:
      - "The least and the largest value of variables, V(null) for none, such as V({sst: [-5, 45], rain: [0, null]}); C(*) is for all that
        are not named. Values are unpacked ones."
      - A step that is nothing but one value, where the others vary, is named too, unless others end with that value, as zeros of rain do.
    type: dict
  sample:
    description:
      - How many objects (chunks, or shards) of each array the checks V(decode) and V(values) read. V(0) reads none,
        V(all) every one. The choice is the same in every run.
    type: str
    default: "4"
  missing:
    description:
      - Whether a chunk may be missing and stand for fill values, as V(write_empty_chunks=False) of zarr-python leaves it.
        With V(error) chunks that a decoded shard leaves out count too.
      - With V(error) no chunk may, as M(zarrstream.platform.zarr_write) stores them all. With V(fill) any may. With
        V(manifest) those may that the manifest does not list.
    type: str
    choices: [error, fill, manifest]
    default: error
  fail_on:
    description:
      - The severity from which on a finding makes the task fail. With V(never) it only shows in the result.
    type: str
    choices: [error, warning, never]
    default: error
  lines:
    description:
      - Write the lines of Python with which people open the store of a bucket, run them in a process of their own, and return those that
        worked, as RV(lines). Where O(anonymous) is set, that process has no credentials.
    type: bool
    default: false
  report:
    description:
      - A folder into which to write the result as JSON, in a file with the name of the store, and beside it a page with pictures,
        a quick look at each variable, the missing and the damaged chunks, the sizes of the objects, and how fast they were read.
      - The page is one file of HTML that loads nothing from anywhere. Its pictures of values are drawn when the checks read objects.
      - The files count as changed when they say anything new, or when the listing of the store differs. If only the times differ,
        they are left as they are.
    type: path
"""

EXAMPLES = r"""
- name: Prove a published store against the file it was made from
  zarrstream.platform.zarr_check:
    store: s3://climate/air.zarr
    profile: zarr
    source: /data/air.nc
    report: /srv/reports

- name: Prove a store against files on the web, read where they lie
  zarrstream.platform.zarr_check:
    store: s3://climate/air.zarr
    profile: zarr
    source: [https://archive.example.org/air-2023.nc, https://archive.example.org/air-2024.nc]

- name: Compare every value
  zarrstream.platform.zarr_check:
    store: s3://climate/air.zarr
    profile: zarr
    source: /data/air/*.nc
    sample: all

- name: Prove several stores in one run
  zarrstream.platform.zarr_check:
    profile: zarr
    stores:
      - {store: s3://climate/air.zarr, source: /data/air/*.nc}
      - {store: s3://climate/sea.zarr, source: /data/sea.nc, sample: all}

- name: Let the workers of a Dask cluster compare every value
  zarrstream.platform.zarr_check:
    store: s3://climate/air.zarr
    profile: zarr
    source: /shared/air/*.nc
    sample: all
    scheduler: tls://10.0.0.5:8786
    scheduler_tls:
      ca_file: /etc/dask/tls/ca.pem
      cert: /etc/dask/tls/node.pem
      key: /etc/dask/tls/node.key

- name: Watch a store every hour without reading an object
  zarrstream.platform.zarr_check:
    store: s3://climate/air.zarr
    profile: zarr
    checks: [open, metadata, consolidated, complete, strays, sizes, manifest]
    fail_on: warning

- name: Watch a data set that grows every day
  zarrstream.platform.zarr_check:
    store: s3://climate/sst.zarr
    profile: zarr
    checks: [open, complete, order, gaps, fresh, nan_share, range]
    fresh: 2d
    gaps: {step: 1d, accept: ['2024-02-29', ['2025-03-01', '2025-03-09']]}
    nan_share: history
    range: {sst: [-5, 45]}
    fail_on: warning

- name: See what an anonymous client sees, on stock Swift
  zarrstream.platform.zarr_check:
    store: s3://climate/air.zarr
    anonymous: true
    endpoint_url: https://object.example.org/v1/AUTH_0123456789abcdef0123456789abcdef
"""

RETURN = r"""
changed:
  description: Whether the files of O(report) were written. Without O(report), always V(false).
  type: bool
  returned: always
stores:
  description: The results of O(stores), in their order, each as it would be alone; RV(ignore:failed) and RV(ignore:msg) say what failed.
  type: list
  elements: dict
  returned: with O(stores)
ok:
  description: Whether no check found what O(fail_on) names. For V(never), errors count.
  type: bool
  returned: when the store could be looked at
store:
  description: The store.
  type: str
  returned: when the store could be looked at
checks:
  description: The results, one for each check.
  type: list
  elements: dict
  returned: when the store could be looked at
  contains:
    id:
      description: The identifier of the check.
      type: str
      sample: complete
    status:
      description: One of V(passed), V(failed), V(warning), V(skipped).
      type: str
      sample: failed
    severity:
      description: How bad a finding is, one of V(error), V(warning), V(info).
      type: str
      sample: error
    message:
      description: What was found, or why the check was skipped.
      type: str
      sample: "1 of 12 objects are missing and would be read as fill values: air/c/3/0/0: missing"
    evidence:
      description: What the result rests on. Some checks add numbers of their own, such as the objects expected or decoded.
      type: dict
      contains:
        count:
          description: The number of findings.
          type: int
          returned: when there are findings
          sample: 1
        findings:
          description: The first 20 findings, each with its key, its index or its values.
          type: list
          elements: raw
          returned: when there are findings
          sample: [{key: air/c/3/0/0, problem: missing}]
summary:
  description: The numbers of checks by status, and one line for people.
  type: dict
  returned: when the store could be looked at
  contains:
    passed:
      description: Checks without a finding.
      type: int
      sample: 13
    failed:
      description: Checks with a finding of severity V(error).
      type: int
      sample: 0
    warning:
      description: Checks with a finding of severity V(warning) or V(info).
      type: int
      sample: 0
    skipped:
      description: Checks that were not made.
      type: int
      sample: 1
    line:
      description: All that in a line, with the first finding.
      type: str
      sample: "s3://climate/air.zarr: 13 passed, 0 failed, 0 warnings, 1 skipped"
lines:
  description: The lines of Python that were run and opened the store. Empty where none did, or without O(lines).
  type: list
  elements: str
  returned: when the store could be looked at
  sample: [import xarray, 'xarray.open_zarr("https://object.example.org/v1/AUTH_p/climate/air.zarr")']
lines_failed:
  description: What the last of the lines said, where none opened the store.
  type: str
  returned: when the store could be looked at
report:
  description: The file with the report. V(null) without O(report).
  type: str
  returned: when the store could be looked at
  sample: /srv/reports/air.zarr.json
page:
  description: The page with pictures beside it. V(null) without O(report).
  type: str
  returned: when the store could be looked at
  sample: /srv/reports/air.zarr.html
workers:
  description: What the workers of O(scheduler) did, one entry for each process. Empty without it, and if no object was to be read.
  type: list
  elements: dict
  returned: when the store could be looked at
  contains:
    worker:
      description: The address of the worker.
      type: str
      sample: tls://10.0.0.6:40123
    host:
      description: The name of its host.
      type: str
      sample: worker-1
    objects:
      description: Objects that it decoded.
      type: int
      sample: 7
    bytes_read:
      description: Bytes of the source that it compared, not compressed.
      type: int
      sample: 7738000
    bytes_stored:
      description: Bytes of the objects.
      type: int
      sample: 2060155
    cpu_seconds:
      description: CPU seconds of its process from the beginning of the check to the last answer.
      type: float
      sample: 1.4
    retries:
      description: Requests that it sent again. RV(retries) has them too.
      type: int
      sample: 0
    fetched:
      description: Its part of RV(fetched).
      type: dict
      sample: {bytes: 262144, requests: 3}
    waited:
      description: Its part of RV(waited).
      type: dict
      sample: {source: 0.5, store: 1.3}
retries:
  description: Requests to object stores that were sent again because the first answer was that of a server in trouble, or none.
  type: int
  returned: when the store could be looked at
  sample: 0
fetched:
  description: What was fetched of files in O(source) that are not on this host, by workers too. All 0 where there are none.
  type: dict
  returned: when the store could be looked at
  contains:
    bytes:
      description: Bytes, as they came.
      type: int
      sample: 1048576
    requests:
      description: Requests, repeated ones included.
      type: int
      sample: 12
waited:
  description: Seconds that requests took, added up, so that several at a time count several times.
  type: dict
  returned: when the store could be looked at
  contains:
    source:
      description: For files in O(source) that are not on this host.
      type: float
      sample: 2.1
    store:
      description: To the server of the store. 0 for a folder.
      type: float
      sample: 5.4
seconds:
  description: How long the checks took.
  type: float
  returned: when the store could be looked at
  sample: 0.8
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.several_stores import run_module
from ..module_utils.zarrstream.check.lines import Lines, lines_that_open
from ..module_utils.zarrstream.check.request import POLICIES, SEVERITIES, request_from
from ..module_utils.zarrstream.check.run import CHECKS
from ..module_utils.zarrstream.commands.check import check_store
from ..module_utils.zarrstream.options import DASK_OPTIONS, S3_OPTIONS, SOURCE_OPTIONS
from ..module_utils.zarrstream.storage.timeouts import TIMEOUT

SPEC: dict[str, dict[str, Any]] = {
    **S3_OPTIONS,
    **DASK_OPTIONS,
    **SOURCE_OPTIONS,
    "store": {"type": "str"},
    "anonymous": {"type": "bool", "default": False},
    "source": {"type": "raw"},
    "follow": {"type": "list", "elements": "path", "default": []},
    "combine": {"type": "raw"},
    "prepare": {"type": "list", "elements": "dict"},
    "checks": {"type": "list", "elements": "str", "choices": list(CHECKS)},
    "fresh": {"type": "raw"},
    "gaps": {"type": "raw"},
    "nan_share": {"type": "raw"},
    "range": {"type": "dict"},
    "sample": {"type": "str", "default": "4"},
    "missing": {"type": "str", "choices": list(POLICIES), "default": "error"},
    "fail_on": {"type": "str", "choices": list(SEVERITIES), "default": "error"},
    "lines": {"type": "bool", "default": False},
    "report": {"type": "path"},
    "timeout": {"type": "float", "default": TIMEOUT},
}


def check(module: AnsibleModule, options: dict[str, Any]) -> dict[str, Any]:
    """The result for one store."""
    request = request_from(options)
    checked = check_store(request, dry_run=module.check_mode)
    shown = lines_that_open(request) if options["lines"] else Lines()
    report = checked.report
    result = {**checked.as_result(), "lines": list(shown.lines), "lines_failed": shown.why_not}
    if report.ok or request.fail_on == "never":
        return result
    return {**result, "failed": True, "msg": report.summary["line"]}


def main() -> None:
    run_module(SPEC, check)


if __name__ == "__main__":
    main()
