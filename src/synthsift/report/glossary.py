"""What the named features mean, in a few words; a name that is not here is shown without any."""

from __future__ import annotations

FEATURES = {
    "margin": "trusted model's probability of the label minus that of the best other one",
    "trusted_loss": "loss of the trusted model on the label; high where it contradicts",
    "knn_agreement": "share of the nearest real rows with the same label",
    "knn_shapley": "worth for predicting the real rows by nearest neighbors",
    "own_class_distance": "distance to the nearest real row of its class",
    "class_gap": "how much nearer its own class is than any other",
    "center_distance": "distance to the center of its class",
    "density_ratio": "how real it looks to a classifier of real and synthetic rows",
    "class": "the label itself",
    "source": "where the row comes from",
}
