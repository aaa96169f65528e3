"""Thesis B's dataset: one row a bin, split by histogram."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.errors import HistwatchError
from monitor.learn.faults import inject_into, map_sigma
from monitor.learn.thesis_b.dataset import build_table, split_by_histogram
from monitor.learn.toys import Toy
from monitor.normalise import SCALES


def test_a_split_is_whole_disjoint_and_two_to_one() -> None:
    training, test = split_by_histogram(6408, 0)
    assert sorted([*training, *test]) == list(range(6408))
    assert len(training) == 4272
    assert (split_by_histogram(6408, 0)[0] == training).all()
    assert (split_by_histogram(6408, 1)[0] != training).any()


def test_groups_stay_together() -> None:
    runs = [n // 4 for n in range(40)]
    training, test = split_by_histogram(40, 0, groups=runs)
    assert not {runs[n] for n in training} & {runs[n] for n in test}
    assert len(training) == 28


@pytest.mark.parametrize(("count", "groups"), [(0, None), (1, None), (3, ["a"] * 3)])
def test_what_cannot_be_split_is_refused(count: int, groups: list[str] | None) -> None:
    with pytest.raises(HistwatchError, match="cannot be split"):
        split_by_histogram(count, 0, groups=groups)


def test_the_table_has_a_row_a_bin() -> None:
    good = Toy(name="toy", shape=(24, 16), mean=200.0, seed=3).draw_many(1, 0)[0]
    bad, truth = inject_into(good, map_sigma(good.contents), np.random.default_rng(0))
    flat = Toy(name="flat", shape=(30,), seed=1).draw_many(1, 0)[0]
    table = build_table([flat, bad], [np.zeros(30, dtype=np.bool_), truth])
    columns = table.columns()
    assert {len(column) for column in columns.values()} == {30 + 24 * 16}
    row = 30 + 5 * 16 + 7
    assert (table.x[row], table.y[row], table.hist_id[row], table.hist_type[row]) == (5, 7, 1, 1)
    assert (table.x[4], table.y[4], table.hist_id[4], table.hist_type[4]) == (4, 0, 0, 0)
    assert table.paths[row] == "run_1/toy"
    assert table.occ[row] == bad.contents[5, 7]
    assert (table.quality[30:].reshape(24, 16) == truth).all()
    for column, scale in (("occ_0to1", "minmax"), ("occ_zscore", "zscore"), ("occ_robust", "robust")):
        assert (columns[column][30:] == SCALES[scale](bad.contents.reshape(1, -1))[0]).all()


def test_a_table_of_nothing_is_refused() -> None:
    with pytest.raises(HistwatchError, match="no intervals"):
        build_table([])
