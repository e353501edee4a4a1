"""Optional packages: what is asked of them, shown by stand-ins, and what is said when they are not there."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from synthsift.records import DataError, Images, Table
from synthsift.represent import pretrained
from synthsift.represent.encoders import fit_encoder, restore
from synthsift.represent.pretrained import PretrainedEncoder, check_encoder

TABLE = Table(("height", "kind"), (np.arange(5.0), np.zeros(5, np.int32)), (None, ("a",)))
TEXTS = np.array([f"{'a' * k} text" for k in range(1, 31)], dtype=object)


class Net(torch.nn.Module):
    """Means of the three colors and a constant."""

    visual = SimpleNamespace(image_size=(48, 48))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[1:] == (3, 48, 48) and not self.training
        return torch.cat([x.mean(dim=(2, 3)), torch.ones(len(x), 1)], dim=1)

    encode_image = forward


class Sentences:
    """Length of the text, twice."""

    def __init__(self, name: str) -> None:
        if name == "missing":
            raise OSError("no such model")

    def encode(self, texts: list[str], convert_to_numpy: bool, show_progress_bar: bool) -> np.ndarray:
        assert convert_to_numpy and not show_progress_bar
        return np.array([[len(text), 2.0 * len(text)] for text in texts])


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Small modules in the place of the real ones; the calls they got."""
    calls: dict[str, Any] = {}

    def create_model(name: str, pretrained: bool, num_classes: int) -> Net:
        calls["timm"] = (name, pretrained, num_classes)
        return Net()

    def create_model_and_transforms(name: str, pretrained: str | None) -> tuple[Net, None, Any]:
        calls["open_clip"] = (name, pretrained)
        return Net(), None, lambda picture: torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255

    config = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.5), "input_size": (3, 48, 48)}
    modules: dict[str, dict[str, Any]] = {
        "timm": {"create_model": create_model, "data": SimpleNamespace(resolve_model_data_config=lambda net: config)},
        "open_clip": {"create_model_and_transforms": create_model_and_transforms},
        "sentence_transformers": {"SentenceTransformer": Sentences},
    }
    for name, content in modules.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    pretrained._load.cache_clear()
    yield calls
    pretrained._load.cache_clear()


def levels(count: int) -> Images:
    """Flat pictures, each of one gray level."""
    store = np.ones((count, 32, 32, 3), np.uint8) * np.arange(count, dtype=np.uint8)[:, None, None, None]
    return Images(store, np.arange(count))


def test_timm_gets_normalized_pictures_of_its_own_size(stand_ins: dict[str, Any]) -> None:
    x = levels(200)
    encoder = fit_encoder(x, name="timm:resnet18")
    assert isinstance(encoder, PretrainedEncoder) and stand_ins["timm"] == ("resnet18", True, 0)
    vectors = encoder.transform(x)
    raw = vectors * encoder.scale + encoder.center
    level = np.arange(200) / 255
    want = np.stack([(level - 0.5) / 0.25, (level - 0.5) / 0.25, (level - 0.5) / 0.5, np.ones(200)], axis=1)
    np.testing.assert_allclose(raw, want, atol=1e-5)  # float32
    arrays, settings = encoder.state()
    again = restore(arrays, json.loads(json.dumps(settings)))
    assert np.array_equal(again.transform(x[:5]), vectors[:5])
    assert again.transform(x[:0]).shape == (0, 4)


def test_pictures_are_decoded_again_where_there_are_files() -> None:
    asked = []

    def reread(places: np.ndarray, pixels: int) -> np.ndarray:
        asked.append(pixels)
        return np.full((len(places), pixels, pixels, 3), 10, np.uint8) + places[:, None, None, None].astype(np.uint8)

    x = Images(np.zeros((9, 32, 32, 3), np.uint8), np.array([3, 5, 8]), reread)
    vectors = fit_encoder(x, name="timm:resnet18").transform(x)
    assert set(asked) == {48} and vectors[0, 0] < vectors[1, 0] < vectors[2, 0]


@pytest.mark.parametrize(
    ("name", "want"),
    [("ViT-B-32/laion2b", ("ViT-B-32", "laion2b")), ("hf-hub:org/net", ("hf-hub:org/net", None))],
)
def test_open_clip_gets_name_and_weights(name: str, want: tuple[str, str | None], stand_ins: dict[str, Any]) -> None:
    x = levels(20)
    vectors = fit_encoder(x, name=f"open_clip:{name}").transform(x)
    assert stand_ins["open_clip"] == want and (np.diff(vectors[:, 0]) > 0).all()


def test_sentence_transformers_read_texts() -> None:
    vectors = fit_encoder(TEXTS, name="sentence-transformers:mini").transform(TEXTS)
    assert vectors.shape == (30, 2) and (np.diff(vectors[:, 0]) > 0).all()


@pytest.mark.parametrize(
    ("name", "x", "message"),
    [
        ("timm:resnet18", TEXTS, "reads images, but the data are texts"),
        ("sentence-transformers:mini", levels(3), "reads texts, but the data are images"),
        ("sentence-transformers:mini", np.zeros((5, 2)), "reads texts, but the data are arrays"),
        ("sentence-transformers:mini", TABLE, "reads texts, but the data are a table. Name the column of documents"),
        ("timm:resnet18", TABLE, "reads images, but the data are a table. Choose an encoder that fits"),
        ("sentence-transformers:missing", TEXTS, "cannot be loaded: no such model. Check the name"),
        ("sentence-transformers:mini", TEXTS[:1], "the same vector for all rows"),
        ("resnet18", levels(3), "unknown encoder 'resnet18'; give timm:NAME"),
        ("timm:", levels(3), "unknown encoder 'timm:'"),
        ("open_clip:ViT-B-32", levels(3), "names no weights"),
    ],
)
def test_what_cannot_work_is_refused_with_a_reason(name: str, x: Any, message: str) -> None:
    with pytest.raises(DataError) as error:
        fit_encoder(x, name=name)
    assert message in str(error.value)


def test_numbers_that_are_not_finite_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sentences, "encode", lambda self, texts, **more: np.full((len(texts), 2), np.nan))
    with pytest.raises(DataError, match="not finite"):
        fit_encoder(TEXTS, name="sentence-transformers:mini")


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("timm:resnet18", "timm", "images"),
        ("open_clip:ViT-B-32/laion2b", "open_clip", "images"),
        ("sentence-transformers:mini", "sentence_transformers", "text"),
    ],
)
def test_a_package_that_is_not_installed_is_named_with_its_extra(
    name: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # an import of it fails
    with pytest.raises(DataError) as error:
        check_encoder(name)
    assert f"pip install 'synthsift[{extra}]'" in str(error.value) and name in str(error.value)
