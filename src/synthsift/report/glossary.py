"""What named features and policies mean, in a few words; a name that is not here is shown without any."""

from __future__ import annotations

import re

NEAREST = {1: "nearest", 2: "second nearest", 3: "third nearest"}
FEATURES = {
    "margin": "trusted model's probability of the label minus that of the best other one",
    "trusted_loss": "loss of the trusted model on the label; high where it contradicts",
    "knn_agreement": "share of the nearest real rows with the same label",
    "knn_shapley": "worth for predicting the real rows by nearest neighbors",
    "own_class_distance": "distance to the nearest real row of its class",
    "class_gap": "how much nearer its own class is than any other",
    "center_distance": "distance to the center of its class",
    "density_ratio": "how real it looks to a classifier of real and synthetic rows",
    "real_center": "likeness to the center of the real rows of its class",
    "synth_center": "likeness to the center of the synthetic rows of its class",
    **{f"real_top{k}": f"likeness to the {words} real row of its class" for k, words in NEAREST.items()},
    **{f"synth_top{k}": f"likeness to the {words} synthetic row of its class" for k, words in NEAREST.items()},
    **{f"probe_top{k}": f"likeness to the {words} real row, as probes see it" for k, words in NEAREST.items()},
    "probe_center": "likeness to the center of its class, as probes see it",
    "mixed_agreement": "share of the nearest rows of both kinds with the same label",
    "median_percentile": "how unusual its distance to the center of its class is",
    "gradient_norm": "how far a probe would have to move to learn it",
    "el2n": "distance of a probe's prediction to the label, early in its training",
    "forgetting": "how often a probe forgot it again during its training",
    "place": "roughly where it lies among all rows",
    "class": "the label itself",
    "source": "where the row comes from",
}
POLICIES = {
    "RealOnly": "real rows only",
    "Everything": "all rows, each counted once",
    "RandomSubset": "a random half of the synthetic rows",
    "BestSources": "the sources that help, found inside each training part",
    "TrustedMarginFilter": "synthetic rows whose label a model of the real rows does not contradict",
    "TrustedMargin": "all synthetic rows, weighted by how far a model of the real rows agrees with the label",
    "KNNShapley": "synthetic rows that help nearest neighbors to predict the real rows",
    "LearnedWeights": "weights from a small network, trained so that real rows are predicted well",
    "MetaWeightNet": "weights from the loss alone, learned as Shu and others (2019) do",
    "LearnToReweight": "weights from one gradient step each, as Ren and others (2018) do",
}
TIMES = re.compile(r"RealTimes(\d+)")
COMBINED = re.compile(r"(\w+)\+Real(\d+)")


def policy_meaning(name: str) -> str:
    """Return what a policy does with the rows, as in all rows, real ones counted 5 times; "" if it is not ours."""
    if times := TIMES.fullmatch(name):
        return f"all rows, real ones counted {times[1]} times"
    if combined := COMBINED.fullmatch(name):
        inner = POLICIES.get(combined[1], "")
        return f"{inner}; real rows counted {combined[2]} times" if inner else ""
    return POLICIES.get(name, "")
