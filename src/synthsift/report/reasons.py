"""What the tables mean, in sentences: why the verdict names its policy, and what is said of classes and groups."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from synthsift.report import wording

PLURAL = {"class": "classes", "group": "groups"}
NAMED = 3
CONTRADICTED = "SS150"


def why_policy(report: Mapping[str, Any]) -> str:
    """Return why the verdict names this policy and no other; "" where the run does not say.

    Parameters
    ----------
    report : dict
        From `collect`; its ``verdict`` and ``comparison`` are used.
    """
    chosen, rows = report["verdict"]["policy"], report["comparison"]
    opening = f"In {'class-balanced ' if report.get('balanced_loss') else ''}log-loss, by which policies are chosen,"
    near = [row["name"] for row in rows if row["near"]]
    if report["verdict"].get("reason") == "copies" or chosen not in near:
        return ""
    if chosen == "RealOnly":
        return f"{opening} none is ahead of the real data alone by more than noise."
    if len(near) == 1:
        return f"{opening} it is the best, and no simpler one comes near it."
    return (
        f"{opening} {len(near)} of them cannot be told from the best; this is the "
        "simplest of these. Another one may look better below without being so."
    )


def doubted_sources(verdict: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each source whose labels the real rows contradict, worst first, to stand below the sentence.

    A source is called harmful only where two things are shown: its labels are contradicted more often than those of
    real rows, with the whole interval (SS150), and all rows unweighted are worse than the real rows alone or than the
    verdict's policy, with the whole interval. Otherwise it is one to look at; so are all where several are doubted,
    since the harm of all rows together does not tell whose it is.

    Parameters
    ----------
    verdict : dict
        Of summary.json.
    findings : sequence of dict
        Entries of findings.json.
    """
    told = {}
    for finding in findings:
        if finding.get("code") == CONTRADICTED and isinstance(finding.get("sources"), Mapping):
            told.update(finding["sources"])
    of_everything: Any = (verdict.get("everything_over_real_only") or {}).get("high")
    over_everything: Any = ((verdict.get("gain") or {}).get("over_everything") or {}).get("low")
    is_worse = wording.is_number(of_everything) and of_everything < 0
    is_worse = is_worse or (wording.is_number(over_everything) and over_everything > 0)
    opening = "Harmful source" if is_worse and len(told) == 1 else "Source to look at"
    lines = [f"{opening}: {wording.one_line(name, 40)}: {wording.one_line(words)}." for name, words in told.items()]
    more = len(lines) - NAMED
    rest = [f"and {more} more source{'s' * (more > 1)} like these; see the findings."] if more > 0 else []
    return lines[:NAMED] + rest


def subset_words(kind: str, num: int, num_up: int, down: Sequence[str]) -> str:
    """Return how many classes or groups gain and how many lose for sure, and how many would by chance.

    Parameters
    ----------
    kind : str
        "class" or "group".
    num : int
        Those with an interval.
    num_up : int
        Those whose interval lies above 0.
    down : sequence of str
        Names of those whose interval lies below 0, worst first.
    """
    if not num:
        return ""
    many = PLURAL[kind]
    if not num_up and not down:
        told = f"None of the {num} {many} gains or loses for sure: every interval holds 0."
    else:
        gains = f"{num_up or 'None'} of the {num} {many} gain{'s' * (num_up < 2)} for sure"
        rest = down[NAMED:]  # a single one is named: that is no longer than its number
        more = f" and {len(rest)} more {many}" if len(rest) > 1 else f" and {rest[0]}" if rest else ""
        loses = f"{len(down)} lose{'s' * (len(down) == 1)} for sure: {', '.join(down[:NAMED])}{more}"
        told = f"{gains}; {loses if down else 'none loses'}."
    by_chance = 0.025 * num
    return told + (f" By chance alone about {by_chance:.0f} would seem to, either way." if by_chance >= 0.5 else "")


def claims_beside_test(verdict: Mapping[str, Any], test: Sequence[Mapping[str, Any]], num_test: Any) -> str:
    """Say what `beside_test` has to say of the policy, and of all rows where they are called harmful beside it."""
    told = beside_test(verdict, test, num_test)
    high: Any = (verdict.get("everything_over_real_only") or {}).get("high")
    is_harmful = not verdict.get("use") and wording.is_number(high) and high < 0
    if not is_harmful or verdict["policy"] in ("RealOnly", "Everything"):
        return told
    whole = beside_test({**verdict, "policy": "RealOnly"}, test, num_test)
    # the reasons are the same
    return f"{told} {whole.partition(': ')[0]}, too." if told and whole else told or whole


def beside_test(verdict: Mapping[str, Any], test: Sequence[Mapping[str, Any]], num_test: Any) -> str:
    """Say if the gain in accuracy on the test rows lies outside of the verdict's interval by more than chance; else "".

    Chance is two standard errors of a difference between two models on different rows, which is more than that between
    two on the same rows. One hit and one miss are added to each (Agresti, Caffo 2000): two rows, both right, prove
    little.

    Parameters
    ----------
    verdict : dict
        Of summary.json.
    test : sequence of dict
        Its test results, with ``name``, ``metric`` and ``value``.
    num_test : int
        Number of test rows; another value says nothing.
    """
    values = {row["name"]: row["value"] for row in test if row["metric"] == "accuracy"}
    chosen = verdict["policy"] if verdict["policy"] != "RealOnly" else "Everything"
    gain = verdict.get("gain") or {}
    told = gain.get("over_real_only") if chosen == verdict["policy"] else verdict.get("everything_over_real_only")
    numbers: list[Any] = [values.get(chosen), values.get("RealOnly"), num_test]
    numbers += [(told or {}).get(end) for end in ("low", "high")]
    if gain.get("metric") != "accuracy" or not all(map(wording.is_number, numbers)) or num_test < 1:
        return ""
    ours, alone, _, low, high = numbers
    first, second = ((share * num_test + 1) / (num_test + 2) for share in (ours, alone))
    chance = 200 * math.sqrt((first * (1 - first) + second * (1 - second)) / (num_test + 2))
    if low - chance <= 100 * (first - second) <= high + chance:
        return ""
    return (
        f"On them {chosen} gains {wording.signed(100 * (ours - alone))} points, outside of its interval "
        f"{wording.interval(told)} by more than chance: the test rows may follow another law, or the gain is one of "
        "the splits alone."
    )
