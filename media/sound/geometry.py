"""The one place where the sizes of sound, spectrogram and code grids are decided."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Geometry:
    """Sizes of a window of sound, of its spectrogram and of its two grids of codes; everything else is derived.

    Why: a spectrogram, a grid of codes and a sequence length that were computed in different places drift apart.
    Here five numbers are chosen and the rest follows. The geometry travels inside every checkpoint as plain data.

    The frequency bins are linear, so that the way back to a waveform needs no mel inversion, and `num_frames` frames
    are centred on the samples 0, hop, 2 hop, …: a window is `(num_frames - 1) * hop_samples` samples long.

    Args:
        sample_rate_hz: samples a second, mono.
        n_fft: length of the Fourier transform and of its Hann window, in samples; gives `n_fft // 2 + 1` bins.
        hop_samples: samples between two frames.
        num_frames: frames of a window, the length that the models are trained on.
        dynamic_range_db: magnitudes from this far below a full-scale sine up to it are mapped to [-1, 1].
        bottom_stride: bins, and frames, that share one bottom code.
        top_stride: bins, and frames, that share one top code; a multiple of `bottom_stride`.

    Raises:
        ValueError: where the bins or the frames are not a multiple of `top_stride`.
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
        """The fewest columns of top codes whose sound is at least `num_samples` long."""
        num_frames = -(-num_samples // self.hop_samples) + 1
        return -(-num_frames // self.top_stride)

    def codes_per_second(self, stride: int) -> float:
        """Codes that a second of sound has in a grid of this stride."""
        return self.num_bins // stride * self.sample_rate_hz / self.hop_samples / stride

    def as_dict(self) -> dict[str, int | float]:
        """Plain data, as it is stored in a checkpoint."""
        return asdict(self)
