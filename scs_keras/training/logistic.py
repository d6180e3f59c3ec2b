"""Logistic regression on a few numbers of each sample: the simplest baseline that learns."""

import numpy as np

STEPS = 500
MOST_FEATURES = 5000


class Logistic:
    """Multinomial logistic regression on standardised features, with half the squared weights as penalty.

    All classes weigh alike in sum, however many samples they have. That is what scikit-learn's
    `LogisticRegression(class_weight="balanced")` minimises after its `StandardScaler`.

    Args:
        features: (samples, features).
        labels: (samples,), 0 to classes - 1.
        classes: their number.

    Raises:
        ValueError: there are no samples, or more than `MOST_FEATURES` features.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, classes: int):
        features = np.asarray(features, "float64")
        if not len(features) or features.shape[1] > MOST_FEATURES:
            raise ValueError(
                f"A logistic regression takes samples of at most {MOST_FEATURES} features. Received: {features.shape}."
            )
        self.mean, deviation = features.mean(axis=0), features.std(axis=0)
        self.deviation = np.where(deviation > 0, deviation, 1.0)
        self.weights = np.zeros((features.shape[1] + 1, classes))
        counts = np.bincount(labels, minlength=classes)
        weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))[labels]
        self._fit(self._standardised(features), np.eye(classes)[labels], weights[:, None])

    def _fit(self, x, y, weights):
        """Accelerated gradient descent with the step that the largest curvature allows."""
        penalty = np.append(np.ones(x.shape[1] - 1), 0.0)[:, None]  # none on the offsets
        step = 1 / (0.5 * np.linalg.norm(np.sqrt(weights) * x, 2) ** 2 + 1.0)
        ahead = self.weights
        for count in range(STEPS):
            gradient = x.T @ (weights * (_softmax(x @ ahead) - y)) + penalty * ahead
            before, self.weights = self.weights, ahead - step * gradient
            ahead = self.weights + count / (count + 3) * (self.weights - before)

    def _standardised(self, features):
        scaled = (np.asarray(features, "float64") - self.mean) / self.deviation
        return np.concatenate([scaled, np.ones((len(scaled), 1))], axis=1)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Probabilities (samples, classes), float32."""
        return _softmax(self._standardised(features) @ self.weights).astype("float32")


def _softmax(x):
    raised = np.exp(x - x.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)
