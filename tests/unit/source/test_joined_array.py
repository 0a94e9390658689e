"""A variable that lies in many files: what is asked for is read, from the files that have it, and no more."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import shapes
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarrstream.errors import SourceError
from zarrstream.source import joined_array
from zarrstream.source.combine import combine_files
from zarrstream.source.joined_array import Pieces, Rows, joined_variable
from zarrstream.source.joins import parse_combine
from zarrstream.source.local_file import SourceFile
from zarrstream.source.reading import Reading


def days(folder: Path, *starts: int, step: int = 1) -> list[str]:
    paths = [folder / f"{number}.nc" for number in range(len(starts))]
    for number, start in enumerate(starts):
        shapes.day(paths[number], [start + step * each for each in range(3)], seed=number)
    return [str(path) for path in paths]


def files(paths: list[str]) -> list[SourceFile]:
    return [SourceFile.look(path) for path in paths]


@settings(max_examples=60)
@given(data=st.data())
def test_any_region_of_any_order_is_what_numpy_has(data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    parts = [np.random.default_rng(number).integers(0, 999, (2, length, 3)) for number, length in enumerate(lengths)]
    together = np.concatenate(parts, axis=1)
    order = np.array(data.draw(st.permutations(range(together.shape[1]))))[: data.draw(st.integers(1, together.shape[1]))]
    piece, row = np.repeat(np.arange(len(parts)), lengths)[order], np.concatenate([np.arange(length) for length in lengths])[order]
    pieces = Pieces("v", [xr.Variable(("x", "t", "y"), part) for part in parts], ["p"] * len(parts), new=False)
    joined = joined_variable(pieces, "t", Rows(piece, row))
    start, stop = sorted(data.draw(st.tuples(st.integers(0, len(order)), st.integers(0, len(order)))))
    step = data.draw(st.sampled_from([1, 2, -1]))
    expected = together[:, order]
    for key in [(slice(0, 2), slice(start, stop), slice(1, 3)), (0, slice(None, None, step)), (slice(None), len(order) - 1)]:
        assert np.array_equal(joined[key].values, expected[key])


def test_a_block_reads_only_the_files_that_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, read = days(tmp_path, *range(0, 60, 3)), list[str]()
    joined = combine_files(files(paths))
    before = Pieces.read

    def noting(self: Pieces, piece: int, region: tuple[slice, ...], axis: int) -> np.ndarray:
        read.append(self.paths[piece])
        return before(self, piece, region, axis)

    monkeypatch.setattr(joined_array.Pieces, "read", noting)
    assert joined.t2m[7:11].values.tobytes() == np.concatenate([shapes.values(Path(path), "t2m") for path in paths])[7:11].tobytes()
    assert read == paths[2:4]
    joined.close()


def test_steps_that_fall_stay_so(tmp_path: Path) -> None:
    paths = days(tmp_path, 2, 8, 5, step=-1)
    joined = combine_files(files(paths))
    assert joined.time.values.tolist() == list(range(8, -1, -1))
    assert joined.t2m.values[:3].tobytes() == shapes.values(Path(paths[1]), "t2m").tobytes()
    joined.close()


def test_a_file_that_runs_the_other_way_is_turned_round(tmp_path: Path) -> None:
    paths = days(tmp_path, 0, 3)
    shapes.day(Path(paths[1]), [5, 4, 3], seed=1)
    joined = combine_files(files(paths))
    assert joined.time.values.tolist() == list(range(6))
    assert joined.t2m.values[3:].tobytes() == shapes.values(Path(paths[1]), "t2m")[::-1].tobytes()
    joined.close()


def test_a_file_that_is_damaged_is_named_when_it_is_read(tmp_path: Path) -> None:
    paths = [tmp_path / "0.nc", tmp_path / "1.nc"]
    for number, path in enumerate(paths):
        values = xr.Dataset({"v": (("t", "x"), np.arange(4000.0).reshape(2, 2000))}, {"t": [2 * number, 2 * number + 1]})
        values.to_netcdf(path, encoding={"v": {"zlib": True, "chunksizes": (1, 2000)}})
    with h5py.File(paths[1]) as file:
        chunk = file["v"].id.get_chunk_info(1)
    joined = combine_files(files([str(path) for path in paths]))
    with paths[1].open("r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(bytes(chunk.size))
    assert joined.v[:2].values.size == 4000
    with pytest.raises(SourceError, match=rf"{paths[1]}: 'v' cannot be read"):
        joined.v.values.sum()
    joined.close()


def test_members_keep_the_order_of_their_names(tmp_path: Path) -> None:
    paths = shapes.ensemble(tmp_path)
    reading = Reading(parse_combine({"dim": "member", "value_from": {"attribute": "variant_label"}}))
    joined = combine_files(files([str(path) for path in reversed(paths)]), reading=reading)
    assert joined.member.values.tolist() == ["r2i1p1f1", "r1i1p1f1"]
    joined.close()
