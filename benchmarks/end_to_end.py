"""Seconds of each stage from a silent video to one with sound."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.generating import CACHED, CachedGenerator, integrated_s
from benchmarks.gpt import GPT, gpt_sizes
from benchmarks.measuring import Plan, tell
from benchmarks.models import build
from benchmarks.records import Part, rows
from datamodules import VideoDataModule
from demo import LABELS
from demo.photos import draw_photo
from demo.video import write_video
from lightning_modules import VideoToAudio
from networks.prior.incremental import Precision
from pipelines.perception import Clip
from pipelines.sound_generator import SoundGenerator

FRAMES_PER_SECOND = 25
FRAME_SIZE = 256
DURATION_S, DURATION_IN_QUICK_S = 10, 2
NUM_LENGTHS = 3
PERCEIVE, TOP, BOTTOM, DECODE = "perceive the frames", "top codes", "bottom codes", "decode and invert"
SAVE = "mix, write and report"
STAGES = (PERCEIVE, TOP, BOTTOM, DECODE, SAVE)
ALL = "all stages"


class TimedGenerator(SoundGenerator):
    """Measures the time for the codes of each level. It draws one candidate for each sound, as the baseline does."""

    def __init__(self, plan: Plan, *args: Any) -> None:
        super().__init__(*args)
        self.plan, self.stage_s = plan, {TOP: 0.0, BOTTOM: 0.0}

    def _columns(self, level: str, *args: Any) -> Iterator[torch.Tensor]:
        columns = super()._columns(level, *args)
        while (column := self._next(level, columns)) is not None:
            yield column

    def _next(self, level: str, columns: Iterator[torch.Tensor]) -> torch.Tensor | None:
        before_s = sum(self.stage_s.values())
        self.plan.synchronise()
        started_at = time.perf_counter()
        column = next(columns, None)
        self.plan.synchronise()
        inner_s = sum(self.stage_s.values()) - before_s  # the bottom level draws the top codes that it needs
        self.stage_s[TOP if level == "top" else BOTTOM] += time.perf_counter() - started_at - inner_s
        return column


class StagedVideoToAudio(VideoToAudio):
    """Makes a timed generator."""

    plan: Plan
    generator: TimedGenerator

    def make_generator(self) -> SoundGenerator:
        models = (self.vqvae.codec, self.top.network, self.bottom.network)
        self.generator = TimedGenerator(self.plan, *models, self.sampling, self.num_iterations)
        return self.generator


def measure_end_to_end(plan: Plan, duration_s: int | None = None) -> Part:
    """Measures all stages in two precisions; in quick mode once, in float16, with a shorter video."""
    duration_s = duration_s or (DURATION_IN_QUICK_S if plan.is_quick else DURATION_S)
    tell(f"end to end: a video of {duration_s} s")
    precisions: tuple[Precision, ...] = ("float16",) if plan.is_quick else ("float32", "float16")
    ours = {f"ours, {precision}": precision for precision in precisions}
    model = ready_model(plan)
    priors = {TOP: model.top.network, BOTTOM: model.bottom.network}
    gpts = [(stage, GPT(**gpt_sizes(prior)).to(plan.device).eval()) for stage, prior in priors.items()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model.perceive(film(folder / "short.mp4", 1, plan.seed))  # warms up
        clip = film(folder / "silent.mp4", duration_s, plan.seed)
        contenders = {name: partial(run, plan, model, clip, precision, folder) for name, precision in ours.items()}
        contenders[CACHED] = lambda: {stage: cached_s(plan, gpt, num_codes(model, clip, stage)) for stage, gpt in gpts}
        repeated = replace(plan, num_repetitions=1) if plan.is_quick else plan
        measured = repeated.interleaved(contenders)
    first = next(iter(measured.values()))  # the baseline shares the stages without codes
    measured[CACHED] = [seconds | codes_s for seconds, codes_s in zip(first, measured[CACHED], strict=True)]
    found = []
    for case in (*STAGES, ALL):
        stages = STAGES if case == ALL else (case,)
        values = {
            name: [sum(seconds[stage] for stage in stages) for seconds in repetitions]
            for name, repetitions in measured.items()
            if name != CACHED or case in (TOP, BOTTOM, ALL)
        }
        found += rows(case, "s", values, (CACHED,), {CACHED: "extrapolated from the number of codes"})
    return Part("end_to_end", f"Sound for a video of {duration_s} s", found)


def ready_model(plan: Plan) -> StagedVideoToAudio:
    """Builds the four models with random weights, as `setup` would load them; the classifier always says cat."""
    composite = build(plan, "video2audio").model
    model = StagedVideoToAudio(sampling=composite.sampling, num_iterations=composite.num_iterations, sync="none")
    model.plan, model.fingerprints = plan, dict.fromkeys(model.paths, "random")
    for name in model.paths:
        parts = build(plan, name)
        setattr(model, name, parts.model)
        if name == "classifier":
            parts.model.facts = {"image_size": parts.datamodule.image_size}
    with torch.no_grad():
        model.classifier.network.head_parameters()[-1][0] = 100.0  # bias of the first class
    model.classes, model.geometry = list(LABELS), model.vqvae.geometry
    return model.to(plan.device).eval().requires_grad_(False)


@torch.inference_mode()
def run(plan: Plan, model: StagedVideoToAudio, clip: Clip, precision: Precision, folder: Path) -> dict[str, float]:
    """Measures the seconds of each stage."""
    model.sampling = replace(model.sampling, precision=plan.of_weights(precision))
    with plan.half(precision):
        (prediction,) = model.predict_step(clip, 0)
    started_at = time.perf_counter()
    prediction.save(folder / "made")
    saving_s = time.perf_counter() - started_at
    codes_s = model.generator.stage_s
    decoding_s = prediction.seconds["make sound"] - sum(codes_s.values())
    return {PERCEIVE: prediction.seconds["perceive"], **codes_s, DECODE: decoding_s, SAVE: saving_s}


def num_codes(model: VideoToAudio, clip: Clip, stage: str) -> int:
    """The number of codes in a clip's sound."""
    geometry = model.geometry
    num_columns = geometry.top_columns_of(round(clip.duration_s * geometry.sample_rate_hz))
    if stage == TOP:
        return num_columns * geometry.top_shape[0]
    return num_columns * geometry.top_stride // geometry.bottom_stride * geometry.bottom_shape[0]


def cached_s(plan: Plan, gpt: GPT, num_codes: int) -> float:
    """Seconds for a number of codes, extrapolated from those of one window."""
    num_in_window = gpt.num_positions - 1
    (seconds,) = integrated_s(plan, {"": CachedGenerator(gpt)}, num_in_window, NUM_LENGTHS, 1)[""]
    return seconds / num_in_window * num_codes


def film(path: Path, duration_s: int, seed: int) -> Clip:
    """Makes a silent video of drawn cats, a new one each second."""
    rng = np.random.default_rng(seed)
    photos = [draw_photo(LABELS[0], rng, FRAME_SIZE) for _ in range(duration_s)]
    frames = [photo for photo in photos for _ in range(FRAMES_PER_SECOND)]
    write_video(path, frames, FRAMES_PER_SECOND, (FRAME_SIZE, FRAME_SIZE))
    data = VideoDataModule(str(path))
    data.setup("predict")
    return data.input_set[0]
