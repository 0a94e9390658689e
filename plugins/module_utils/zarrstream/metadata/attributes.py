# Copyright (c) 2026, the Zarrstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Attributes by the CF conventions, by what they are about: what numbers mean, what names other variables, what is said of one file.

``docs/joining.md`` has them for users.
"""

UPDATED = "zarrstream_updated"  # of the root: when the last update of the store ended
MISSING = ("_FillValue", "missing_value")
PACKING = ("scale_factor", "add_offset", *MISSING, "_Unsigned")  # change one, and the same numbers are other values
TIME = ("units", "calendar")  # of numbers that count time from a date
RANGE = ("valid_min", "valid_max", "valid_range")
FLAGS = ("flag_values", "flag_masks", "flag_meanings")
NAMES = ("coordinates", "ancillary_variables", "bounds", "climatology")  # of other variables, names alone
PAIRS = ("cell_measures", "formula_terms")  # "area: areacella", of which the second is a name
EITHER = ("grid_mapping",)  # "crs", or "crs: x y"
REFERENCES = (*NAMES, *PAIRS, *EITHER)
# What a quantity is. A file that leaves one out contradicts none that has it.
WORDS = frozenset({"standard_name", "computed_standard_name", "cell_methods", "positive", "axis", "cf_role", *REFERENCES})
# Two files that differ in one of them cannot share one array.
MEANING = frozenset({*PACKING, *TIME, "leap_month", "leap_year", "month_lengths", "units_metadata", *RANGE, *FLAGS, "compress", *WORDS})
# Which file it was: who joins files takes the first one's.
PROVENANCE = frozenset(
    {
        *(
            "history",
            "history_of_appended_files",
            "nco_openmp_thread_number",
            "NCO",
            "CDI",
            "CDO",
            "cdo_openmp_thread_number",
            "_NCProperties",
        ),
        *(
            "date_created",
            "date_modified",
            "date_issued",
            "date_metadata_modified",
            "creation_date",
            "creation_time",
            "date",
            "time_created",
        ),
        *("tracking_id", "uuid", "id", "file_name", "filename", "source_file", "source_files", "input_files", "title_of_file"),
        *("production_date_time", "date_file_created", "timestamp", "processing_time", "GRIB_history"),
    }
)
# How far one file reaches: false for files that are joined.
EXTENT = frozenset(
    {
        *("time_coverage_start", "time_coverage_end", "time_coverage_duration", "start_date", "stop_date", "end_date", "actual_range"),
        *(f"geospatial_{axis}_{end}" for axis in ("lat", "lon", "vertical") for end in ("min", "max")),
        "geospatial_bounds",
    }
)
DESCRIPTIVE = frozenset({"long_name", "comment", "comments", "description", "references", "source", "institution", *PROVENANCE, *EXTENT})
