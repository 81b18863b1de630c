"""A silent video becomes one with sound: the seconds of each stage."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from benchmarks.generating import CACHED, CachedGenerator, integrated_s
from benchmarks.gpt import GPT, gpt_sizes
from benchmarks.measuring import Plan, tell
from benchmarks.models import build
from benchmarks.records import Part, Row, rows
from datamodules import VideoDataModule
from demo import LABELS
from demo.photos import draw_photo
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


class TimedGenerator(SoundGenerator):
    """Knows how long it spent on the codes of each level. It draws one candidate a sound, as the baseline does."""

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
        began_at = time.perf_counter()
        column = next(columns, None)
        self.plan.synchronise()
        inner_s = sum(self.stage_s.values()) - before_s  # the bottom codes ask for the top codes
        self.stage_s[TOP if level == "top" else BOTTOM] += time.perf_counter() - began_at - inner_s
        return column


class StagedVideoToAudio(VideoToAudio):
    """Knows how long it spent in each stage."""

    plan: Plan
    generator: TimedGenerator

    def make_generator(self) -> SoundGenerator:
        models = (self.vqvae.codec, self.top.network, self.bottom.network)
        self.generator = TimedGenerator(self.plan, *models, self.sampling, self.num_iterations)
        return self.generator


def measure_end_to_end(plan: Plan, duration_s: int | None = None) -> Part:
    """In two precisions; in quick a shorter video, in float16, once."""
    duration_s = duration_s or (DURATION_IN_QUICK_S if plan.is_quick else DURATION_S)
    tell(f"end to end: a video of {duration_s} s")
    precisions: tuple[Precision, ...] = ("float16",) if plan.is_quick else ("float32", "float16")
    model = ready_model(plan)
    gpts = {TOP: model.top.network, BOTTOM: model.bottom.network}
    gpts = {stage: GPT(**gpt_sizes(prior)).to(plan.device).eval() for stage, prior in gpts.items()}
    measured: dict[str, list[dict[str, float]]] = {f"ours, {precision}": [] for precision in precisions}
    cached: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model.perceive(film(folder / "short.mp4", 1, plan.seed))  # warms up
        clip = film(folder / "silent.mp4", duration_s, plan.seed)
        started_at = time.perf_counter()
        for num_done in range(1 if plan.is_quick else plan.num_repetitions):
            if plan.is_enough(num_done, time.perf_counter() - started_at):
                break
            for precision in precisions:
                measured[f"ours, {precision}"].append(run(plan, model, clip, precision, folder))
            codes_s = {stage: cached_s(plan, gpt, num_codes(model, clip, stage)) for stage, gpt in gpts.items()}
            cached.append(measured[f"ours, {precisions[0]}"][-1] | codes_s)
    found: list[Row] = []
    for stage in STAGES:
        values = {name: [seconds[stage] for seconds in repetitions] for name, repetitions in measured.items()}
        found += stage_rows(stage, values, [seconds[stage] for seconds in cached] if stage in gpts else None)
    totals = {name: [sum(seconds.values()) for seconds in repetitions] for name, repetitions in measured.items()}
    found += stage_rows("all stages", totals, [sum(seconds.values()) for seconds in cached])
    return Part("end_to_end", f"Sound for a video of {duration_s} s", found)


def stage_rows(case: str, values: dict[str, list[float]], cached: list[float] | None) -> list[Row]:
    """Of one stage; `cached` is the baseline's."""
    values = values if cached is None else values | {CACHED: cached}
    return rows(case, "s", values, (CACHED,), {CACHED: "extrapolated from the number of codes"})


def ready_model(plan: Plan) -> StagedVideoToAudio:
    """The four models with random weights, as `setup` would load them; the classifier is sure of what it sees."""
    composite = build(plan, "video2audio").model
    model = StagedVideoToAudio(sampling=composite.sampling, num_iterations=composite.num_iterations, sync="none")
    model.plan, model.fingerprints = plan, dict.fromkeys(model.paths, "random")
    for name in model.paths:
        parts = build(plan, name)
        setattr(model, name, parts.model)
        if name == "classifier":
            parts.model.facts = {"image_size": parts.datamodule.image_size}
    with torch.no_grad():
        model.classifier.network.head_parameters()[-1][0] = 100.0  # the bias of the first class
    model.classes, model.geometry = list(LABELS), model.vqvae.geometry
    return model.to(plan.device).eval().requires_grad_(False)


@torch.inference_mode()
def run(plan: Plan, model: StagedVideoToAudio, clip: Clip, precision: Precision, folder: Path) -> dict[str, float]:
    """Seconds of each stage."""
    model.sampling = replace(model.sampling, precision=plan.of_weights(precision))
    with plan.half(precision):
        (prediction,) = model.predict_step(clip, 0)
    began_at = time.perf_counter()
    prediction.save(folder / "made")
    saving_s = time.perf_counter() - began_at
    codes_s = model.generator.stage_s
    decoding_s = prediction.seconds["make sound"] - sum(codes_s.values())
    return {PERCEIVE: prediction.seconds["perceive"], **codes_s, DECODE: decoding_s, SAVE: saving_s}


def num_codes(model: VideoToAudio, clip: Clip, stage: str) -> int:
    """Codes that a clip's sound is made of."""
    geometry = model.geometry
    num_columns = geometry.top_columns_of(round(clip.duration_s * geometry.sample_rate_hz))
    if stage == TOP:
        return num_columns * geometry.top_shape[0]
    return num_columns * geometry.top_stride // geometry.bottom_stride * geometry.bottom_shape[0]


def cached_s(plan: Plan, gpt: GPT, num_codes: int) -> float:
    """Seconds for so many codes, at the mean of a window."""
    of_a_window = gpt.num_positions - 1
    (seconds,) = integrated_s(plan, {"": CachedGenerator(gpt)}, of_a_window, NUM_LENGTHS, 1)[""]
    return seconds / of_a_window * num_codes


def film(path: Path, duration_s: int, seed: int) -> Clip:
    """A silent video of drawn cats, another each second."""
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND)
        stream.width, stream.height, stream.pix_fmt = FRAME_SIZE, FRAME_SIZE, "yuv420p"
        for _ in range(duration_s):
            photo = draw_photo(LABELS[0], rng, FRAME_SIZE)
            for _ in range(FRAMES_PER_SECOND):
                container.mux(stream.encode(av.VideoFrame.from_image(photo)))
        container.mux(stream.encode())
    data = VideoDataModule(str(path))
    data.setup("predict")
    return data.input_set[0]
