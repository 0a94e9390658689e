#!/usr/bin/python
# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: zarr_write
short_description: Write NetCDF, HDF5 or Zarr as a Zarr store that is published only when it is whole, or remove it
version_added: "0.1.0"
description:
  - Writes a NetCDF file, several of them, or a Zarr store as Zarr of format 3 or 2, to a bucket or a folder.
  - Values are stored in the encoded form of the source, bit for bit, with its packing, fill values, times and attributes,
    unless O(encoding) asks for another.
  - What makes the store open is written last, when every object was found at the server with the size and MD5 that were
    sent. Until then readers find no store; a write that is interrupted is finished by the next run.
  - Size and MD5 of every object, the request and what identifies the source are kept in a manifest beside the store, in
    C(<store>.zarrstream/manifest.json). A second run of the same request finds it, reads no data and changes nothing.
  - With O(state=absent) it removes what that record names, and nothing else.
  - What no record of its own names it never deletes or overwrites. A place with foreign objects, a store in a store, and links
    below a local store are refused before anything is touched.
author:
  - Zarrstream authors (@zarrstream)
requirements:
  - botocore
  - distributed (for O(scheduler))
  - h5py
  - netCDF4
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
    description: Opens the source, checks the whole request against source and destination, and returns the plan.
  diff_mode:
    support: full
    description: Shows the arrays of the store, with their chunks.
