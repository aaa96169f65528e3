"""Kernels are plain Python without numba's compiler, and then say the same: coverage and debuggers can see them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CHOSEN = (
    "test_scales.py::test_large_random_maps_equal_plain_numpy",
    "test_scales.py::test_a_map_of_one_value_is_only_shifted",
    "test_kernels.py::test_deviations_are_what_the_formulas_say",
    "test_kernels.py::test_the_scan_of_sums_finds_what_summing_every_window_finds[30.0-1-(13, 10)]",
    "test_kernels.py::test_where_nothing_is_left_out_both_scans_agree",
    "test_kernels.py::test_the_scan_of_means_finds_what_summing_every_window_finds",
    "test_significance.py::test_few_counts_have_the_significance_of_the_exact_poisson_tail",
    "test_batches.py::test_answers_of_a_model_are_brought_into_bounds",
    "test_exposure.py::test_what_is_not_expected_does_not_count",
    "test_exposure.py::test_nothing_to_agree_with_is_exposure_0",
    "test_clusters.py::test_border_points_belong_to_the_lowest_numbered_cluster_that_reaches_them",
    "test_clusters.py::test_exact_grids_do_not_need_the_tree",
)


def test_the_oracles_agree_with_kernels_that_are_not_compiled() -> None:
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(str(here / name) for name in CHOSEN)],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        cwd=here.parents[1],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
