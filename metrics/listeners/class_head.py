"""A classifier of sounds on top of any embedding."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from torch import Tensor

PENALTY = 0.01  # of the squared weights of standardised embeddings
NUM_FOLDS = 5
SMALLEST = 1e-12  # standard deviation to divide by


class ClassHead:
    """Names the class of a sound by multinomial logistic regression on embeddings of real training sounds.

    Why: an embedding alone names nothing, and the words of a tagger may lack a class. Each class counts the same,
    however many sounds it has.

    A sound from one of the training recordings is scored by a regression that was fitted without this recording, so
    that training sounds, and copies of them, are named as fairly as new ones.

    Args:
        embeddings: (sounds, dimensions) of the training sounds.
        labels: (sounds,) numbers of their classes, from 0 on.
        groups: name of the recording of each sound.

    Raises:
        ValueError: if there are fewer than two classes, or one has fewer than two recordings.
    """

    def __init__(self, embeddings: Tensor, labels: Tensor, groups: Sequence[str]) -> None:
        points, numbers = embeddings.cpu().double().numpy(), labels.cpu().numpy()
        num_classes = max(2, numbers.max() + 1)
        self._fold_of = {name: number % NUM_FOLDS for number, name in enumerate(dict.fromkeys(groups))}
        folds = np.array([self._fold_of[name] for name in groups])
        self._regressions = []
        for fold in (*range(NUM_FOLDS), None):  # the last one is fitted on everything
            chosen = folds != fold if fold is not None else np.full(len(folds), True)
            if len(np.unique(numbers[chosen])) < num_classes:
                found = [len({*np.array(groups)[numbers == label]}) for label in range(numbers.max() + 1)]
                raise ValueError(
                    f"Expected 2 or more recordings of each of 2 or more classes, found {found}. Add sounds."
                )
            self._regressions.append(_Regression(points[chosen], numbers[chosen]))

    def score(self, embeddings: Tensor, groups: Sequence[str]) -> Tensor:
        """(sounds, classes) probabilities for embeddings (sounds, dimensions) of sounds from these recordings."""
        points = embeddings.cpu().double().numpy()
        chosen = np.array([self._fold_of.get(name, NUM_FOLDS) for name in groups])
        of_regressions = np.stack([regression.score(points) for regression in self._regressions])
        return torch.from_numpy(of_regressions[chosen, np.arange(len(points))])


class _Regression:
    """Multinomial logistic regression of standardised points (sounds, dimensions) on labels (sounds,)."""

    def __init__(self, points: np.ndarray, labels: np.ndarray) -> None:
        self.mean, self.deviation = points.mean(axis=0), np.maximum(points.std(axis=0), SMALLEST)
        inputs, targets = self._standardise(points), np.eye(labels.max() + 1)[labels]
        shares = (targets / targets.sum(axis=0)).sum(axis=1) / targets.shape[1]

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            weights = flat.reshape(-1, targets.shape[1])
            log_scores = log_softmax(inputs @ weights, axis=1)
            slopes = np.vstack([PENALTY * weights[:-1], np.zeros_like(weights[-1:])])  # the last row is the bias
            slopes += inputs.T @ ((np.exp(log_scores) - targets) * shares[:, np.newaxis])
            value = PENALTY / 2 * np.square(weights[:-1]).sum() - shares @ (log_scores * targets).sum(axis=1)
            return value, slopes.ravel()

        start = np.zeros(inputs.shape[1] * targets.shape[1])
        self.weights = minimize(loss, start, jac=True, method="L-BFGS-B").x.reshape(-1, targets.shape[1])

    def score(self, points: np.ndarray) -> np.ndarray:
        """(sounds, classes) probabilities of points (sounds, dimensions)."""
        return softmax(self._standardise(points) @ self.weights, axis=1)

    def _standardise(self, points: np.ndarray) -> np.ndarray:
        scaled = (points - self.mean) / self.deviation
        return np.hstack([scaled, np.ones((len(points), 1))])
