"""The composite: from a video to its sound, with four trained models."""

from dataclasses import replace
from typing import Any, Literal

from lightning.pytorch import LightningModule

from media.sound.events import EventSettings
from media.soundtrack.arranging import ArrangingSettings
from media.soundtrack.mixing import Mixing
from media.video.activity import ActivitySettings
from media.video.scenes import Scene, SceneSettings, describe_scene, find_scenes
from media.video.stabilisation import StabilisationSettings
from metrics import Embedding, MelStatistics
from networks import Sampling, TransferClassifier
from pipelines.compatibility import check_compatibility, find_classes
from pipelines.evaluation.figures import Evaluation
from pipelines.evaluation.jobs import FigureJob, SoundJob
from pipelines.evaluation.judges import Tagger
from pipelines.evaluation.models import FittedModel
from pipelines.outputs import FailedInput, reason_of
from pipelines.perception import Clip, Perception, PerceptionSettings, perceive
from pipelines.scene_renderer import SceneSound
from pipelines.sound_generator import SoundGenerator
from pipelines.video_output import TemporaryFolder, VideoPrediction, timed
from runtime.checkpoint import fingerprint, load
from runtime.described import Described
from runtime.tell import tell

RANGES: dict[str, tuple[float, float]] = {
    "num_variants": (1, 1000),
    "num_candidates": (1, 64),
    "grain": (0, 1),
    "threshold": (0, 1),
    "min_familiarity": (-1, 1),
    "ambience_db": (-120, -20),
    "looks_per_second": (0.01, 1000),
    "smoothing_s": (0, 3600),
    "min_scene_s": (0, 3600),
    "photo_s": (0.1, 24 * 3600),
    "fade_s": (0, 60),
    "num_iterations": (0, 10_000),
}
LISTENERS = ("embedding", "tagger", "words", "listener")  # used by `test` alone


