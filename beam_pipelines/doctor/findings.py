"""What the doctor found, judged and as a table."""

from __future__ import annotations

import dataclasses
import enum
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from beam_pipelines.doctor.worker import Facts


class Verdict(str, enum.Enum):
    """How a thing is. All but `WORKS` mean that not all is fine."""

    WORKS = "works"
    FAILS = "FAILS"
    UNKNOWN = "unknown"
    NOT_TRIED = "not tried"


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the table; `advice` says what to set, or what will not run."""

    name: str
    verdict: Verdict
    told: str
    advice: str = ""


_SHOWN = {
    "python": "Python",
    "apache_beam": "apache-beam",
    "pyarrow": "pyarrow",
    "beam_pipelines": "beam-pipelines",
}
_WIDTH = 110  # characters of a line of the table


def of_workers(here: Facts, workers: Sequence[Facts]) -> list[Finding]:
    """Compare workers with this process: a finding for each of the versions, and one for imports.

    >>> here = {"host": "me", "python": "3.11.2", "apache_beam": "2.77.0", "pyarrow": "25.0.1",
    ...         "beam_pipelines": "1.0", "imports": ""}
    >>> [f.verdict.value for f in of_workers(here, [here | {"host": "w1", "python": "3.12.1"}])]
    ['FAILS', 'works', 'works', 'works', 'works']
    """
    found = [_of_version(key, here, workers) for key in _SHOWN]
    broken = {worker["imports"]: worker["host"] for worker in workers if worker["imports"]}
    if broken:
        told = "; ".join(f"on {host}: {error}" for error, host in broken.items())
        advice = "install what is missing where the workers run, in the versions of requirements.txt"
        return [*found, Finding("imports", Verdict.FAILS, told, advice)]
    return [*found, Finding("imports", Verdict.WORKS, "workers import every pipeline")]


def _of_version(key: str, here: Facts, workers: Sequence[Facts]) -> Finding:
    name = f"{_SHOWN[key]} version"
    others: dict[str, list[str]] = {}
    for worker in workers:
        if not _same(key, here[key], worker[key]):
            others.setdefault(worker[key], []).append(worker["host"])
    if not others:
        hosts = sorted({worker["host"] for worker in workers})
        return Finding(name, Verdict.WORKS, f"{here[key]} here, {workers[0][key]} on {_list(hosts)}")
    told = "; ".join(f"{version} on {_list(hosts)}" for version, hosts in others.items())
    wanted = ".".join(here[key].split(".")[:2]) if key == "python" else here[key]
    return Finding(name, Verdict.FAILS, f"{here[key]} here, but {told}", f"workers need {_SHOWN[key]} {wanted}")


def _same(key: str, here: str, there: str) -> bool:
    if key == "python":  # what is pickled holds byte code, which changes with the minor version
        return here.split(".")[:2] == there.split(".")[:2]
    return here == there


def _list(hosts: Sequence[str]) -> str:
    return ", ".join(hosts[:3]) + (f" and {len(hosts) - 3} more" if len(hosts) > 3 else "")


def of_probes(
    proven: Mapping[str, str], judged: Iterable[str] | None, failed: Mapping[str, Finding], *, tried: Iterable[str]
) -> list[Finding]:
    """A finding for each probe of `proven` (name → what it proves).

    `judged`: those that were counted as judged; None when the runner returned no counters. `failed`: by name. `tried`:
    those of which a job ended, well or not.
    """
    counted = None if judged is None else set(judged)
    attempted = set(tried)
    found = []
    for name, proves in proven.items():
        if name in failed:
            found.append(failed[name])
        elif name not in attempted:
            found.append(Finding(name, Verdict.NOT_TRIED, proves))
        elif counted is None or name in counted:
            found.append(Finding(name, Verdict.WORKS, proves))
        else:
            advice = "the job ended well, but the probe never ran in it: look at the runner's log"
            found.append(Finding(name, Verdict.FAILS, f"{proves}: nothing came of it", advice))
    return found


def table(findings: Sequence[Finding]) -> str:
    """The findings as lines of text, with what to set below what doesn't work."""
    width = max(len(each.name) for each in findings)
    left = max(len(verdict.value) for verdict in Verdict)
    margin = " " * (left + width + 4)
    lines = []
    for each in findings:
        head = f"{each.verdict.value:<{left}}  {each.name:<{width}}  "
        lines += textwrap.wrap(each.told, _WIDTH, initial_indent=head, subsequent_indent=margin)
        if each.advice:
            lines += textwrap.wrap(f"→ {each.advice}", _WIDTH, initial_indent=margin, subsequent_indent=f"{margin}  ")
    return "\n".join(lines)
