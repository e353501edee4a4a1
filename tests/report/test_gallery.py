from __future__ import annotations

import base64

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


def test_heavier_and_lighter_half_are_ordered_from_their_ends() -> None:
    items = [make_item(weight, text=str(weight)) for weight in (3, 1, 0.0, 9, None)]
    seen = collect_gallery({"kind": "text", "items": items})
    assert seen is not None
    assert [item["weight"] for item in seen["highest"]] == [9, 3, 1]
    assert [item["weight"] for item in seen["lowest"]] == [None, 0.0]


def test_long_texts_and_many_cells_are_cut() -> None:
    text = collect_gallery({"kind": "text", "items": [make_item(text="x" * 501), make_item(text=7)]})
    assert text is not None
    assert [len(item["content"]) for item in text["highest"]] == [500]
    assert text["lowest"][0]["content"] == "7"
    cells = {f"c{i}": "y" * 900 for i in range(40)}
    rows = collect_gallery({"kind": "rows", "items": [make_item(cells=cells), make_item(cells=None)]})
    assert rows is not None and rows["num_skipped"] == 1
    content = rows["highest"][0]["content"]
    assert len(content["cells"]) == 30 and content["num_more"] == 10
    assert set(map(len, content["cells"].values())) == {500}


def test_only_png_pictures_pass_and_only_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    png = base64.b64encode(PNG + bytes(90)).decode()
    bad = ['"><script>alert(1)</script>', base64.b64encode(b"GIF89a").decode(), png + "\n<", None, 5, "ö"]
    items = [make_item(png=picture) for picture in [*bad, png, png, png]]
    monkeypatch.setattr(gallery, "MAX_PICTURE_BYTES", 2 * len(png))
    seen = collect_gallery({"kind": "image", "items": items})
    assert seen is not None
    assert [item["content"] for item in seen["highest"] + seen["lowest"]] == [png, png]
    assert seen["num_skipped"] == len(bad) + 1
