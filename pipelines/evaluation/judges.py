"""Those that hear the sounds of an evaluation: an embedding, a tagger and a second listener."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from media.sound.sound_files import resample
from metrics import ClassAgreement, ClassHead, Embedding, Estimate


class Tagger(Protocol):
    """An independent classifier of sounds with many classes."""

    name: str
    class_names: list[str]
    sample_rate_hz: int

    def tag(self, waveforms: Tensor) -> Tensor:
        """Scores (batch, tags) in [0, 1] of waveforms (batch, samples) in [-1, 1]."""


@dataclass(frozen=True)
class Heard:
    """All that the judges hear in the sounds of a job.

    Attributes:
        groups: name of the recording of each sound.
        embeddings: (sounds, dimensions).
        scores: (sounds, tags) of the tagger, with no tags if there is none.
        second: (sounds, dimensions) of the second listener, with no dimensions if there is none.
    """

    groups: list[str]
    embeddings: Tensor
    scores: Tensor
    second: Tensor


class Judges:
    """Listen to sounds, and say whether these are of their class.

    Args:
        classes: names of the classes.
        embedding: embedding in which sets of sounds are compared.
        tagger: classifier that hears classes by their names; None for none.
        words: the tagger's names for each class; None for those that `ClassAgreement` knows.
        listener: second embedding, independent of the others, that learns the classes from sounds; None for none.

    Raises:
        ValueError: if the tagger lacks one of the words.
    """

    def __init__(
        self,
        classes: list[str],
        embedding: Embedding,
        tagger: Tagger | None = None,
        words: dict[str, list[str]] | None = None,
        listener: Embedding | None = None,
    ) -> None:
        self.classes, self.embedding, self.listener = classes, embedding, listener
        self.tagger, self.words = tagger, words
        self._head: ClassHead | None = None
        if tagger is not None:
            self._agreement_with(tagger)  # so that it raises before sounds are made

    def listen(self, waveforms: np.ndarray, rate_hz: int, groups: list[str]) -> Heard:
        """Everything that all judges hear in waveforms (batch, samples) of these recordings."""

        def at_rate_of(judge: Embedding | Tagger) -> Tensor:
            return torch.from_numpy(resample(waveforms, rate_hz, judge.sample_rate_hz))

        embedding, tagger, nothing = self.embedding, self.tagger, torch.empty(len(waveforms), 0)
        second = nothing if self.listener is None else self.listener.embed(at_rate_of(self.listener))
        if type(embedding) is type(tagger) and hasattr(embedding, "embed_and_tag"):
            return Heard(groups, *embedding.embed_and_tag(at_rate_of(embedding)), second)
        scores = nothing if tagger is None else tagger.tag(at_rate_of(tagger))
        return Heard(groups, embedding.embed(at_rate_of(embedding)), scores, second)

    def learn(self, known: list[list[Heard]]) -> None:
        """Teaches the second listener the classes, by the real training sounds of each.

        Raises:
            ValueError: if there are too few, see `ClassHead`.
        """
        every = [heard for of_class in known for heard in of_class]
        self._head = ClassHead(
            torch.cat([heard.second for heard in every]),
            torch.cat([torch.full((len(heard.groups),), label) for label, few in enumerate(known) for heard in few]),
            [name for heard in every for name in heard.groups],
        )

    def agreement(self, sounds: Iterable[Heard], label: int) -> dict[str, Estimate]:
        """Computes how often the judges hear a class in sounds of it, and how often they disagree.

        Returns:
            The figures of `ClassAgreement` for the tagger. If the second listener knows the classes, `second_choice` is
            its forced choice, and `disagree` is the share of sounds to which both give different classes.
        """
        own_names = {name: [name] for name in self.classes}
        second, both = (ClassAgreement(self.classes, self.classes, own_names) for _ in range(2))
        first = None if self.tagger is None else self._agreement_with(self.tagger)
        for heard in sounds:
            labels = torch.full((len(heard.groups),), label)
            if first is not None:
                first.update(heard.scores, labels, heard.groups)
            if self._head is not None:
                scores = self._head.score(heard.second, heard.groups)
                second.update(scores, labels, heard.groups)
                if first is not None:
                    both.update(scores, first.score_classes(heard.scores).argmax(dim=1), heard.groups)
        figures = {} if first is None else first.compute()
        if self._head is not None:
            figures["second_choice"] = second.compute()["forced_choice"]
            if first is not None:
                same = both.compute()["forced_choice"]
                figures["disagree"] = replace(same, value=1 - same.value, low=1 - same.high, high=1 - same.low)
        return figures

    def _agreement_with(self, tagger: Tagger) -> ClassAgreement:
        return ClassAgreement(tagger.class_names, self.classes, self.words)
