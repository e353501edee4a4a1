"""`check`: files in, findings out, worst first."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from synthsift.check.findings import check
from synthsift.check.fitted import means_of_sources
from synthsift.cli.console import Console
from synthsift.data.load import load
from synthsift.data.spec import DataSpec
from synthsift.numerics.overlap import Nearness
from synthsift.records import DataError, Finding, Loaded, Mixture, Severity, plain_finding
from synthsift.report.terminal import finding_lines
from synthsift.seeds import Seeds
from synthsift.splits import find_leaks, name_relatives
from synthsift.writing import drop_stale, write_json

STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def execute_check(spec: DataSpec, saw: str, out: Path | None, console: Console) -> int:
    """Print the findings, and write them to `out` if a file is named.

    Returns
    -------
    int
        Exit code: 1 if a finding is an error, else 0.

    Raises
    ------
    DataError
        For anything wrong with the input that leaves nothing to look at, or if `out` cannot be written.
    """
    started = time.perf_counter()
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise DataError(
            f"--out {out} is {'a folder' if out.is_dir() else 'in a folder that does not exist'}; name a file in an "
            "existing folder for the findings"
        )
    if out is not None:
        drop_stale(out)
    console.say("Reading the data ...")
    loaded = load(spec)
    if not len(loaded.mixture.synth):
        raise DataError(
            "there is no synthetic row to look at; name the files with --synthetic, or check the source column"
        )
    console.say(f"{_sizes(loaded)}. Looking ...")
    with threadpool_limits(1):
        findings = check(loaded, Seeds(spec.seed).child("check"), saw=saw, compare_means=_means_of_strangers)
    plain = [plain_finding(finding) for finding in findings]
    if out is not None:
        write_json(out, plain)
    if console.as_json:
        sys.stdout.write(json.dumps(plain, indent=1) + "\n")
    else:
        _print(findings)
    seconds = time.perf_counter() - started
    took = f"{seconds:.0f} s" if seconds >= 1 else "less than a second"
    console.say(f"Looked for {took}.{f' Findings: {out}' if out else ''}")
    return int(any(finding.severity is Severity.error for finding in findings))


def _means_of_strangers(mixture: Mixture, rows: np.ndarray) -> dict[str, Nearness]:
    """Compare means without copies of real rows, as `run` does."""
    return means_of_sources(name_relatives(mixture, find_leaks(mixture, rows), rows), rows)


def _sizes(loaded: Loaded) -> str:
    """Say how many rows of each part there are."""
    mixture = loaded.mixture
    sources = len(set(mixture.synth.source.tolist()))
    test = 0 if loaded.test is None else len(loaded.test)
    of_sources = f"{sources} source{'s' * (sources > 1)}"
    return (
        f"{len(mixture.real):,} real + {len(mixture.valid):,} validation + {test:,} test rows, "
        f"{len(mixture.synth):,} synthetic rows from {of_sources}, {mixture.num_classes} classes"
    )


def _print(findings: tuple[Finding, ...]) -> None:
    """Print findings to stdout: colored by severity on a terminal, plain otherwise."""
    from rich.console import Console as Rich
    from rich.text import Text

    terminal = Rich(highlight=False, soft_wrap=True)
    width = min(terminal.width, 120) if terminal.is_terminal else 120
    for finding in findings:
        head, *rest = finding_lines(plain_finding(finding), width)
        name = finding.severity.name
        terminal.print(Text(head[: len(name)], style=STYLES[name]) + Text(head[len(name) :], style="bold"))
        terminal.print(Text("\n".join(rest)))
        terminal.print()
    counts = Counter(finding.severity for finding in findings)
    told = [f"{counts[s]} {s.name}{'s' * (counts[s] > 1)}" for s in Severity if counts[s]]
    terminal.print(Text(f"{', '.join(told)}." if told else "Nothing found."))
