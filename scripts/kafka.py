"""Apache Kafka 3.9, one broker that is its own controller (KRaft): `python -m scripts.kafka`, until Ctrl-C.

It prints the start of a URI, `kafka://localhost:PORT`. Everything listens on localhost.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import ipaddress
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from scripts import cache, flink, processes

_POM = Path(__file__).with_name("kafka_broker.xml")
_MAIN = "kafka.Kafka"
_HEAP = "512m"
_ARCHIVE = "broker.jsa"
"""Classes as Java keeps them for its next start, which takes 1.5 CPU seconds then instead of 2.6."""

_STARTED = "Kafka Server started"
PASSWORD = "test-only"  # noqa: S105  of every user of a broker that is here for tests
USERS = ("shop", "stranger")
"""Users of SASL; the broker's authorizer lets them do what access lists say, which is nothing to begin with."""

# Name → protocol of the listeners that clients use.
LISTENERS = {"PLAINTEXT": "PLAINTEXT", "TLS": "SSL", "SASL": "SASL_PLAINTEXT", "PROXIED": "PLAINTEXT"}


def install() -> Path:
    """Return the folder of its jars, fetched first if they aren't there, with what lets a broker start sooner."""
    jars = _jars()
    archive = jars / _ARCHIVE
    with cache.locked(jars):
        if not archive.exists():
            with tempfile.TemporaryDirectory(prefix="kafka-") as folder:
                draft = Path(folder, _ARCHIVE)
                broker = Broker(Path(folder, "kafka"), java=[f"-XX:ArchiveClassesAtExit={draft}"])
                broker.start()
                broker.stop()
                shutil.move(draft, archive)
    return jars


def _jars() -> Path:
    return flink.install(_POM, "kafka")


@dataclasses.dataclass
class Broker:
    """A broker that can be killed and started again: its data stay in the folder, its ports are the same.

    `advertised` says, by listener, at what port clients are told to find it: that of a proxy.
    """

    folder: Path
    advertised: Mapping[str, int] = dataclasses.field(default_factory=dict)
    settings: Mapping[str, object] = dataclasses.field(default_factory=dict)
    java: Sequence[str] = ()
    """Options of the virtual machine beside those that it needs."""
    ports: dict[str, int] = dataclasses.field(init=False)
    _process: subprocess.Popen[bytes] | None = dataclasses.field(init=False, default=None)

    def __post_init__(self) -> None:
        names = [*LISTENERS, "CONTROLLER"]
        self.ports = dict(zip(names, processes.free_ports(len(names)), strict=True))

    @property
    def address(self) -> str:
        """Where clients find it, without encryption and without a name."""
        return f"localhost:{self.ports['PLAINTEXT']}"

    @property
    def certificate(self) -> Path:
        """The certificate that clients of the TLS listener have to trust."""
        return self.folder / "certificate.pem"

    def start(self) -> None:
        """Start it, and wait until it serves. RuntimeError with the end of its log if it doesn't come up."""
        if not self.folder.exists():
            self._format()
        log = self.folder / "broker.log"
        jars = _jars()
        archive = [f"-XX:SharedArchiveFile={jars / _ARCHIVE}"] if (jars / _ARCHIVE).exists() and not self.java else []
        with log.open("wb") as output:
            command = [
                *("java", f"-Xmx{_HEAP}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *archive, *self.java),
                *("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.log.kafka.server=info"),
                *("-cp", f"{jars}/*", _MAIN, str(self.folder / "server.properties")),
            ]
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        processes.wait(lambda: _STARTED in log.read_text(errors="replace"), self._process, self.folder)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it; with SIGKILL it has no time to say goodbye."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
            try:
                self._process.wait(processes.STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def has_died(self) -> bool:
        """Whether it was started and has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def _format(self) -> None:
        """What `kafka-storage format` writes; a JVM for it takes four seconds."""
        data = self.folder / "data"
        data.mkdir(parents=True)
        (data / "meta.properties").write_text(f"version=1\ncluster.id={_id()}\nnode.id=1\ndirectory.id={_id()}\n")
        write_certificate(self.folder)
        listeners = {name: self.ports[name] for name in [*LISTENERS, "CONTROLLER"]}
        told = {name: self.advertised.get(name, port) for name, port in listeners.items() if name != "CONTROLLER"}
        users = " ".join(f'user_{name}="{PASSWORD}"' for name in USERS)
        login = "org.apache.kafka.common.security"
        settings: dict[str, object] = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@localhost:{self.ports['CONTROLLER']}",
            "controller.listener.names": "CONTROLLER",
            "listeners": ",".join(f"{name}://localhost:{port}" for name, port in listeners.items()),
            "advertised.listeners": ",".join(f"{name}://localhost:{port}" for name, port in told.items()),
            "listener.security.protocol.map": ",".join(
                f"{name}:{kind}" for name, kind in {**LISTENERS, "CONTROLLER": "PLAINTEXT"}.items()
            ),
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": data,
            "log.retention.ms": -1,  # records of tests are as old as they like
            "num.partitions": 1,
            "auto.create.topics.enable": "false",
            # One broker holds each of its own topics once.
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 1,
            "group.initial.rebalance.delay.ms": 0,
            # One that was killed isn't let in again before its last session has ended: 9 s by default.
            "broker.session.timeout.ms": 2000,
            "broker.heartbeat.interval.ms": 500,
            "message.max.bytes": 16 << 20,
            "replica.fetch.max.bytes": 16 << 20,
            # Whoever comes without a name may do anything: only users are held to access lists.
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self.folder / "key-and-certificate.pem",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
            "listener.name.sasl.plain.sasl.jaas.config": f"{login}.plain.PlainLoginModule required {users};",
            "listener.name.sasl.scram-sha-256.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
            "listener.name.sasl.scram-sha-512.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
            # Tokens without a signature: what Kafka itself offers where there is no identity provider.
            "listener.name.sasl.oauthbearer.sasl.jaas.config": (
                f'{login}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="shop";'
            ),
            **self.settings,
        }
        text = "".join(f"{name}={value}\n" for name, value in settings.items())
        (self.folder / "server.properties").write_text(text)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[list[str]]:
    """Start a broker in a folder, yield how URIs of its topics begin, and stop it."""
    broker = Broker(folder / "kafka")
    broker.start()
    try:
        yield [f"kafka://{broker.address}"]
    finally:
        broker.stop()


def _id() -> str:
    """A UUID as Kafka writes it. The highest bit is 0, since its tools refuse one that starts with '-'."""
    return base64.urlsafe_b64encode((uuid.uuid4().int >> 1).to_bytes(16)).decode().rstrip("=")


def write_certificate(folder: Path) -> None:
    """A key and a certificate for localhost, signed by itself, good for a day or two."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    written = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "certificate.pem").write_bytes(written)
    (folder / "key-and-certificate.pem").write_bytes(private + written)


if __name__ == "__main__":
    sys.exit(processes.main(install, running, "kafka-"))
