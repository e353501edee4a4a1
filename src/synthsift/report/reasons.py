"""What the tables mean, in sentences: why the verdict names its policy, and what is said of classes and groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PLURAL = {"class": "classes", "group": "groups"}
NAMED = 3


def why_policy(report: Mapping[str, Any]) -> str:
    """Return why the verdict names this policy and no other; "" where the run does not say.

    Parameters
    ----------
    report : dict
        From `collect`; its ``verdict`` and ``comparison`` are used.
    """
    chosen, rows = report["verdict"]["policy"], report["comparison"]
    near = [row["name"] for row in rows if row["near"]]
    if report["verdict"].get("reason") == "copies" or chosen not in near:
        return ""
    if chosen == "RealOnly":
        return "In log-loss, by which policies are chosen, none is ahead of the real data alone by more than noise."
    if len(near) == 1:
        return "In log-loss, by which policies are chosen, it is the best, and no simpler one comes near it."
    return (
        f"In log-loss, by which policies are chosen, {len(near)} of them cannot be told from the best; this is the "
        "simplest of these. Another one may look better below without being so."
    )


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
        more = f" and {len(down) - NAMED} more {many if len(down) > NAMED + 1 else kind}" if len(down) > NAMED else ""
        loses = f"{len(down)} lose{'s' * (len(down) == 1)} for sure: {', '.join(down[:NAMED])}{more}"
        told = f"{gains}; {loses if down else 'none loses'}."
    by_chance = 0.025 * num
    return told + (f" By chance alone about {by_chance:.0f} would seem to, either way." if by_chance >= 0.5 else "")
