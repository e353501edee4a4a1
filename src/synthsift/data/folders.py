"""Folders of images, mostly with one folder a class, listed without opening a picture.

Links are followed, but each folder is read once: a link that leads back or to a folder that was read already is
reported and passed over. Nothing is decoded here.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from synthsift.records import DataError

# EPS would run Ghostscript on a file of unknown origin; the others are recognized by Pillow but cannot be read.
REFUSED = frozenset({"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"})


@dataclass(frozen=True)
class ImageFolder:
    """What lies in a folder of images, mostly with one folder a class.

    Parameters
    ----------
    root : Path
        The folder, as the user gave it.
    names : tuple of str
        Paths of the images below `root`, with "/" between the parts, sorted.
    labels : tuple of str
        The class folder of each; "" where there are no classes.
    empty : tuple of str
        Class folders that hold no image.
    strays : tuple of str
        Files that are no images (pipes, sockets and devices among them), and images outside of the class folders.
    links : tuple of str
        Links that were not followed.
    """

    root: Path
    names: tuple[str, ...]
    labels: tuple[str, ...]
    empty: tuple[str, ...]
    strays: tuple[str, ...]
    links: tuple[str, ...]

    @property
    def paths(self) -> list[str]:
        """The path of each image, beginning as the user wrote it."""
        return [str(self.root / name) for name in self.names]


def printable(name: str) -> str:
    """Return a file name as text that can be written: bytes that are not UTF-8 become "?"."""
    return name.encode(errors="replace").decode()


@cache
def image_formats() -> tuple[str, ...]:
    """Return the formats of Pillow that are read."""
    from PIL import Image

    Image.init()
    return tuple(name for name in Image.OPEN if name not in REFUSED)


@cache
def image_endings() -> frozenset[str]:
    """Return the endings of file names that stand for an image, in lower case."""
    from PIL import Image

    known = set(image_formats())
    return frozenset(ending for ending, name in Image.registered_extensions().items() if name in known)


def is_image_folder(path: Path) -> bool:
    """Tell whether `path` is a folder in which a class folder holds an image."""
    return path.is_dir() and any(kind == "image" and "/" in name for kind, name in _walk(path))


def list_images(path: str | Path) -> ImageFolder:
    """List the images of every class folder.

    Raises
    ------
    DataError
        If a folder may not be read.
    """
    root = Path(path).expanduser()
    found: dict[str, list[str]] = {"image": [], "stray": [], "link": [], "class": []}
    for kind, name in _walk(root):
        found["stray" if kind == "image" and "/" not in name else kind].append(name)
    names = sorted(found["image"])
    folders = [name.partition("/")[0] for name in names]
    empty = sorted(set(found["class"]) - set(folders) - set(found["link"]))
    rest = (tuple(sorted(found[kind])) for kind in ("stray", "link"))
    return ImageFolder(root, tuple(names), tuple(map(printable, folders)), tuple(empty), *rest)


def list_sample(path: str | Path) -> ImageFolder:
    """List a folder of images that may have class folders or none; without them every label is "".

    Raises
    ------
    DataError
        If it is no folder, holds no image, or holds at least as many images beside its class folders as in them.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        seen = "is a file" if root.exists() else "does not exist"
        raise DataError(f"{path} {seen}, and a folder of images is needed. Name the folder that the images lie in.")
    if printable(str(root)) != str(root):
        raise DataError(
            f"the folder name {printable(str(root))!r} is not UTF-8, so no result could name it. Rename it."
        )
    listed = list_images(root)
    plain = tuple(
        n for n in listed.strays if "/" not in n and Path(n).suffix.lower() in image_endings() and (root / n).is_file()
    )
    if not plain and not listed.names:
        raise DataError(
            f"{path} holds no image. Needed are images (.png, .jpg, .webp and so on), directly in it or in one folder "
            "a class. Was it written completely?"
        )
    if listed.names and len(plain) >= len(listed.names):
        raise DataError(
            f"{path} holds {len(plain):,} images directly and {len(listed.names):,} in folders below, so it is not "
            "clear which are meant. Move one kind elsewhere."
        )
    if listed.names:
        return listed
    others = tuple(name for name in listed.strays if name not in plain)
    return replace(listed, names=plain, labels=("",) * len(plain), empty=(), strays=others)


def _walk(root: Path) -> Iterator[tuple[str, str]]:
    """Yield ("class" | "image" | "stray" | "link", path below `root`); hidden files and folders are passed over.

    Links to folders come last, so that a folder is listed under its own name rather than under that of a link.
    """
    seen = {os.path.realpath(root)}
    folders, links = deque([""]), deque[str]()
    while folders or links:
        below = folders.popleft() if folders else links.popleft()
        for entry in _entries(root / below):
            name = f"{below}/{entry.name}".removeprefix("/")
            folder, readable = _nature(entry)
            if folder:
                if not below:
                    yield "class", name
                if entry.is_symlink():
                    links.append(name)
                else:
                    seen.add(os.path.realpath(entry.path))
                    folders.append(name)
            elif readable and Path(entry.name).suffix.lower() in image_endings():
                yield "image", name
            else:
                yield "link" if entry.is_symlink() and not os.path.exists(entry.path) else "stray", name
        while not folders and links:
            place = os.path.realpath(root / links[0])
            if place not in seen:
                seen.add(place)
                break
            yield "link", links.popleft()


def _nature(entry: os.DirEntry[str]) -> tuple[bool, bool]:
    """Tell whether it is a folder, and whether it may be opened: a pipe or a device could make that wait forever.

    A link that leads to itself is no folder and may not; one that leads nowhere may, and is told as a lost image.
    """
    try:
        return entry.is_dir(), entry.is_file() or not os.path.exists(entry.path)
    except OSError:
        return False, False


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, sorted by name, without what is hidden."""
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not e.name.startswith((".", "__MACOSX"))), key=lambda e: e.name)
    except PermissionError as error:
        raise DataError(f"{folder} may not be read: permission denied. Change its permissions.") from error
