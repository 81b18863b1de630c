"""Whether a tagger hears the right class in each sound."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from metrics.estimate import TAIL, Estimate, group_numbers, weighted_mean_estimate

HEARD_ABOVE = 0.1
ANY_ANIMAL = "Animal"
WORDS = {
    "cat": ("Cat", "Purr", "Meow", "Hiss", "Caterwaul"),
    "dog": ("Dog", "Bark", "Yip", "Howl", "Bow-wow", "Growling", "Whimper (dog)"),
}


class ClassAgreement(Metric):
    """Share of sounds in which a tagger hears the right class.

    Why: sets of sounds may be close to each other while cats bark. A tagger that was fitted on millions of other sounds
    is an independent judge.

    Args:
        class_names: classes of the tagger, in the order of its scores.
        classes: classes of the sounds; labels are positions in it.
        words: classes of the tagger that match each class. The default is `WORDS` for cats and dogs, and else the
            tagger's class of the same name in any case.
        num_resamples, seed: number of resamples drawn for the intervals, and their seed.

    `compute` gives a dict of `Estimate`, shares from 0 to 1, for all sounds (`heard`) and for each class that was added
    (`heard/<class>`):
        forced_choice: a word of the right class has a larger score than all words of the others.
        named: a word of the right class has a score above 0.1.
        heard: a word of the right class, or 'Animal' if the tagger has it, has a score above 0.1.

    The intervals come from resampled groups. If all sounds agree, resampling shows no uncertainty. The interval is then
    that of Clopper and Pearson, with each group as a trial.

    Raises:
        ValueError: if a class has no words, or the tagger lacks one of them.
    """

    full_state_update = False
    agrees: list[Tensor]
    labels: list[Tensor]
    groups: list[Tensor]

    def __init__(
        self,
        class_names: Sequence[str],
        classes: Sequence[str],
        words: Mapping[str, Sequence[str]] | None = None,
        num_resamples: int = 1000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.classes, self.num_tags = list(classes), len(class_names)
        self.tags_of_classes = [_find_tags(name, list(class_names), words or {}) for name in classes]
        self.animal_tags = [tag for tag, name in enumerate(class_names) if name == ANY_ANIMAL]
        self.num_resamples, self.seed = num_resamples, seed
        for name in ("agrees", "labels", "groups"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, scores: Tensor, labels: Tensor, groups: Sequence[str]) -> None:
        """Adds scores (batch, tags) and labels (batch,) of sounds and, for each sound, the name of its recording."""
        if scores.ndim != 2 or scores.shape[1] != self.num_tags or not len(scores) == len(labels) == len(groups):
            expected = f"scores (sounds, {self.num_tags}), a label and a group for each sound"
            found = f"{tuple(scores.shape)}, {len(labels)} labels and {len(groups)} groups"
            raise ValueError(f"Expected {expected}, found {found}.")
        labels = labels.to(scores.device)
        of_classes = self.score_classes(scores)
        own = of_classes.gather(1, labels[:, None])[:, 0]
        is_heard = torch.cat([own[:, None], scores[:, self.animal_tags]], dim=1).amax(dim=1) > HEARD_ABOVE
        self.agrees.append(torch.stack([of_classes.argmax(dim=1) == labels, own > HEARD_ABOVE, is_heard], dim=1))
        self.labels.append(labels)
        self.groups.append(group_numbers(groups).to(scores.device))

    def score_classes(self, scores: Tensor) -> Tensor:
        """(batch, classes) largest of the scores (batch, tags) of each class's words."""
        return torch.stack([scores[:, tags].amax(dim=1) for tags in self.tags_of_classes], dim=1)

    def compute(self) -> dict[str, Estimate]:
        """Computes the shares of everything added since the last reset; raises ValueError if nothing was."""
        if not len(self.labels):
            raise ValueError("Expected tagged sounds, found none.")
        labels, groups = (dim_zero_cat(state).cpu().numpy() for state in (self.labels, self.groups))
        rng = np.random.default_rng(self.seed)
        figures = {}
        columns = dim_zero_cat(self.agrees).cpu().double().numpy().T
        for name, agrees in zip(("forced_choice", "named", "heard"), columns, strict=True):
            figures[name] = self._share(agrees, groups, rng)
            for label in np.unique(labels):
                chosen = labels == label
                figures[f"{name}/{self.classes[label]}"] = self._share(agrees[chosen], groups[chosen], rng)
        return figures

    def _share(self, agrees: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> Estimate:
        estimate = weighted_mean_estimate(agrees, groups, self.num_resamples, rng)
        doubt = 1 - TAIL ** (1 / len(np.unique(groups)))
        if estimate.value == 1.0:
            estimate.low = 1 - doubt
        elif estimate.value == 0.0:
            estimate.high = doubt
        return estimate


def _find_tags(name: str, class_names: list[str], words: Mapping[str, Sequence[str]]) -> list[int]:
    chosen = words.get(name) or WORDS.get(name.lower()) or [tag for tag in class_names if tag.lower() == name.lower()]
    if not chosen:
        raise ValueError(f"The tagger has no class '{name}'; name those that match it in `words`.")
    if unknown := [word for word in chosen if word not in class_names]:
        raise ValueError(f"Expected words of class '{name}' that the tagger has, found also {unknown}.")
    return [class_names.index(word) for word in chosen]
