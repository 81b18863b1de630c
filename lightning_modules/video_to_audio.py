"""The composite: from a video to its sound, by four trained models."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import soundfile
from lightning.pytorch import LightningModule

from media.sound.events import EventSettings
from media.soundtrack.arranging import ArrangingSettings
from media.soundtrack.mixing import Mixing
from media.video.activity import ActivitySettings
from media.video.scenes import Scene, SceneSettings, find_scenes
from media.video.stabilisation import StabilisationSettings
from metrics import Embedding, MelStatistics
from networks import Sampling
from pipelines.evaluation.figures import Evaluation, Tagger
from pipelines.evaluation.jobs import FigureJob, SoundJob
from pipelines.evaluation.models import FittedModel
from pipelines.outputs import FailedInput, reason_of
from pipelines.perception import Clip, Perception, PerceptionSettings, perceive
from pipelines.scene_renderer import SceneSound
from pipelines.sound_generator import SoundGenerator
from pipelines.video_output import TemporaryFolder, VariantSound, VideoPrediction, timed
from runtime.checkpoint import check_compatibility, fingerprint, load
from runtime.described import Described
from runtime.tell import tell

SYSTEMS = ("vqvae", "top", "bottom", "classifier")


class VideoToAudio(Described, LightningModule):
    """Perceives a video, finds scenes and moments, makes a sound for each scene, and mixes them.

    Why a LightningModule: `predict` then brings devices, precision and progress; it is never trained.

    With `sync: activity` single events are cut out of generated sound and placed where something sudden happens. A
    scene in which nothing does, or whose sound has no events, has sound without a pause, as with `sync: none`. If no
    class passes the threshold there is silence, or ambience. Memory does not grow with the length of a video: sound
    goes piece by piece into a file.

    Args:
        vqvae, top, bottom, classifier: paths of the four checkpoints.
        sampling: temperature, top-k and top-p of both priors.
        mixing: loudness, the video's own sound, and files.
        seed: seed of the first variant; the next ones count on from it.
        num_variants: sounds made for each input, in one batch.
        num_candidates: beginnings that the top prior draws for each sound, to keep the one that is most plainly of its
            class.
        grain: share of the unevenness missing from a decoded spectrogram that is put back; 1 for all, 0 for none.
        sync: `activity` places events at sudden changes, `none` lets the sound run on.
        classes: names of the classes that may be heard; None for all that the models know.
        threshold: mean probability that a class must reach, else there is silence.
        ambience_db: level of quiet noise in place of silence, relative to full scale before loudness is brought to its
            target; None for silence.
        looks_per_second: frames that are classified; all are searched for activity.
        smoothing_s, min_scene_s: see `SceneSettings`.
        photo_s: length of the sound for a photo; None for one window.
        fade_s: fade in and out of each scene.
        num_iterations: iterations of Griffin-Lim.
        activity, stabilisation: numbers of the search for activity.
        events, arranging: numbers of how events are cut out of sound and placed.
        embedding: in which `test` compares sets of sounds; None for `MelStatistics`.
        tagger: tells `test` whether the classes are heard; None leaves that out.
        words: for each class the tagger's classes that are like it; None for those that `ClassAgreement` knows.
    """

    def __init__(
        self,
        vqvae: str = "checkpoints/vqvae/best.ckpt",
        top: str = "checkpoints/top/best.ckpt",
        bottom: str = "checkpoints/bottom/best.ckpt",
        classifier: str = "checkpoints/classifier/best.ckpt",
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        mixing: Mixing = Mixing(),  # noqa: B008 - frozen
        seed: int = 1,
        num_variants: int = 1,
        num_candidates: int = 4,
        grain: float = 1.0,
        sync: Literal["activity", "none"] = "activity",
        classes: list[str] | None = None,
        threshold: float = 0.6,
        ambience_db: float | None = None,
        looks_per_second: float = 4.0,
        smoothing_s: float = 1.0,
        min_scene_s: float = 0.75,
        photo_s: float | None = None,
        fade_s: float = 0.02,
        num_iterations: int = 64,
        activity: ActivitySettings = ActivitySettings(),  # noqa: B008 - frozen
        stabilisation: StabilisationSettings = StabilisationSettings(),  # noqa: B008 - frozen
        events: EventSettings = EventSettings(),  # noqa: B008 - frozen
        arranging: ArrangingSettings = ArrangingSettings(),  # noqa: B008 - frozen
        embedding: Embedding | None = None,
        tagger: Tagger | None = None,
        words: dict[str, list[str]] | None = None,
    ) -> None:
        super().__init__()
        ranges = {
            "num_variants": (num_variants, 1, 1000),
            "num_candidates": (num_candidates, 1, 64),
            "grain": (grain, 0, 1),
            "threshold": (threshold, 0, 1),
            "ambience_db": (ambience_db, -120, -20),
            "looks_per_second": (looks_per_second, 0.01, 1000),
            "smoothing_s": (smoothing_s, 0, 3600),
            "min_scene_s": (min_scene_s, 0, 3600),
            "photo_s": (photo_s, 0.1, 24 * 3600),
            "fade_s": (fade_s, 0, 60),
            "num_iterations": (num_iterations, 0, 10_000),
        }
        for name, (value, low, high) in ranges.items():
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name} is {value}, expected {low} to {high}.")
        if classes is not None and not classes:
            raise ValueError("classes is an empty list, expected names of classes, or null for all.")
        self.paths = {"vqvae": vqvae, "top": top, "bottom": bottom, "classifier": classifier}
        self.sampling, self.mixing, self.num_iterations, self.grain = sampling, mixing, num_iterations, grain
        self.seed, self.num_variants, self.num_candidates, self.sync = seed, num_variants, num_candidates, sync
        self.allowed_classes, self.ambience_db, self.photo_s, self.fade_s = classes, ambience_db, photo_s, fade_s
        self.event_settings, self.arranging = events, arranging
        self.scene_settings = SceneSettings(threshold, smoothing_s, min_scene_s)
        self.perception_settings = PerceptionSettings(looks_per_second, activity, stabilisation)
        self.embedding, self.tagger, self.words = embedding or MelStatistics(), tagger, words

    def setup(self, stage: str) -> None:
        """Loads the four models and checks that they fit together.

        Raises:
            FileNotFoundError: if a checkpoint is missing; the message says which command makes it.
            ValueError: if two checkpoints do not fit, naming both values, or an allowed class is not known.
        """
        for name, path in self.paths.items():
            setattr(self, name, load(path, config=f"{name}.yaml"))
        check_compatibility({name: getattr(self, name) for name in self.paths}, self.paths)
        self.classes = self.vqvae.facts["classes"]
        self.geometry = self.vqvae.geometry
        self.fingerprints = {name: fingerprint(getattr(self, name).state_dict()) for name in SYSTEMS}
        unknown = sorted(set(self.allowed_classes or ()) - set(self.classes))
        if unknown:
            raise ValueError(f"The models do not know {', '.join(unknown)}; they know {', '.join(self.classes)}.")
        if stage == "test":
            self.evaluation = self.make_evaluation()

    def settings(self) -> dict[str, Any]:
        """All that the result depends on besides the input, as plain data."""
        given = self.arguments(left_out={*self.paths, "embedding", "tagger", "words"})
        return given | {"classes": self.allowed_classes or self.classes, "checkpoints": self.fingerprints}

    def predict_step(self, clip: Clip | FailedInput, batch_idx: int) -> list[VideoPrediction | FailedInput]:
        """A sound for a clip, in each variant, or the reason why there is none."""
        if isinstance(clip, FailedInput):
            return [clip]
        try:
            return [self.make_sound(clip)]
        except Exception as error:
            return [FailedInput(clip.path, clip.name, reason_of(error))]

    def test_step(self, job: SoundJob | FigureJob, batch_idx: int) -> None:
        """Works on one job of the evaluation."""
        self.evaluation.add(job)

    def on_test_epoch_end(self) -> None:
        """Computes the figures of the evaluation."""
        self.evaluation.compute()

    def make_sound(self, clip: Clip) -> VideoPrediction:
        """Perceives a clip, and writes the sound of each variant into a temporary file.

        Raises:
            OSError, ValueError: if the clip cannot be read.
        """
        seconds: dict[str, float] = {}
        with timed(seconds, "perceive"):
            perception = self.perceive(clip)
        duration_s = clip.duration_s or self.photo_s or self.geometry.window_s
        scenes = self.find_scenes(perception, duration_s)
        for scene in scenes:
            tell(self._describe(clip.path.name, scene))
        with timed(seconds, "make sound"):
            folder = TemporaryFolder()
            variants = self._write_variants(folder.path, scenes, perception, duration_s)
        return VideoPrediction(
            path=clip.path,
            name=clip.name,
            duration_s=duration_s,
            is_photo=clip.duration_s is None,
            variants=variants,
            scenes=[(s.start_s, s.end_s, "silence" if s.label is None else self.classes[s.label]) for s in scenes],
            perception=perception,
            classes=self.classes,
            geometry=self.geometry,
            mixing=self.mixing,
            settings=self.settings(),
            checkpoints={name: (path, self.fingerprints[name]) for name, path in self.paths.items()},
            seconds=seconds,
            folder=folder,
        )

    def perceive(self, clip: Clip) -> Perception:
        """All that the classifier and the activity meter see in a clip."""
        image_size = self.classifier.facts["image_size"]
        return perceive(clip, self.classifier.network, image_size, self.device, self.perception_settings)

    def make_generator(self) -> SoundGenerator:
        """The three generative models as one."""
        models = (self.vqvae.codec, self.top.network, self.bottom.network)
        return SoundGenerator(*models, self.sampling, self.num_iterations, self.num_candidates, self.grain)

    def make_evaluation(self) -> Evaluation:
        """Measures the generator, and each of the four models alone."""
        strides = {"top": self.geometry.top_stride, "bottom": self.geometry.bottom_stride}
        models = {
            name: FittedModel(
                system=getattr(self, name),
                path=path,
                fingerprint=self.fingerprints[name],
                kind="photos" if name == "classifier" else "sounds",
                codes_per_second=self.geometry.codes_per_second(strides[name]) if name in strides else None,
            )
            for name, path in self.paths.items()
        }
        listeners = (self.embedding, self.tagger, self.words)
        return Evaluation(self.make_generator(), self.seed, self.classes, models, *listeners)

    def find_scenes(self, perception: Perception, duration_s: float) -> list[Scene]:
        """Scenes of a whole clip."""
        allowed = self.allowed_classes and [self.classes.index(name) for name in self.allowed_classes]
        cuts_s = [] if perception.activity is None else perception.activity.cuts_s
        return find_scenes(
            perception.times_s,
            perception.probabilities,
            duration_s,
            self.scene_settings,
            cuts_s,
            allowed,
        )

    def _write_variants(
        self, folder: Path, scenes: list[Scene], perception: Perception, duration_s: float
    ) -> list[VariantSound]:
        rate = self.geometry.sample_rate_hz
        seeds = [self.seed + variant for variant in range(self.num_variants)]
        activity = perception.activity if self.sync == "activity" else None
        how = (self.fade_s, self.ambience_db, self.event_settings, self.arranging)
        sound = SceneSound(self.make_generator(), seeds, activity, *how)
        paths = [folder / f"{seed}.wav" for seed in seeds]
        with ExitStack() as files:
            stems = [
                files.enter_context(soundfile.SoundFile(path, "w", rate, channels=1, subtype="FLOAT")) for path in paths
            ]
            for number, scene in enumerate(scenes):
                start, end = round(scene.start_s * rate), round(min(scene.end_s, duration_s) * rate)
                for variant, samples in sound.pieces(number, scene, start, end - start):
                    stems[variant].write(samples)
        return [VariantSound(*variant) for variant in zip(seeds, paths, sound.placed_s, strict=True)]

    def _describe(self, name: str, scene: Scene) -> str:
        span = f"{name}: {scene.start_s:.2f} to {scene.end_s:.2f} s"
        if scene.label is not None:
            return f"{span}: {self.classes[scene.label]} (on average {scene.confidence:.2f})"
        likeliest = self.classes[scene.likeliest]
        why = f"{likeliest} is not among the allowed classes"
        if self.allowed_classes is None or likeliest in self.allowed_classes:
            why = f"no class reaches {self.scene_settings.threshold} for long"
        return f"{span}: silence, {why} (likeliest: {likeliest}, on average {scene.confidence:.2f})"
