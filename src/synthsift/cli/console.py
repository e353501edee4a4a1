"""What a run says while it works: progress on a terminal, plain lines otherwise, nothing with --quiet."""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthsift.cli.settings import RunSettings
    from synthsift.compare import Study
    from synthsift.records import Comparison, Finding, Loaded


@dataclass
class Console:
    """Where a verb talks to.

    Parameters
    ----------
    quiet : bool
        Say nothing but results and errors.
    as_json : bool
        Print summary.json instead of the closing table.
    """

    quiet: bool = False
    as_json: bool = False
    lines: list[str] = field(default_factory=list)
    last: float = 0.0

    def say(self, text: str) -> None:
        """Print one line of progress to stderr."""
        self.lines.append(text)
        if not self.quiet:
            sys.stderr.write(self._over() + text + "\n")
            sys.stderr.flush()

    def _over(self) -> str:
        return "\r\x1b[K" if sys.stderr.isatty() else ""

    def finding(self, finding: Finding) -> None:
        """Print a finding that stops the run."""
        sys.stderr.write(f"{self._over()}{finding}\n")

    def describe(self, loaded: Loaded, study: Study, settings: RunSettings) -> None:
        """Say what will be compared, before it starts."""
        from synthsift.cli.estimate import estimate
        from synthsift.race import PROTECTED, trial_order

        mixture = loaded.mixture
        sources = len({str(name) for name in mixture.synth.source})
        self.say(
            f"{len(mixture.real):,} real + {len(mixture.valid):,} validation rows, {len(mixture.synth):,} synthetic "
            f"rows from {sources} source{'s' * (sources > 1)}, {mixture.num_classes} classes, "
            f"{study.embedding.shape[1]} inputs."
        )
        expected = estimate(study)
        full, budget = expected.whole(study.policies, study.num_seeds), f"{settings.budget_minutes:g} min"
        told = f"about {_duration(min(full, study.budget_seconds))}"
        if full > study.budget_seconds:
            told += f" (all repetitions would take {_duration(full)}; the budget is {budget})"
        splits = expected.num_folds * study.num_seeds
        self.say(f"Comparing {len(study.policies)} policies on up to {splits} paired splits: {told}.")
        least = expected.whole(PROTECTED)
        if least > study.budget_seconds:
            self.say(
                f"RealOnly and Everything alone need about {_duration(least)}; --budget {settings.budget_minutes:g} "
                f"(min) is too small. Going on with {expected.num_folds} splits of these two, if need be beyond the "
                "budget, and of others as far as there is time left."
            )
        elif expected.whole(study.policies) > study.budget_seconds:
            others = ", ".join(trial_order(study.policies)[len(PROTECTED) :])
            self.say(
                f"The budget of {budget} may not carry all of them: RealOnly and Everything come first, then in this "
                f"order {others}. Those that do not fit are left out before they are trained."
            )

    def say_shortened(self, comparison: Comparison, study: Study, settings: RunSettings) -> None:
        """Say what the budget has cut, if anything: how many splits, and which policies before and after a trial."""
        from synthsift.race import UNTRIED, trial_order

        done, k = len(comparison.seeds), comparison.num_folds
        cut = [f"{k * done} of {k * study.num_seeds} paired splits"] if done < study.num_seeds else []
        named = [name for name in trial_order(study.policies) if "budget" in comparison.stopped.get(name, "")]
        untried = [name for name in named if comparison.stopped[name] == UNTRIED]
        tried = [name for name in named if name not in untried]
        cut += [f"{len(named)} of {len(study.policies)} policies left out"] if named else []
        if not cut:
            return
        self.say(f"{' and '.join(cut)}: more would not fit into {settings.budget_minutes:g} min (--budget).")
        if untried:
            self.say(f"  never trained, the last in the order above: {', '.join(untried)}")
        if tried:
            self.say(f"  tried on the first split, where others had a lower log-loss: {', '.join(tried)}")

    def progress(self, what: str, done: int, of: int, seconds_left: float) -> None:
        """Say how far the comparison is, at most once a second on a terminal and every ten seconds elsewhere."""
        now = time.monotonic()
        terminal = sys.stderr.isatty()
        if self.quiet or (now - self.last < (1 if terminal else 10) and done < of):
            return
        self.last = now
        left = f", at most {_duration(seconds_left)} left" if math.isfinite(seconds_left) else ""
        text = f"{done} of {of} {what}{left}"
        sys.stderr.write(f"\r\x1b[K{text}" if terminal and done < of else f"{self._over()}{text}\n")
        sys.stderr.flush()

    def close_drift(self, record: dict[str, Any], out: Path | None, state: Path | None) -> None:
        """Print the drift of every generation and the verdict's sentence, or the record as JSON, to stdout."""
        from synthsift.writing import to_plain

        if self.as_json:
            sys.stdout.write(json.dumps(to_plain(record), indent=1, allow_nan=False) + "\n")
            return
        from synthsift.report.drift_table import drift_text

        sys.stdout.write(record["verdict"]["sentence"] + "\n" if self.quiet else drift_text(to_plain(record)) + "\n")
        places = {"Report": out and out / "report.html", "State": state}
        told = "   ".join(f"{name}: {place}" for name, place in places.items() if place is not None)
        if told and not self.quiet:
            sys.stdout.write(told + "\n")

    def close_with(self, out: Path) -> None:
        """Print table, verdict, test result and findings to stdout; only the sentence if quiet; the summary if JSON."""
        summary: dict[str, Any] = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        if self.as_json:
            sys.stdout.write(json.dumps(summary, indent=1) + "\n")
            return
        sentence = summary["verdict"]["sentence"] + "\n"
        if self.quiet:
            sys.stdout.write(sentence)
            return
        from synthsift.report.collect import collect_findings
        from synthsift.report.terminal import closing_notes, closing_table, closing_text

        if sys.stdout.isatty():
            from rich.console import Console as Rich

            Rich().print(closing_table(summary))
        else:
            sys.stdout.write(closing_text(summary) + "\n")
        notes = closing_notes(summary, collect_findings(out))
        sys.stdout.write("\n" + sentence + "\n".join(notes) + "\n")
        sys.stdout.write(f"Report: {out / 'report.html'}   Weights: {out / 'weights.parquet'}\n")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min"
