"""The sizes of sound, spectrogram and code grids, all derived in one place."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Geometry:
    """Sizes of a window of sound, of its spectrogram and of its two grids of codes.

    Why: sizes that are computed in several places drift apart. Every checkpoint has the geometry as plain data.

    The frequency bins are linear, so that no mel inversion is needed. The `num_frames` frames are centred on the
    samples 0, hop, 2 hop, …: a window is `(num_frames - 1) * hop_samples` samples long.

    Args:
        sample_rate_hz: samples a second, mono.
        n_fft: length of the Fourier transform and of its Hann window, in samples; gives `n_fft // 2 + 1` bins.
        hop_samples: samples between two frames.
        num_frames: frames of a window, the length on which the models are trained.
        dynamic_range_db: range of magnitudes, up to a full-scale sine, that is mapped to [-1, 1].
        bottom_stride: bins, and frames, that share one bottom code.
        top_stride: bins, and frames, that share one top code; a multiple of `bottom_stride`.

    Raises:
        ValueError: if the bins or the frames are not a multiple of `top_stride`, or that of `bottom_stride`.
    """

    sample_rate_hz: int = 16_000
    n_fft: int = 478
    hop_samples: int = 160
    num_frames: int = 240
    dynamic_range_db: float = 80.0
    bottom_stride: int = 4
    top_stride: int = 8

    def __post_init__(self) -> None:
        for name, size in (("num_bins (n_fft // 2 + 1)", self.num_bins), ("num_frames", self.num_frames)):
            if size % self.top_stride:
                raise ValueError(f"{name} is {size}, expected a multiple of top_stride = {self.top_stride}.")
        if self.top_stride % self.bottom_stride:
            raise ValueError(
                f"top_stride is {self.top_stride}, expected a multiple of bottom_stride = {self.bottom_stride}."
            )

    @property
    def num_bins(self) -> int:
        """Frequency bins of the spectrogram."""
        return self.n_fft // 2 + 1

    @property
    def window_samples(self) -> int:
        """Samples of one window."""
        return self.samples_of(self.num_frames)

    @property
    def window_s(self) -> float:
        """Seconds of one window."""
        return self.window_samples / self.sample_rate_hz

    @property
    def top_shape(self) -> tuple[int, int]:
        """(rows, columns) of a window's top codes: rows are frequencies, columns are times."""
        return self.num_bins // self.top_stride, self.num_frames // self.top_stride

    @property
    def bottom_shape(self) -> tuple[int, int]:
        """(rows, columns) of a window's bottom codes: rows are frequencies, columns are times."""
        return self.num_bins // self.bottom_stride, self.num_frames // self.bottom_stride

    def samples_of(self, num_frames: int) -> int:
        """Samples of `num_frames` centred frames."""
        return (num_frames - 1) * self.hop_samples

    def top_columns_of(self, num_samples: int) -> int:
        """Fewest columns of top codes whose sound is at least `num_samples` long."""
        num_frames = -(-num_samples // self.hop_samples) + 1
        return -(-num_frames // self.top_stride)

    def codes_per_second(self, stride: int) -> float:
        """Codes for a second of sound in a grid of this stride."""
        return self.num_bins // stride * self.sample_rate_hz / self.hop_samples / stride

    def as_dict(self) -> dict[str, int | float]:
        """Plain data for a checkpoint."""
        return asdict(self)