options:
  state:
    description:
      - V(present) writes the store.
      - V(absent) removes it by its manifest, and what is left of an interrupted write by its lock and journal. The documents by
        which it opens go first, so that readers find none, then the chunks, up to 1000 a request. A removal that was interrupted
        is finished by the next run. Foreign objects stay, and RV(foreign) names them. A Zarr store without a manifest
        of this module, or with a root document that somebody else has changed, is refused. Needs none of the other options but
        those of access.
    type: str
    choices: [present, absent]
    default: present
  source:
    description:
      - A NetCDF or HDF5 file on the host, in a bucket as V(s3://bucket/name.nc), or on the web as V(https://host/name.nc); a glob of
        files; a list of all these; or one Zarr store, in a folder, as V(s3://bucket/name.zarr), or as V(https://host/name.zarr).
      - Files in buckets and on the web are read where they lie, by ranges of bytes, and not downloaded. In a glob in a bucket V(*),
        V(?) and V([abc]) are within a folder, V(**/) is for any folders. A web server lists nothing. A text file on the host,
        V(NAME.txt), may hold URLs instead, one a line, with V(#) before comments, also such that nobody else may see (presigned ones).
      - What identifies such a file is what its server says of it, size, ETag and Last-Modified, so that a run of a source that has not
        changed costs one request a file. One that changes while it is read is an error, and nothing of it is used. Where a server says
        neither, all of it is read in each run to see whether it has changed, as RV(notes) say.
      - Groups become groups, and their variables are named by path, such as V(model/air), in O(variables) and O(encoding).
        Several files are joined only where they have none.
      - HDF5 without dimension scales gets the dimensions V(phony_dim_0), V(phony_dim_1) and so on. Files with data sets that the
        NetCDF library would leave out (references, opaque bytes, 16-bit floats) are refused.
      - A variable that ends before its unlimited dimension does goes on with its fill value, or that of NetCDF for its type, as do
        chunks that were never written and that HDF5 does not fill.
      - A store on a web server needs consolidated metadata, as nothing can be listed there. Whether it changed is found by
        asking for size, tag and time of each of its objects.
      - Required with O(state=present).
      - Several files become one data set along their coordinates, or as O(combine) says. Files that overlap, contradict each other or
        are packed differently are refused. What interleaves is sorted. Attributes are those of the first
        file; RV(notes) tells where others differ.
      - The files that are named here are read, and no others. HDF5 that keeps values in another file (external storage, a virtual
        data set) or has links to one, links in a Zarr store that lead out of its folder, and links that a glob matches and that
        lead out of the folder where the glob begins are refused, unless O(follow) declares where they lead. FIFOs, devices and
        sockets are not read.
    type: raw
  follow:
    description:
      - Folders on the host that links in O(source) may lead to, such as V(/archive). Whoever makes a file decides where it leads;
        name only folders whose files may be read, and published with the store.
      - What they lead to belongs to the source. A change there makes the next run write, as a change of the source does.
    type: list
    elements: path
    default: []
  store:
    description:
      - Where to write, such as V(s3://bucket/air.zarr) or V(/data/air.zarr). The bucket exists already.
    type: str
  stores:
    description:
      - Several stores in one run, which starts Python and its libraries once. Each is a dictionary of the other options; those
        beside this one are for all of them that do not say otherwise.
      - One that fails does not hold the others up; the task fails at the end.
      - Exactly one of O(store) and O(stores) is required.
    type: list
    elements: dict
  zarr_format:
    description:
      - The version of the Zarr format.
    type: int
    choices: [2, 3]
    default: 3
  combine:
    description:
      - How several files are joined; a dictionary with some of the names below. Without it, along the coordinates in which they differ,
        sorted by them; what overlaps or contradicts is refused.
      - C(dim), the dimension. It may be one without a coordinate, or a new one. Files are then in the order in which they are named, globs
        sorted by name, unless C(value_from) gives it a coordinate.
      - "C(value_from), what tells the coordinate where the files have none. V(coordinate), their own (the default); V({scalar: NAME}), a
        variable of one value, or along that dimension alone; V({attribute: NAME}), a global attribute; V({filename: PATTERN}), a part of
        the name. In a pattern V(*) is any text, V(?) one character, V({}) the value, a text without V(_), and V({%Y%m%d%H}) a date of some
        of V(%Y), V(%j), V(%m), V(%d), V(%H), V(%M), V(%S)."
      - C(overlap), what becomes of steps that several files have. V(refuse) (the default), V(first) or V(last), those of the file that is
        named first or last.
      - C(tolerance), by how much coordinates, bounds included, may differ between files and count as equal, in their units. RV(notes) say
        how much they did. Those of the first file are written.
      - C(static), what becomes of fields without the joined dimension that differ. V(refuse) (the default), or V(first), those of the
        first file.
      - C(differing), names of attributes, also as C(variable:attribute), and of auxiliary variables that may differ. Those of the first
        file are written, or with O(mode=append) stay as the store has them.
      - "A list of such dictionaries for several dimensions, the outermost first, such as members of an ensemble, each in files by time,
        V([{dim: member, value_from: {scalar: realization}}, {dim: time}]). C(tolerance), C(static) and C(differing) hold for all files
        and are said once."
      - Part of what makes a store another one. With O(mode=append), that of the store holds where it is left out, and
        C(differing), C(tolerance) and C(static) may let more differ.
    type: raw
  prepare:
    description:
      - What is done to each file before files are joined, also to a single one and to a Zarr store; a list of steps, in their order, of
        which each is a dictionary of one of the names below. A step passes over what a file does not have; what no file has is refused.
      - "C(rename), new names of variables and dimensions, V({rename: {Time: time, XTIME: time}}). Attributes that refer to them follow."
      - "C(drop), variables to leave out, V({drop: [rh]}). Attributes do not refer to them any more."
      - "C(squeeze), dimensions of length 1 that go, V({squeeze: [member]}). Their coordinates stay as variables without dimensions."
      - "C(transpose), the order of dimensions, V({transpose: [time, lat, lon]}). Others keep their places."
      - "C(select), what is taken, by coordinates of one dimension: a label, or both ends of a range, which belong to it and of which one
        may be null, V({select: {lat: [40, 60], time: ['2020-01', null], expver: 1}}). Labels are numbers as they are decoded, texts, or
        dates, of which a part such as V(2020-01) is all of that month. The dimension stays, with length 1, until it is squeezed. A file
        that has none of it gives nothing."
      - "C(attrs), attributes to set, by variable, V(/) for the data set, V({attrs: {t2m: {units: K, history: null}}}). Null removes one."
      - "C(repack), packing, by variable, V(*) for all that have a C(scale_factor) or an C(add_offset): some of C(dtype), C(scale_factor),
        C(add_offset), C(_FillValue); of times C(units), C(calendar), C(dtype) and C(_FillValue). V({repack: {'*': {dtype: float32}}}).
        Values are decoded and packed as they are read; those that do not fit, and times that have no exact number, are refused. V(months
        since) and V(years since) count months of the calendar."
      - Not for sources with groups, but for C(drop), where variables are named by path.
      - Part of what makes a store another one, and of what O(verify) and M(zarrstream.platform.zarr_check) compare it with. With
        O(mode=append), that of the store holds where it is left out.
    type: list
    elements: dict
    default: []
  variables:
    description:
      - The variables to write, with the coordinates, bounds and grid mappings that they refer to. Without it, all.
    type: list
    elements: str
  exclude:
    description:
      - Variables that are not written; all others are, or those of O(variables). The same as a last C(drop) in O(prepare).
    type: list
    elements: str
    default: []
  chunks:
    description:
      - "Lengths of chunks by dimension, for all variables, such as V({time: 240}), or V(auto)."
      - What is left out is as in O(source), if that is a Zarr store.
      - Other dimensions that are left out, those that are V(auto), and V(auto) for all of them, get whole multiples of the source's chunks,
        grown from the last dimension to the first up to 16 MiB, so that each chunk of the source is read once. The coordinate
        of a dimension always does, as readers load it whole. Chunks are evened out, where need be across those of the source, so
        that together they hold at most a tenth more than the array.
    type: raw
  shards:
    description:
      - >-
        Gather chunks into shards, one object each, such as V({time: 2400}), whole multiples of the chunks. Only format 3 has them.
      - If it is left out, a Zarr store as O(source) keeps its shards, and all else gets none. V(none) is none in any case.
      - Dimensions that are left out or V(auto), and V(auto) for all of them, get whole multiples of the chunks up to 64 MiB
        before compression, and up to 96 MiB where that holds whole chunks of the source. Arrays of one chunk, or with
        chunks of 16 MiB, then stay without.
      - Without it, each chunk is an object.
    type: raw
  memory:
    description:
      - How much memory the data may take while they are written, such as V(512MiB) or V(4GiB), beside the 250 MiB or so that
        Python and its libraries take. It makes no difference to the store.
      - Without it, half of what the machine or its control group has free.
      - With O(scheduler), what the data may take on each worker, by its memory limit if it is left out.
      - Where a single chunk or shard takes more, the request is refused, and the message names one that fits.
    type: str
  encoding:
    description:
      - How to store a variable, by its name, or all of them, by V(*). Each is a dictionary with some of C(compressor), C(filters),
        C(dtype), C(scale_factor), C(add_offset), C(_FillValue), C(chunks), C(shards). What a variable has of its own goes before
        what all have, key by key.
      - What all have reaches those that can take it. C(compressor) is for every variable; C(filters) are for data on which they work,
        not for text, nor for coordinates and other variables that one refers to; the packing (the four keys below) for those of
        them that readers get as floats, and not for times; C(chunks) and C(shards) not for the coordinates of dimensions.
      - C(chunks) and C(shards) are as the options of these names, for one variable also a list by axis, and go before them.
      - A Zarr store as O(source) keeps codecs with their parameters, filters and fill values, also from one format to the other, as
        far as the request names no others. With a new packing filters are left out. A codec that is not among those below is
        replaced by V(zstd), as RV(notes) say. Filters that would change values once more are refused, with their values.
      - C(compressor) is one of V(zstd), V(blosc), V(gzip), V(zlib), V(lz4), V(bz2), V(lzma), V(none), or a dictionary
        with C(name) and the parameters of the codec. Without it, V(zstd) at level 3 with a checksum.
      - C(filters) is a list of V(delta), V(shuffle), V(bitround), V(quantize), V(fixedscaleoffset), V(packbits),
        V(astype), or dictionaries of the same form.
      - With any of the other four the values are decoded and packed anew by the CF conventions. Values that do not fit
        are refused.
      - In format 3 the filters, V(zlib), V(lz4), V(bz2) and V(lzma) are extensions of zarr-python, which reads them from 3.1.3 on.
      - In format 3 codecs without a checksum of their own are followed by CRC32C, so that readers notice damage. Format 2 has no
        place for one, so that there V(blosc), V(lz4) and V(none) stay without.
    type: dict
    default: {}
  consolidated:
    description:
      - Write consolidated metadata, with which a store opens in one request and without listings.
    type: bool
    default: true
  portable:
    description:
      - Write a store that zarr-python, tensorstore and zarrita all read. Numbers of 8 to 64 bits with V(zstd), V(blosc), V(gzip), V(none),
        and V(zlib) in format 2, are; text, complex numbers, floats of 16 bits, filters and other codecs are refused, naming the variable.
        In format 2 V(zstd) then goes without its checksum.
    type: bool
    default: false
  mode:
    description:
      - V(create) writes to a place where nothing is, and refuses one with other contents.
      - V(replace) writes where a store of Zarrstream is, which stays readable until the new one is proved. For a moment
        readers then find no store. Until the old chunks are removed both need room. What Zarrstream did not write is refused.
      - V(append) writes what O(source) has beyond the end of the store along O(append_dim). Readers find the old store until
        all arrays grow in one moment. Files that were written before are not read again, and steps that are there already
        are compared and left out. Options that are left out are as the store was written.
      - V(update) makes the store what the files of O(source) say now. New files come to its end along O(append_dim), and revised ones,
        which have the name of one before and other contents, are written over their steps. Only the chunks that these touch are
        written, and only these files are read; the record beside the store says which file gave which steps. Readers find each chunk
        old or new, and new steps of all arrays at one moment. Files that are gone stay in the store, and RV(files) says so.
      - Where steps come before or between those that are there, or are gone from a revised file, and where a changed step lies in a
        shard, the store is written anew from all its files as V(replace) does it; RV(action) of check mode says so.
      - Where nothing is, all of them create the store.
    type: str
    choices: [create, replace, append, update]
    default: create
  append_dim:
    description:
      - The dimension that grows with O(mode=append) and O(mode=update). It needs a coordinate of numbers or times, and the store
        consolidated metadata.
    type: str
  max_revised:
    description:
      - The share of the steps of a store, from 0 to 1, that O(mode=update) may change or take away. More is refused, as is an update
        by which the store would get shorter, unless this is V(1).
    type: float
    default: 0.1
  verify:
    description:
      - How the store is proved before it is published.
      - V(none) trusts the server's acknowledgements.
      - V(manifest) compares a listing with sizes and MD5s of what was sent. Folders are compared by size.
      - V(sample) also reads, decodes and compares up to 16 chunks of each array with the source, bit for bit.
      - V(full) does that with every chunk.
      - HDF5 and NetCDF-4 are then read by another library than for the write, so that a fault of one library does not prove
        itself. Classic NetCDF and Zarr have one reader, which reads once more.
    type: str
    choices: [none, manifest, sample, full]
    default: manifest
  progress_path:
    description:
      - A file that tells about once a second how far the write is, as JSON, with C(store), C(state), C(objects_done),
        C(objects_total), C(bytes_stored), C(mib_per_second), C(seconds_left), C(retries), and of a source that is not on the host
        C(bytes_fetched), C(fetched_mib_per_second); C(waits_for) is V(source) or V(store) where that is what takes the time, else empty.
    type: path
"""

EXAMPLES = r"""
- name: Write a year of files as one store
  zarrstream.platform.zarr_write:
    source: /data/air/*.nc
    store: s3://climate/air.zarr
    profile: zarr
    chunks: {time: 240}

- name: Write one variable, packed, and prove every value
  zarrstream.platform.zarr_write:
    source: /data/air.nc
    store: s3://climate/t2m.zarr
    profile: zarr
    variables: [t2m]
    encoding:
      t2m:
        dtype: int16
        scale_factor: 0.01
        add_offset: 273.15
        _FillValue: -32768
        compressor: {name: zstd, level: 9}
    verify: full

- name: Store all data as small floats with one codec, one variable in other chunks
  zarrstream.platform.zarr_write:
    source: /data/air/*.nc
    store: s3://climate/air-small.zarr
    profile: zarr
    encoding:
      "*": {dtype: float32, compressor: {name: blosc, cname: zstd, shuffle: bitshuffle}}
      t2m: {chunks: {time: 24}}

- name: Write small chunks in large objects, on a machine with little memory
  zarrstream.platform.zarr_write:
    source: /data/air/*.nc
    store: s3://climate/air-series.zarr
    profile: zarr
    chunks: {time: auto, lat: 20, lon: 20}
    shards: auto
    memory: 2GiB

- name: Add the files that have come since the last run
  zarrstream.platform.zarr_write:
    source: /data/air/*.nc
    store: s3://climate/air.zarr
    profile: zarr
    mode: append
    append_dim: time

- name: Keep a store what its files are, of which some are revised
  zarrstream.platform.zarr_write:
    source: /data/air/*.nc
    store: s3://climate/air.zarr
    profile: zarr
    mode: update
    append_dim: time

- name: Write a store anew, which others read meanwhile
  zarrstream.platform.zarr_write:
    source: /data/analysis.nc
    store: s3://climate/analysis.zarr
    profile: zarr
    mode: replace
    verify: full

- name: Write several data sets in one run
  zarrstream.platform.zarr_write:
    profile: zarr
    stores:
      - {store: s3://climate/air.zarr, source: /data/air/*.nc, chunks: {time: 240}}
      - {store: s3://climate/sea.zarr, source: /data/sea.nc}

- name: Join the files of WRF, which have no coordinate of time, by their XTIME
  zarrstream.platform.zarr_write:
    source: /data/wrf/wrfout_d01_*
    store: s3://climate/wrf.zarr
    profile: zarr
    combine:
      dim: Time
      value_from: {scalar: XTIME}

- name: Join the members of an ensemble, which only the names of the files tell, and of each its years
  zarrstream.platform.zarr_write:
    source: /data/ensemble/tas_*_r*i1p1f1_*.nc
    store: s3://climate/tas.zarr
    profile: zarr
    combine:
      - dim: member
        value_from: {filename: "tas_*_r{}i1p1f1_*.nc"}
      - dim: time
        overlap: last

- name: Write files of ERA5, each of which is packed in its own way, of Europe alone
  zarrstream.platform.zarr_write:
    source: /data/era5/*.nc
    store: s3://climate/era5-europe.zarr
    profile: zarr
    prepare:
      - select: {latitude: [35, 72], longitude: [-12, 42]}
      - repack: {"*": {dtype: float32}}
      - attrs: {/: {title: ERA5 over Europe}}

- name: Write files of a web archive that wants a login, which are read where they lie
  zarrstream.platform.zarr_write:
    source: /data/urls.txt
    store: s3://climate/archive.zarr
    profile: zarr
    source_token_file: ~/.config/archive.token

- name: Write a public bucket of another cloud
  zarrstream.platform.zarr_write:
    source: s3://noaa-archive/sst/2024/**/*.nc
    store: s3://climate/sst.zarr
    profile: zarr
    source_endpoint_url: https://s3.example.org
    source_anonymous: true

- name: Let the workers of a Dask cluster write
  zarrstream.platform.zarr_write:
    source: /shared/air/*.nc
    store: s3://climate/air.zarr
    profile: zarr
    scheduler: tls://10.0.0.5:8786
    scheduler_tls:
      ca_file: /etc/dask/tls/ca.pem
      cert: /etc/dask/tls/node.pem
      key: /etc/dask/tls/node.key

- name: Remove a store, and nothing that others put there
  zarrstream.platform.zarr_write:
    store: s3://climate/old.zarr
    state: absent
    profile: zarr

- name: Turn a store of format 2 into one of format 3, on this host
  zarrstream.platform.zarr_write:
    source: /data/old.zarr
    store: /data/new.zarr
    zarr_format: 3
"""

RETURN = r"""
stores:
  description: The results of O(stores), in their order, each as it would be alone; RV(ignore:failed) and RV(ignore:msg) say what failed.
  type: list
  elements: dict
  returned: with O(stores)
action:
  description:
    - What was done, or would be in check mode. One of V(create), V(replace), V(append), V(update), V(nothing), or V(continue) for a
      store that was not yet there when its write was interrupted; V(remove) or V(nothing) with O(state=absent).
  type: str
  returned: success
  sample: create
resumed:
  description: Whether a write was interrupted here before. What it has sent and is there as it was sent is kept.
  type: bool
  returned: success
  sample: false
store:
  description: The store.
  type: str
  returned: success
  sample: s3://climate/air.zarr
fingerprint:
  description: What identifies the contents of the source together with the request, a hexadecimal digest.
  type: str
  returned: success, with O(state=present)
manifest:
  description: Where the manifest is.
  type: str
  returned: success, with O(state=present)
  sample: s3://climate/air.zarr.zarrstream/manifest.json
plan:
  description: What the store consists of.
  type: dict
  returned: success, with O(state=present)
  contains:
    arrays:
      description:
        - The arrays, each with C(name), C(dims), C(shape), C(dtype), C(chunks), C(shards) or null, C(objects) and C(bytes) before
          compression.
      type: list
      elements: dict
    chunks:
      description: Chunks of all arrays.
      type: int
      sample: 13
    shards:
      description: Shards of all arrays; 0 if there are none.
      type: int
      sample: 0
    objects:
      description: All objects, chunks or shards, and metadata.
      type: int
      sample: 18
    bytes:
      description: Bytes of all arrays before compression.
      type: int
      sample: 15476000
objects:
  description: The objects of the store.
  type: int
  returned: success, with O(state=present)
  sample: 18
objects_removed:
  description: Objects of the store that were removed, or in check mode would be.
  type: int
  returned: success, with O(state=absent)
  sample: 18
bytes_removed:
  description: Their bytes.
  type: int
  returned: success, with O(state=absent)
  sample: 4120311
removed_keys:
  description: The keys of the first thousand of them.
  type: list
  elements: str
  returned: success, with O(state=absent)
  sample: [air.zarr/zarr.json, air.zarr/air/zarr.json, air.zarr/air/c/0/0/0]
foreign:
  description: The keys of the first thousand objects below the store that stay, because no record of this module names them.
  type: list
  elements: str
  returned: success, with O(state=absent)
  sample: []
foreign_count:
  description: How many such objects there are.
  type: int
  returned: success, with O(state=absent)
  sample: 0
objects_written:
  description: Objects that this run sent, or in check mode would send.
  type: int
  returned: success, with O(state=present)
  sample: 18
objects_kept:
  description: Objects of the store that were there already, as they have to be.
  type: int
  returned: success, with O(state=present)
  sample: 0
bytes_read:
  description: Bytes that were read from the source, not compressed. 0 if nothing was written.
  type: int
  returned: success, with O(state=present)
  sample: 15476000
bytes_stored:
  description: Bytes of all objects of the store. 0 in check mode for a store that is not there yet.
  type: int
  returned: success, with O(state=present)
  sample: 4120311
seconds:
  description: How long it took.
  type: float
  returned: success
  sample: 1.9
mib_per_second:
  description: RV(bytes_read) by RV(seconds), in MiB/s.
  type: float
  returned: success, with O(state=present)
  sample: 7.7
retries:
  description: Requests to object stores that were sent again because the first answer was that of a server in trouble, or none.
  type: int
  returned: success
  sample: 0
fetched:
  description: What was fetched of files in O(source) that are not on this host, by workers too. All 0 where there are none.
  type: dict
  returned: success, with O(state=present)
  contains:
    bytes:
      description: Bytes, as they came.
      type: int
      sample: 1073741824
    requests:
      description: Requests, repeated ones included.
      type: int
      sample: 1040
waited:
  description:
    - Seconds that requests took, added up, so that several at a time count several times. What is the larger of both, and more than
      RV(seconds), is what bounds the write.
  type: dict
  returned: success, with O(state=present)
  contains:
    source:
      description: For files in O(source) that are not on this host.
      type: float
      sample: 210.4
    store:
      description: To the server of the store. 0 for a folder.
      type: float
      sample: 35.1
codecs:
  description: By array, the names of its codecs, filters first, where something was written or would be.
  returned: success
  type: dict
  sample: {air: [delta, blosc], time: [zstd]}
workers:
  description: What the workers of O(scheduler) did, one entry for each process. Empty without it, and if nothing was written.
  type: list
  elements: dict
  returned: success, with O(state=present)
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
      description: Objects that it sent.
      type: int
      sample: 7
    bytes_read:
      description: Bytes that it read from the source, not compressed.
      type: int
      sample: 7738000
    bytes_stored:
      description: Bytes of the objects in its blocks.
      type: int
      sample: 2060155
    cpu_seconds:
      description: CPU seconds of its process from the beginning of the write to the last answer.
      type: float
      sample: 1.4
    retries:
      description: Requests that it sent again. RV(retries) has them too.
      type: int
      sample: 0
    fetched:
      description: Its part of RV(fetched).
      type: dict
      sample: {bytes: 268435456, requests: 260}
    waited:
      description: Its part of RV(waited).
      type: dict
      sample: {source: 52.6, store: 8.8}
files:
  description:
    - What became of each file of a store with O(mode=update), in the order of its record. Empty with other modes, and for a new store.
  type: list
  elements: dict
  returned: success, with O(state=present)
  contains:
    name:
      description: The last part of its path or URL.
      type: str
      sample: air-2024-05-01.nc
    change:
      description: V(kept), V(new), V(revised), or V(gone) for one that is not named any more, whose steps stay.
      type: str
      sample: revised
    steps:
      description: The number of its steps in the store; V(null) where that is not recorded.
      type: int
      sample: 24
notes:
  description:
    - What was decided and is worth a look, a sentence each, such as attributes and coordinates that differ between files.
    - Also what of the source is stored in another way than the source has it, since a store cannot have it so. NaN and
      Infinity in attributes become words, as JSON has none; text in Latin-1 becomes UTF-8; the fill value of text is kept
      where xarray reads it; a codec of a Zarr store that is not written here is replaced. Empty if nothing was written.
  type: list
  elements: str
  returned: success, with O(state=present)
  sample: ["'t2m': attribute 'units' is no UTF-8: read as Latin-1"]
verification:
  description: How the store was proved before it was published.
  type: dict
  returned: success, with O(state=present)
  contains:
    level:
      description: The value of O(verify), or V(none) if nothing was written.
      type: str
      sample: manifest
    objects:
      description: Objects whose size and, in a bucket, MD5 were compared.
      type: int
      sample: 13
    bytes:
      description: Bytes that were decoded and compared with the source.
      type: int
      sample: 0
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.several_stores import run_module
from ..module_utils.zarrstream.commands.write import preview, write_dataset
from ..module_utils.zarrstream.options import DASK_OPTIONS, S3_OPTIONS, SOURCE_OPTIONS
from ..module_utils.zarrstream.storage.timeouts import TIMEOUT
from ..module_utils.zarrstream.write.remove import RemoveResult, preview_removal, remove_store
from ..module_utils.zarrstream.write.remove import request_from as remove_request_from
from ..module_utils.zarrstream.write.request import MAX_REVISED, MODES, VERIFY, request_from
from ..module_utils.zarrstream.write.result import WriteResult

SPEC: dict[str, dict[str, Any]] = {
    **S3_OPTIONS,
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "source": {"type": "raw"},
    "follow": {"type": "list", "elements": "path", "default": []},
    "store": {"type": "str"},
    "zarr_format": {"type": "int", "choices": [2, 3], "default": 3},
    "combine": {"type": "raw"},
    "prepare": {"type": "list", "elements": "dict", "default": []},
    "variables": {"type": "list", "elements": "str"},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "chunks": {"type": "raw"},
    "shards": {"type": "raw"},
    "memory": {"type": "str"},
    "encoding": {"type": "dict", "default": {}},
    "consolidated": {"type": "bool", "default": True},
    "portable": {"type": "bool", "default": False},
    "mode": {"type": "str", "choices": list(MODES), "default": "create"},
    "append_dim": {"type": "str"},
    "max_revised": {"type": "float", "default": MAX_REVISED},
    **DASK_OPTIONS,
    **SOURCE_OPTIONS,
    "verify": {"type": "str", "choices": list(VERIFY), "default": "manifest"},
    "progress_path": {"type": "path"},
    "timeout": {"type": "float", "default": TIMEOUT},
}


def present(module: AnsibleModule, options: dict[str, Any]) -> WriteResult:
    """Write the store, or plan it."""
    request = request_from(options)
    return preview(request) if module.check_mode else write_dataset(request)


def absent(module: AnsibleModule, options: dict[str, Any]) -> RemoveResult:
    """Remove the store, or list what would go."""
    request = remove_request_from(options)
    result = preview_removal(request) if module.check_mode else remove_store(request)
    if result.foreign_count:
        module.warn(
            f"{result.foreign_count} objects in '{result.store}' stay, which Zarrstream did not write, such as {result.foreign[0]}."
        )
    return result


def write(module: AnsibleModule, options: dict[str, Any]) -> dict[str, Any]:
    """The result for one store."""
    result = absent(module, options) if options["state"] == "absent" else present(module, options)
    return {**result.to_dict(), "diff": result.diff()}


def main() -> None:
    run_module(SPEC, write, required_if=[("state", "present", ["source"])])


if __name__ == "__main__":
    main()
