"""What `score` says about the rows that it weighed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from synthsift.bilevel.inputs import MAX_SOURCES
from synthsift.cli.model import RowWeigher
from synthsift.data.folders import ImageFolder
from synthsift.data.images import about_folders
from synthsift.data.notices import missing_texts
from synthsift.data.notices_images import undecodable
from synthsift.records import Finding

SHOWN = 10  # names in a line; a column of ids for sources has millions


@dataclass
class Told:
    """What is to be said about the rows that were weighed.

    Parameters
    ----------
    count : int
        Rows written.
    sources : set of str
        Where they come from.
    folders : list of ImageFolder
        Folders of images that were read,
    lost : dict of str to str
        and the images in them that could not be decoded, with the reason.
    textless : Counter of str
        Rows without text of each file.
    """

    count: int = 0
    sources: set[str] = field(default_factory=set)
    folders: list[ImageFolder] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)
    textless: Counter[str] = field(default_factory=Counter)

    def findings(self, text: str | None) -> list[Finding]:
        """Return what was left out of folders of images, and which texts are missing, as a run tells it."""
        total = sum(len(folder.names) for folder in self.folders)
        found = about_folders(self.folders) + ([undecodable(self.lost, total)] if self.lost else [])
        missing = +self.textless
        return found + ([missing_texts(missing, self.count, text)] if text and missing else [])


def about_sources(names: Collection[str], coded: Collection[str], of_run: Collection[str]) -> list[str]:
    """Say which sources the meta-network does not know, a line for those of the run and one for all others.

    Parameters
    ----------
    names : collection of str
        Sources of the new rows.
    coded : collection of str
        Sources that the meta-network tells apart.
    of_run : collection of str
        All synthetic sources of the run.
    """
    small, strange = (sorted(set(names) & set(of_run) - set(coded)), sorted(set(names) - set(of_run) - set(coded)))
    unknown = "rows were weighed as of an unknown source."
    lines = []
    if small:
        are, their = ("is none", "its") if len(small) == 1 else ("are none", "their")
        lines.append(f"{_listed(small)} {are} of the {MAX_SOURCES} largest sources of the run: {their} {unknown}")
    if strange:
        are, their = ("is no source", "its") if len(strange) == 1 else ("are no sources", "their")
        lines.append(f"{_listed(strange)} {are} of the run ({_listed(sorted(of_run))}): {their} {unknown}")
    return lines


def _listed(names: list[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def warnings(weigh: RowWeigher, summary: Mapping[str, Any]) -> list[str]:
    """Say where the weights tell no rows apart, what they lack, and where the run advises against these sources."""
    lines = []
    if weigh.says_nothing:
        lines.append("The run's meta-network found nothing to go by: all rows get the same weight.")
    if summary.get("balanced_training") is True:
        lines.append("Models of the run had every class at the same total weight; scale these weights so, too.")
    if summary["verdict"].get("reason") == "harmful":
        lines.append("The run advises against using its synthetic sources: its verdict is that they are harmful.")
    if summary["verdict"].get("reason") == "seen":
        lines.append(
            "The run recommends none of its synthetic sources: their generator was fitted on the rows that judged them "
            "(SS154), so that gains are optimistic."
        )
    return lines
