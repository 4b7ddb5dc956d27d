"""Settings of all tests."""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests import runners
from tests.runners import flink_flags, prism_flags  # noqa: F401  fixtures
from tests.servers.azurite import azure, azure_container  # noqa: F401  fixtures
from tests.servers.bigquery import bigquery_server  # noqa: F401  a fixture
from tests.servers.caches import memcached_port, redis_port  # noqa: F401  fixtures
from tests.servers.gcs import gcs, gcs_bucket  # noqa: F401  fixtures
from tests.servers.hdfs import hdfs, hdfs_folder  # noqa: F401  fixtures
from tests.servers.kafka import broker  # noqa: F401  a fixture
from tests.servers.kinesis import kinesis  # noqa: F401  a fixture
from tests.servers.mariadb import mariadb  # noqa: F401  a fixture
from tests.servers.mosquitto import mosquitto  # noqa: F401  a fixture
from tests.servers.postgresql import postgresql  # noqa: F401  a fixture
from tests.servers.pubsub import pubsub  # noqa: F401  a fixture
from tests.servers.rabbitmq import rabbitmq  # noqa: F401  a fixture
from tests.servers.redis import redis  # noqa: F401  a fixture
from tests.servers.seaweedfs import bucket, s3  # noqa: F401  fixtures

# Time limits are the machine's business; the first example of a test may import or start something.
# In CI the same examples are tried every time, so that a change is judged and not the dice.
settings.register_profile(
    "beam_pipelines",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("beam_pipelines")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for name in runners.left_out():
        terminalreporter.write_line(f"NOT TESTED on {name}: {runners.OPT_OUTS[name]} is set", red=True, bold=True)
