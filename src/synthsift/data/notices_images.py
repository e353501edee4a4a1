"""What the loader has to say about folders of images that it could read: findings SS121 to SS125."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from synthsift.data.notices import some
from synthsift.records import Finding, Severity

LISTED = 3  # files that are named


def undecodable(reasons: Mapping[str, str], total: int) -> Finding:
    """SS121: images that could not be decoded, with the reason by file."""
    shown = "; ".join(f"{file}: {reason}" for file, reason in list(reasons.items())[:LISTED])
    more = f"; and {len(reasons) - LISTED:,} more" if len(reasons) > LISTED else ""
    return Finding(
        "SS121",
        Severity.warning,
        "Images that cannot be decoded are left out",
        f"{len(reasons):,} of {total:,} images, {shown}{more}.",
        "They take no part; if they were lost for a common cause, the rest may not stand for the whole.",
        "Copy or convert these files again, or delete them.",
        files=dict(reasons),
    )


def empty_classes(folders: Sequence[str]) -> Finding:
    """SS122: class folders without an image."""
    return Finding(
        "SS122",
        Severity.warning,
        "Class folders without an image",
        f"{some(folders)} {'holds' if len(folders) == 1 else 'hold'} no image.",
        "A class without images takes no part, although somebody made room for it.",
        "Fill the folder or delete it; images are recognized by their ending (.png, .jpg, .webp and so on).",
    )


def stray_files(files: Sequence[str]) -> Finding:
    """SS123: files that are no images."""
    endings = Counter(file.rpartition("/")[2].rpartition(".")[2] for file in files)
    kinds = ", ".join(f".{ending} ({count:,})" for ending, count in endings.most_common(5))
    return Finding(
        "SS123",
        Severity.note,
        "Files beside the images are passed over",
        f"{len(files):,} file{'s' * (len(files) > 1)} by their ending: {kinds}; for instance {some(files[:LISTED])}.",
        "They are no images, or lie outside of the class folders.",
        "Nothing has to be done, unless images are among them: move those into class folders with a usual ending.",
    )


def unfollowed_links(links: Sequence[str]) -> Finding:
    """SS124: links that lead nowhere, in a circle, or to a folder that was read already."""
    return Finding(
        "SS124",
        Severity.warning,
        "Links that were not followed",
        f"{some(links)} {'leads' if len(links) == 1 else 'lead'} nowhere, back to where it began, or to a folder that "
        "was read under another name.",
        "Following them would never end, or give the same image two labels.",
        "Delete the link, or replace it by a copy of what it should lead to.",
    )


def nearly_black(brightest: Mapping[str, int]) -> Finding:
    """SS125: sources all of whose pictures are dark, with their brightest pixel."""
    told = ", ".join(f"{name} {level}" for name, level in brightest.items())
    return Finding(
        "SS125",
        Severity.warning,
        "Pictures are nearly black",
        f"Brightest pixel of all pictures, of 255: {told}.",
        "Files of 16 bits that use only 8 to 14 of them look like that, as the upper 8 count: little is left to learn "
        "from, and beside bright pictures such a source seems harmful.",
        "Stretch the values to the whole range (0 to 65,535, or 0 to 255 in files of 8 bits), all sources alike.",
    )
