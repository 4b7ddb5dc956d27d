"""kill -9 of Flink's Python workers under checkpoints: the sink ends as that of a run that nobody disturbed."""

from __future__ import annotations

import random
from pathlib import Path

from tests.recovery import trials
from tests.recovery.trials import Cluster

KILLS = 5


def test_after_five_kills_the_lake_holds_each_row_once_and_all_windows(
    cluster: Cluster, tmp_path: Path, chance: random.Random
) -> None:
    rows = tmp_path / "in"
    trials.write(rows)
    kill_at = [chance.uniform(0, 3) for _ in range(KILLS)]
    trial = trials.run(rows, tmp_path / "killed", cluster, ends=False, kill_at=kill_at)
    assert trial.ended, trial.log
    assert trial.kills == KILLS
    assert trial.left.whole == trials.expected(rows)
    assert trial.left.late < 0.05 * trials.ROWS
