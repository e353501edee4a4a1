from __future__ import annotations

import base64
from typing import Any

import pytest

from synthsift.report import gallery
from synthsift.report.gallery import PNG, collect_gallery


def make_item(weight: object = 1.0, **content: object) -> dict[str, object]:
    return {"id": "i", "source": "s", "label": "l", "weight": weight, **content}


@pytest.mark.parametrize(
    "record",
    [None, [], {}, {"kind": "video", "items": []}, {"kind": "text", "items": 3}, {"kind": "text", "items": [3]}],
)
def test_nothing_to_show(record: object) -> None:
    assert collect_gallery(record) is None


def ends_of(record: dict[str, object], **more: object) -> tuple[list[Any], list[Any]]:
    """Both ends of the only source and class."""
    seen = collect_gallery({**record, **more})
    assert seen is not None
    (source,) = seen["sources"]
    (entry,) = source["classes"]
    return entry["highest"], entry["lowest"]


def test_without_ends_the_heavier_half_is_the_highest() -> None:
    items = [make_item(weight, text=str(weight)) for weight in (3, 1, 0.0, 9, None)]
    highest, lowest = ends_of({"kind": "text", "items": items})
    assert [item["weight"] for item in highest] == [9, 3, 1]
    assert [item["weight"] for item in lowest] == [None, 0.0]


def test_ends_sources_and_classes_are_told_apart() -> None:
    items = [
        {**make_item(weight, text="t"), "source": source, "label": label, "end": end}
        for source in ("b", "a")
        for label in ("x", "y")
        for weight, end in ((0.1, "lowest"), (2.0, "highest"), (0.2, "lowest"), (3.0, "highest"))
    ]
    pairs = [{"source": "b", "label": "x", "rows": 7}, {"source": "b"}, 5]
    seen = collect_gallery({"kind": "text", "by": "EL2N", "items": items, "pairs": pairs, "num_pairs": 9})
    assert seen is not None and (seen["by"], seen["num_more"], seen["num_skipped"]) == ("EL2N", 5, 0)
    assert [source["name"] for source in seen["sources"]] == ["b", "a"]
    assert [(entry["label"], entry["rows"]) for entry in seen["sources"][0]["classes"]] == [("x", 7), ("y", None)]
    for source in seen["sources"]:
        for entry in source["classes"]:
            assert [item["weight"] for item in entry["highest"]] == [3.0, 2.0]
            assert [item["weight"] for item in entry["lowest"]] == [0.1, 0.2]


def test_notes_and_planted_rows() -> None:
    notes = {"a": [1.0, 0.5], "b": 3, "c": [1], "d": [None, None], "e": [2.0, 0.1], "f": [2.0, 0.1]}
    record = {"kind": "text", "items": [{**make_item(text="t"), "notes": notes}, make_item(0.5, text="u")]}
    seen = collect_gallery(record, {"why": {"i": "wrong label"}})
    assert seen is not None
    (item,) = seen["sources"][0]["classes"][0]["highest"]
    assert [note["name"] for note in item["notes"]] == ["a", "d", "e"] and item["planted"] == "wrong label"
    for odd in ({"why": 3}, {"why": None}, {}):
        assert collect_gallery(record, odd) is not None


def test_long_texts_and_many_cells_are_cut() -> None:
    highest, lowest = ends_of({"kind": "text", "items": [make_item(text="x" * 501), make_item(text=7)]})
    assert [len(item["content"]) for item in highest] == [500]
    assert lowest[0]["content"] == "7"
    cells = {f"c{i}": "y" * 900 for i in range(40)}
    rows = {"kind": "rows", "items": [make_item(cells=cells, num_more=5), make_item(cells=None)]}
    seen = collect_gallery(rows)
    assert seen is not None and seen["num_skipped"] == 1 and len(seen["columns"]) == 30
    content = ends_of(rows)[0][0]["content"]
    assert len(content["cells"]) == 30 and content["num_more"] == 15
    assert set(map(len, content["cells"].values())) == {gallery.MAX_CELL}


def test_only_png_pictures_pass_and_only_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    png = base64.b64encode(PNG + bytes(90)).decode()
    bad = ['"><script>alert(1)</script>', base64.b64encode(b"GIF89a").decode(), png + "\n<", None, 5, "ö"]
    items = [make_item(png=picture) for picture in [*bad, png, png, png]]
    monkeypatch.setattr(gallery, "MAX_PICTURE_BYTES", 2 * len(png))
    highest, lowest = ends_of({"kind": "image", "items": items})
    assert [item["content"] for item in highest + lowest] == [png, png]


def test_where_room_is_short_every_class_keeps_its_outermost_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [{**make_item(float(w), text=str(w)), "label": label} for label in "abc" for w in range(10)]
    monkeypatch.setattr(gallery, "MAX_ITEMS", 6)
    seen = collect_gallery({"kind": "text", "items": items})
    assert seen is not None and seen["num_skipped"] == 24
    for entry in seen["sources"][0]["classes"]:
        assert ([i["weight"] for i in entry["highest"]], [i["weight"] for i in entry["lowest"]]) == ([9.0], [0.0])


@pytest.mark.parametrize(
    ("weights", "light"), [((1.9e-06, 1.7e-06), True), ((0.0, 0.0), True), ((0.5, 0.0), False), ((None, 0.0), False)]
)
def test_a_class_that_weighs_next_to_nothing_is_marked(weights: tuple[float | None, ...], light: bool) -> None:
    seen = collect_gallery({"kind": "text", "items": [make_item(weight, text="t") for weight in weights]})
    assert seen is not None and seen["sources"][0]["classes"][0]["light"] is light
