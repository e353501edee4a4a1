"""In a notebook: handwritten digits, digits rendered from fonts, a third of them spoiled; four lines to a better model.

Open it in an editor that knows `# %%` cells, or run it as a script.
"""

# %% Real and synthetic rows in one array, with a source for each
import numpy as np
from sklearn.linear_model import LogisticRegression

from synthsift import Seeds, SyntheticDataSelector
from synthsift.studies.digits import demo_data

data = demo_data(Seeds(0), num_real=200, num_synth=600)
X = np.concatenate([data.real["x"], data.rendered["x"]])
y = np.concatenate([data.real["y"], data.rendered["y"]])
source = np.repeat(["real", "rendered"], [len(data.real["y"]), len(data.rendered["y"])])

# %% Is the model better for the synthetic rows? The last line shows the verdict with its intervals
selector = SyntheticDataSelector(policies=["RealTimes5", "TrustedMargin", "LearnedWeights"], num_seeds=1)
selector.fit(X, y, source=source, X_valid=data.valid["x"], y_valid=data.valid["y"])
selector  # noqa: B018 - in a notebook this shows a page
print(selector.verdict_.sentence)

# %% Train with the weights; rows of weight 0 take no part
model = LogisticRegression(C=0.01, max_iter=1000)
model.fit(X[selector.support_], y[selector.support_], sample_weight=selector.weights_[selector.support_])
careful = model.score(data.test["x"], data.test["y"])
careless = model.fit(X, y).score(data.test["x"], data.test["y"])
print(f"test accuracy {careful:.3f} with the weights, {careless:.3f} with all rows alike")

# %% The learned weights see through the spoiled rows, whatever the verdict
bad = data.planted["bad"]
learned = selector.learned_weights_[source == "rendered"]
print(f"mean learned weight of sound digits {learned[~bad].mean():.2f}, of spoiled ones {learned[bad].mean():.2f}")

assert careful > careless
assert learned[~bad].mean() > 1.5 * learned[bad].mean()
