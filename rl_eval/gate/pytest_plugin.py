"""The gate as tests: `pytest --optimizer NAME --baseline FILE` has an item for each finding.

Loaded by every pytest that finds this package, so nothing is imported here but pytest. The gate
runs in a process of its own, at the end of collection, since what it finds is what is tested.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

TIERS = "numerics,probes"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of `rl-eval gate check`."""
    group = parser.getgroup("gate", "release gate of rl-eval")
    group.addoption("--optimizer", metavar="NAME", help="the candidate: a name or module:attribute")
    group.addoption("--baseline", metavar="FILE", help="what `rl-eval gate record` wrote")
    group.addoption("--gate-tiers", metavar="TIERS", help=f"default {TIERS}")
    group.addoption("--gate-suite", metavar="SUITE", help="adds the benchmark tier")
    group.addoption("--gate-margin", metavar="SHARE", help="of the baseline's own score")
    group.addoption("--gate-margin-floor", metavar="SCORE", help="least margin")
    group.addoption("--gate-accept-numerics", metavar="REASON", help="why numerics changed")
    group.addoption("--gate-set", metavar="KEY=VALUE", action="append", default=[])
    group.addoption("--gate-out", metavar="DIR", default="gate/pytest", help="for the report")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse what cannot work, before anything is collected."""
    given = config.getoption("--optimizer"), config.getoption("--baseline")
    if any(given) and not all(given):
        raise pytest.UsageError("--optimizer and --baseline go together")
    if all(given) and config.getoption("numprocesses", None):
        raise pytest.UsageError("the gate has worker processes of its own: run it without -n")


@pytest.hookimpl(tryfirst=True)  # so that -k selects among its items too
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add the gate's findings to what was collected."""
    if config.getoption("--optimizer") is None:
        return
    root: Any = _Gate.from_parent(session, name="gate", nodeid="gate")
    for found in _planned(config) if config.option.collectonly else _findings(config):
        name = f"{found['tier']}: {found['check']}"
        items.append(_Item.from_parent(root, name=name, found=found))


class _Gate(pytest.Collector):
    """What the items belong to."""

    def collect(self) -> list[Any]:
        return []


class _Item(pytest.Item):
    """One finding."""

    def __init__(self, *, found: dict[str, str], **rest: Any) -> None:
        super().__init__(**rest)
        self.found = found

    def runtest(self) -> None:
        if self.found["verdict"] == "skipped":
            pytest.skip(self.found["detail"])
        if self.found["verdict"] != "pass" and self.found.get("accepted") is None:
            raise _NotPassedError

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        if not isinstance(excinfo.value, _NotPassedError):
            return super().repr_failure(excinfo, style)
        return f"{self.found['verdict']}: {self.found['detail']}"

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"gate {self.name}"


class _NotPassedError(Exception):
    """A regression, or too few seeds to say."""


def _planned(config: pytest.Config) -> list[dict[str, str]]:
    """A placeholder a tier, for those who only want to know what would run."""
    tiers = (config.getoption("--gate-tiers") or TIERS).split(",")
    tiers += ["benchmark"] if config.getoption("--gate-suite") else []
    unseen = {"check": "all", "verdict": "inconclusive", "detail": "not run"}
    return [{"tier": tier.strip(), **unseen} for tier in dict.fromkeys(tiers)]


def _findings(config: pytest.Config) -> list[dict[str, str]]:
    """Run the gate.

    Raises:
        pytest.UsageError: it could not decide, with its own words.
    """
    from rl_eval import packages

    out = Path(config.getoption("--gate-out"))
    report = out / "report.json"
    report.unlink(missing_ok=True)
    command = packages.command("rl_eval.cli.main", "gate", "check", "--out", str(out))
    command += ["--candidate", config.getoption("--optimizer")]
    command += ["--baseline", config.getoption("--baseline")]
    for option in ("tiers", "suite", "margin", "margin-floor", "accept-numerics"):
        if value := config.getoption(f"--gate-{option}"):
            command += [f"--{option}", value]
    for text in config.getoption("--gate-set"):
        command += ["--set", text]
    env = {**os.environ, "PYTHONPATH": packages.search_path()}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if not report.is_file():
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise pytest.UsageError(lines[-1])
    return json.loads(report.read_text(encoding="utf-8"))["findings"]
