"""All rows of a loaded data set as vectors, encoded once and without labels: what every verb works on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthsift.records import DataError, Loaded, Table, concat_x
from synthsift.represent.encoders import Encoder, fit_encoder


@dataclass(frozen=True)
class Encoded:
    """Vectors of all rows.

    Parameters
    ----------
    encoder : Encoder
        Fitted on the rows of the mixture.
    rows : ndarray (n, d)
        In the order of `Mixture.ids`.
    test : ndarray (m, d) or None
        The test rows.
    """

    encoder: Encoder
    rows: np.ndarray
    test: np.ndarray | None


def encode(loaded: Loaded, pca: int | None = None, name: str | None = None) -> Encoded:
    """Encode real, validation, synthetic and test rows; the user's own vectors are only scaled.

    Parameters
    ----------
    loaded : Loaded
    pca : int, optional
        Directions kept of a table.
    name : str, optional
        A pretrained network for images or texts, see `PretrainedEncoder`.

    Raises
    ------
    DataError
        If the inputs carry nothing that could be encoded, or are no table that could be projected.
    """
    if pca is not None and (loaded.embeddings is not None or not isinstance(loaded.mixture.real.x, Table)):
        raise DataError(
            f"pca (--pca) is {pca}, but only tables are projected, and the rows are none. Leave it out, or give "
            "numbers as a data frame or a table."
        )
    if loaded.embeddings is not None:
        vectors, given = loaded.embeddings.astype(np.float32), loaded.test_embeddings
        encoder = fit_encoder(vectors)
        test = None if given is None else encoder.transform(given.astype(np.float32))
        return Encoded(encoder, encoder.transform(vectors), test)
    x = concat_x([part.x for part in loaded.mixture.parts if len(part)])
    encoder = fit_encoder(x, pca=pca, name=name)
    test = None if loaded.test is None else encoder.transform(loaded.test.x)
    return Encoded(encoder, encoder.transform(x), test)
