"""kill -9 of Flink's Python workers under checkpoints: the sink ends as that of a run that nobody disturbed."""

from __future__ import annotations

import random
from pathlib import Path

from tests.recovery import trials
from tests.recovery.trials import Cluster

SEED = 20241027  # CI kills at the same moments each time; the soak at others


def test_after_five_kills_the_lake_holds_each_row_once_and_all_windows(cluster: Cluster, tmp_path: Path) -> None:
    rows = tmp_path / "in"
    trials.write(rows)
    chance = random.Random(SEED)
    # The rows take eight seconds, and each start of the workers longer than that.
    kill_at = [chance.uniform(0, 8) + 12 * number for number in range(5)]
    trial = trials.run(rows, tmp_path / "killed", cluster, ends=False, kill_at=kill_at)
    assert trial.ended, trial.log
    assert trial.kills >= 4  # one may come while no worker runs
    assert trial.left.whole == trials.expected(rows)
    assert trial.left.late < 0.05 * trials.ROWS