class VideoToAudio(Described, LightningModule):
    """Perceives a video, finds its scenes and onsets, and makes a sound for each scene.

    It is a LightningModule for the devices, the precision and the progress of `predict`, and is never trained.

    With `sync: activity`, single events are cut out of generated sound and placed at sudden changes. A scene without
    sudden changes, or whose sound has no events, has continuous sound, as with `sync: none`. A scene in which no class
    reaches the threshold is silent, or has ambience. Memory does not grow with the length of a video, as sound is
    written piece by piece.

    Args:
        vqvae, top, bottom, classifier: paths of the four checkpoints.
        moments: path of a fitted `Moments`, which then finds the onsets; None to find sudden changes without a network.
        sampling: temperature, top-k and top-p of both priors.
        mixing: loudness, the video's own sound, and files.
        seed: seed of the first variant; each further variant has the next number.
        num_variants: sounds made for each input, in one batch.
        num_candidates: openings that the top prior draws for each sound, to keep the one that is most clearly of its
            class.
        grain: share of the unevenness missing from a decoded spectrogram that is put back; 1 for all, 0 for none.
        sync: `activity` places events at sudden changes, `none` makes continuous sound.
        classes: names of the classes that may be heard; None for all classes of the models.
        threshold: mean probability that a class must reach to be heard.
        min_familiarity: mean similarity to the training photos that a scene must reach to be heard; None for the
            classifier's own, which a `ResNet50` has not.
        ambience_db: level of quiet noise in place of silence, relative to full scale before loudness normalisation;
            None for silence.
        looks_per_second: frames that are classified each second; all frames are searched for activity.
        smoothing_s, min_scene_s: see `SceneSettings`.
        photo_s: seconds of sound for a photo; None for one window.
        fade_s: seconds of the fade in and out of each scene.
        num_iterations: iterations of Griffin-Lim.
        activity, stabilisation: settings of the search for activity.
        events, arranging: settings of how events are cut out of sound and placed.
        embedding: embedding in which `test` compares sets of sounds; None for `MelStatistics`.
        tagger: classifier of sounds with which `test` measures whether the classes are heard; None to skip that.
        words: the tagger's names for each class; None for those that `ClassAgreement` knows.
        listener: second embedding, independent of the others, in which `test` compares all again, and which names the
            classes as it learns them from the training sounds; None to skip that.
    """

    def __init__(
        self,
        vqvae: str = "checkpoints/vqvae/best.ckpt",
        top: str = "checkpoints/top/best.ckpt",
        bottom: str = "checkpoints/bottom/best.ckpt",
        classifier: str = "checkpoints/classifier/best.ckpt",
        moments: str | None = None,
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        mixing: Mixing = Mixing(),  # noqa: B008 - frozen
        seed: int = 1,
        num_variants: int = 1,
        num_candidates: int = 4,
        grain: float = 1.0,
        sync: Literal["activity", "none"] = "activity",
        classes: list[str] | None = None,
        threshold: float = 0.6,
        min_familiarity: float | None = None,
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
        listener: Embedding | None = None,
    ) -> None:
        super().__init__()
        given = self.arguments(left_out=LISTENERS)
        for name, (low, high) in RANGES.items():
            if given[name] is not None and not low <= given[name] <= high:
                raise ValueError(f"{name} is {given[name]}, expected {low} to {high}.")
        if classes is not None and not classes:
            raise ValueError("classes is an empty list, expected names of classes, or null for all.")
        self.paths = {"vqvae": vqvae, "top": top, "bottom": bottom, "classifier": classifier}
        self.moments_path, self.moments = moments, None
        self.sampling, self.mixing, self.num_iterations, self.grain = sampling, mixing, num_iterations, grain
        self.seed, self.num_variants, self.num_candidates, self.sync = seed, num_variants, num_candidates, sync
        self.allowed_classes, self.ambience_db, self.photo_s, self.fade_s = classes, ambience_db, photo_s, fade_s
        self.event_settings, self.arranging = events, arranging
        self.scene_settings, self.min_familiarity = SceneSettings(threshold, smoothing_s, min_scene_s), min_familiarity
        self.perception_settings = PerceptionSettings(looks_per_second, activity, stabilisation)
        self.embedding, self.tagger, self.words = embedding or MelStatistics(), tagger, words
        self.listener = listener

    def setup(self, stage: str) -> None:
        """Loads the four models and checks that they belong together.

        Raises:
            FileNotFoundError: if a checkpoint is missing; the message says which command makes it.
            ValueError: naming both values, if two checkpoints do not belong together or an allowed class is unknown.
        """
        for name, path in self.paths.items():
            setattr(self, name, load(path, config=f"{name}.yaml"))
        check_compatibility({name: getattr(self, name) for name in self.paths}, self.paths)
        self.moments = self.moments_path and load(self.moments_path, config="moments.yaml")
        self.classes, self.geometry = self.vqvae.facts["classes"], self.vqvae.geometry
        if self.min_familiarity is None and isinstance(self.classifier.network, TransferClassifier):
            self.min_familiarity = float(self.classifier.network.familiarity.threshold)
        if self.min_familiarity is not None:
            self.scene_settings = replace(self.scene_settings, min_familiarity=self.min_familiarity)
        self.fingerprints = {name: fingerprint(getattr(self, name).state_dict()) for name in self.paths}
        if self.allowed_classes is not None:
            self.allowed_classes = find_classes(self.allowed_classes, self.classes)
        if stage == "test":
            self.evaluation = self.make_evaluation()

    def settings(self) -> dict[str, Any]:
        """Everything except the input that the result depends on, as plain data."""
        given = self.arguments(left_out={*self.paths, "moments", *LISTENERS})
        found = {"min_familiarity": self.min_familiarity, "classes": self.allowed_classes or self.classes}
        if self.moments:
            found["moments"] = fingerprint(self.moments.network.state_dict())
        return given | found | {"checkpoints": self.fingerprints}

    def predict_step(self, clip: Clip | FailedInput, batch_idx: int) -> list[VideoPrediction | FailedInput]:
        """The sounds for a clip, or the reason why there are none."""
        if isinstance(clip, FailedInput):
            return [clip]
        try:
            return [self.make_sound(clip)]
        except Exception as error:
            return [FailedInput(clip.path, clip.name, reason_of(error))]

    def test_step(self, job: SoundJob | FigureJob, batch_idx: int) -> None:
        """Adds one job to the evaluation."""
        self.evaluation.add(job)

    def on_test_epoch_end(self) -> None:
        """Computes the figures of the evaluation."""
        self.evaluation.compute()

    def make_sound(self, clip: Clip) -> VideoPrediction:
        """Perceives a clip, and writes the sound of each variant to a temporary file.

        Raises:
            OSError, ValueError: if the clip cannot be read.
        """
        seconds: dict[str, float] = {}
        with timed(seconds, "perceive"):
            perception = self.perceive(clip)
        duration_s = clip.duration_s or self.photo_s or self.geometry.window_s
        scenes = self.find_scenes(perception, duration_s)
        for scene in scenes:
            words = describe_scene(scene, self.classes, self.scene_settings, self.allowed_classes)
            tell(f"{clip.path.name}: {words}")
        with timed(seconds, "make sound"):
            folder = TemporaryFolder()
            variants = self._sound_of(perception).write(scenes, duration_s, folder.path)
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
        """Classes and activity of a clip."""
        image_size = self.classifier.facts["image_size"]
        classifier, moments = self.classifier.network, self.moments and self.moments.network
        return perceive(clip, classifier, image_size, self.device, self.perception_settings, moments)

    def make_generator(self) -> SoundGenerator:
        """The VQ-VAE and the two priors as one generator."""
        models = (self.vqvae.codec, self.top.network, self.bottom.network)
        return SoundGenerator(*models, self.sampling, self.num_iterations, self.num_candidates, self.grain)

    def make_evaluation(self) -> Evaluation:
        """An evaluation of the generator, and of each of the four models alone."""
        strides = {"top": self.geometry.top_stride, "bottom": self.geometry.bottom_stride}
        rates = {name: self.geometry.codes_per_second(stride) for name, stride in strides.items()}
        kinds = dict.fromkeys(self.paths, "sounds") | {"classifier": "photos"}
        models = {
            name: FittedModel(getattr(self, name), path, self.fingerprints[name], kinds[name], rates.get(name))
            for name, path in self.paths.items()
        }
        judges = (self.embedding, self.tagger, self.words, self.listener)
        return Evaluation(self.make_generator(), self.seed, self.classes, models, *judges)

    def find_scenes(self, perception: Perception, duration_s: float) -> list[Scene]:
        """The scenes of a clip, with the allowed classes."""
        allowed = self.allowed_classes and [self.classes.index(name) for name in self.allowed_classes]
        cuts_s = [] if perception.activity is None else perception.activity.cuts_s
        seen = perception.times_s, perception.probabilities
        return find_scenes(*seen, duration_s, self.scene_settings, cuts_s, allowed, perception.familiarity)

    def _sound_of(self, perception: Perception) -> SceneSound:
        seeds = [self.seed + variant for variant in range(self.num_variants)]
        activity = perception.activity if self.sync == "activity" else None
        how = (activity, self.fade_s, self.ambience_db, self.event_settings, self.arranging)
        return SceneSound(self.make_generator(), seeds, *how)
