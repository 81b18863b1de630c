"""Sampling code by code: by our stepper, and in the two usual ways for a GPT."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from benchmarks.gpt import GPT, with_class_token
from benchmarks.measuring import Plan
from networks import CodePrior, Sampling
from networks.prior.incremental import Precision, PriorStepper

RECOMPUTED = "everything recomputed, as nanoGPT generates"
CACHED = "plain key/value cache, eager"
MAX_STEPS_TIMED = 24


class Generator(Protocol):
    """Draws codes for a batch.

    Attributes:
        num_timed: the most codes that are drawn for one measurement.
    """

    num_timed: int

    def begin(self, num_known: int) -> None:
        """Starts after a number of known random codes."""

    def step(self) -> None:
        """Draws the next code."""


class OurGenerator:
    """Draws with `PriorStepper`, from a prior in evaluation mode, at a precision of `Sampling`."""

    num_timed = MAX_STEPS_TIMED

    @torch.no_grad()
    def __init__(self, plan: Plan, prior: CodePrior, precision: Precision = "float32", batch_size: int = 1) -> None:
        self.sampling = Sampling()
        labels = torch.zeros(batch_size, dtype=torch.long, device=plan.device)
        with plan.half(precision):
            self.stepper = PriorStepper(prior, labels, plan.of_weights(precision))
        self.codes = random_codes(prior.num_codes, batch_size, prior.sequence_length - 1, plan.device)
        self.context = prior.context(random_top_codes(prior, batch_size))

    def begin(self, num_known: int) -> None:
        self.last = self.codes[:, num_known - 1] if num_known else None
        self.stepper.start(self.codes[:, :num_known], None if self.context is None else self.context[:, :num_known])

    def step(self) -> None:
        above = None if self.context is None else self.context[:, self.stepper.position]
        logits = self.stepper.step(self.last, above)
        self.last = self.sampling.draw(logits, torch.rand(len(logits)).to(logits.device))


class CachedGenerator:
    """Draws from a GPT that caches all keys and values and computes one token at a time."""

    num_timed = MAX_STEPS_TIMED

    def __init__(self, gpt: GPT, batch_size: int = 1) -> None:
        self.gpt = gpt
        self.tokens = random_tokens(gpt, batch_size)
        self.cache = gpt.empty_cache(batch_size)

    def begin(self, num_known: int) -> None:
        self.position = num_known
        self.last = self.tokens[:, num_known : num_known + 1]
        if num_known:
            self.gpt.hidden(self.tokens[:, :num_known], self.cache)

    def step(self) -> None:
        self.last = draw(self.gpt.to_logits(self.gpt.hidden(self.last, self.cache, self.position)[:, -1]))
        self.position += 1

    @torch.inference_mode()
    def run(self, num_codes: int) -> None:
        """Draws the first codes of a window."""
        self.begin(0)
        for _ in range(num_codes):
            self.step()


class RecomputedGenerator:
    """Draws from a GPT that computes the whole sequence for each code."""

    num_timed = 1

    def __init__(self, gpt: GPT, batch_size: int = 1) -> None:
        self.gpt = gpt
        self.tokens = random_tokens(gpt, batch_size)

    def begin(self, num_known: int) -> None:
        self.known = self.tokens[:, : 1 + num_known]

    def step(self) -> None:
        code = draw(self.gpt.to_logits(self.gpt.hidden(self.known)[:, -1]))
        self.known = torch.cat([self.known, code], dim=1)


def draw(logits: Tensor) -> Tensor:
    """Draws codes (batch, 1) from logits (batch, num_codes)."""
    return torch.multinomial(logits.float().softmax(dim=-1), 1)


def random_codes(num_codes: int, batch_size: int, length: int, device: torch.device) -> Tensor:
    """Random codes (batch, length)."""
    return torch.randint(num_codes, (batch_size, length), device=device)


def random_tokens(gpt: GPT, batch_size: int) -> Tensor:
    """A class token and random codes, as many as a GPT can attend to."""
    labels = torch.zeros(batch_size, dtype=torch.long, device=gpt.tokens.weight.device)
    return with_class_token(gpt, random_codes(gpt.num_codes, batch_size, gpt.num_positions - 1, labels.device), labels)


def random_top_codes(prior: CodePrior, batch_size: int) -> Tensor | None:
    """Random flattened top codes of a window for a bottom prior; None for a top prior."""
    if prior.top_context is None:
        return None
    length = prior.num_rows * prior.num_columns // prior.top_context.scale**2
    num_codes = prior.top_context.embedding.num_embeddings
    return random_codes(num_codes, batch_size, length, prior.to_logits.weight.device)


@torch.inference_mode()
def integrated_s(
    plan: Plan, generators: Mapping[str, Generator], num_codes: int, num_lengths: int, num_repetitions: int
) -> dict[str, list[float]]:
    """Seconds for all codes of a window in each repetition, extrapolated from single codes after several prefixes.

    Args:
        plan: plan with the clock.
        generators: generators by name, measured in turn.
        num_codes: codes in a window.
        num_lengths: prefix lengths, evenly spaced from no to almost all codes, for the trapezoidal rule.
        num_repetitions: repetitions at each length.
    """
    num_timed = {name: max(1, min(generator.num_timed, num_codes // 16)) for name, generator in generators.items()}
    last = num_codes - 1 - max(num_timed.values()) * num_repetitions
    lengths = torch.linspace(0, last, num_lengths).long()
    code_s = torch.empty(len(generators), num_repetitions, num_lengths)
    for place, length in enumerate(lengths.tolist()):
        for generator in generators.values():
            generator.begin(length)
            generator.step()
        for repetition in range(num_repetitions):
            for number, (name, generator) in enumerate(generators.items()):
                steps = range(num_timed[name])
                seconds = plan.seconds(lambda generator=generator, steps=steps: [generator.step() for _ in steps])
                code_s[number, repetition, place] = seconds / num_timed[name]
    seconds = torch.trapezoid(code_s, lengths.float()) / last * num_codes
    return dict(zip(generators, seconds.tolist(), strict=True))
