"""A new sound track under an untouched picture."""

import heapq
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np

from media.files import atomic_path
from media.known import known, with_following
from media.sound.frames import as_frames
from media.sound.sound_files import check_waveform, resample
from media.soundtrack.containers import CONTAINERS, find_obstacle, is_after_the_end, output_suffix, own_pixel_shape
from media.soundtrack.streams import check_block
from media.video.video_files import VideoInfo, opened_video, packet_time, packets, probe_video

SOUND_RATE_HZ = 48_000  # the one rate that both AAC and Opus take
SOUND_BIT_RATE = 128_000
# What FFmpeg itself advises above 64 kbit/s. The tools that stand in for a waveform make it peak higher than it was.
ENCODER_OPTIONS = {"aac": {"aac_coder": "fast", "aac_pns": "0", "aac_is": "0", "aac_tns": "0"}, "libopus": {}}
MAX_SILENCE_SAMPLES = 48_000  # in one block
LONGEST_EXCESS_S = 0.02  # by which a sound may outlast its picture


def mux_sound(
    video: Path,
    sound: np.ndarray | Iterable[np.ndarray],
    sample_rate_hz: int,
    output: Path,
    metadata: dict[str, str] | None = None,
    bit_rate: int = SOUND_BIT_RATE,
) -> None:
    """Writes the video again with another sound: the picture is copied bit for bit, and not encoded again.

    The picture keeps its packets, their times, its orientation, the shape of its pixels and its time base (MPEG
    streams, whose clock starts anywhere, and videos that start after more than a minute are moved to time 0). Packets
    after the end that an edit list sets are left out. The old sound is dropped. The new one starts with the first frame
    and is AAC, in .webm Opus. It is as long as it was given. But AAC comes in frames of 1024 samples, and decoders may
    give all of the last one, so that up to 20 ms of silence are heard after it. If that would be more, as up to 64
    samples at 48 kHz start a frame, these are left out. The output appears complete or not at all.

    Args:
        video: the video whose picture is copied; it is only read.
        sound: in [-1, 1]; an array (num_samples,), which is resampled to 48 kHz, or blocks (channels, num_samples) of a
            longer sound, all with one channel or with two, which are read one at a time.
        sample_rate_hz: of the sound; of blocks one that AAC knows. Opus is always written at 48 kHz.
        output: the file to write or to replace, with a suffix as `output_suffix` returns it.
        metadata: tags to add to those of the video, such as {"comment": …}; the common ones are title, artist,
            comment, description, genre, date and copyright.
        bit_rate: of the sound, in bits a second.

    Raises:
        FileNotFoundError: if there is no such video.
        UnreadableVideo: if the video is none, is damaged, or its picture cannot be copied, see `plan_output`.
        ValueError: if the sound is refused by `check_waveform`, if the output is the video itself, if its suffix does
            not fit, or if its format cannot keep one of the tags.
        OSError: if the output cannot be written, as when the disk is full.
    """
    video, output = Path(video), Path(output)
    if isinstance(sound, np.ndarray):
        check_waveform(sound)
        samples = resample(np.asarray(sound, dtype=np.float32), sample_rate_hz, SOUND_RATE_HZ)
        sound, sample_rate_hz = (
            (samples[np.newaxis, k : k + SOUND_RATE_HZ] for k in range(0, len(samples), SOUND_RATE_HZ)),
            SOUND_RATE_HZ,
        )
    info = probe_video(video)
    if output.exists() and os.path.samefile(video, output):
        raise ValueError(f"{output} is the video itself, expected another file to write to.")
    suffix = output.suffix.lower()
    if obstacle := find_obstacle(video, suffix):
        raise ValueError(f"{output} cannot be written: {video} {obstacle}; use the suffix {output_suffix(video)}.")
    with opened_video(video) as (container, picture):
        try:
            with atomic_path(output) as temporary:
                _write(temporary, container, picture, info, iter(sound), sample_rate_hz, bit_rate, metadata or {})
        except av.FFmpegError as error:
            kind = OSError if isinstance(error, OSError) else ValueError
            raise kind(f"{output} could not be written: {error.strerror}.") from error


def coded(
    video: Path, blocks: Iterable[np.ndarray], sample_rate_hz: int, output: Path, bit_rate: int = SOUND_BIT_RATE
) -> Iterator[np.ndarray]:
    """Encodes blocks (channels, samples) as `mux_sound` does and decodes them: the sound that will be heard.

    Nothing is written. The peaks of an encoded sound are not those of the blocks.
    """
    encoder = CONTAINERS[Path(output).suffix.lower()][1]
    lead_samples = _lead_samples(probe_video(video), sample_rate_hz)
    frames = as_frames(_late(blocks, lead_samples), sample_rate_hz)
    first = next(frames, None)
    if first is None:
        return
    sound = av.CodecContext.create(encoder, "w")
    _configure(sound, sample_rate_hz, first.layout.name, bit_rate)
    sound.open()
    decoder = av.CodecContext.create("opus" if encoder == "libopus" else encoder, "r")
    decoder.extradata = sound.extradata
    num_unheard = None
    for frame in chain([first], frames, [None]):
        for packet in sound.encode(frame):
            for heard in decoder.decode(packet):
                if num_unheard is None:
                    delay = 0 if encoder == "libopus" else -known(packet.pts)  # Opus's decoder leaves it out by itself
                    num_unheard = round(lead_samples * heard.sample_rate / sample_rate_hz) + delay
                yield heard.to_ndarray()[:, num_unheard:]
                num_unheard = max(0, num_unheard - heard.samples)


def _configure(sound: av.AudioCodecContext, sample_rate_hz: int, layout: str, bit_rate: int) -> None:
    rate_hz = sample_rate_hz if sample_rate_hz in known(sound.codec.audio_rates) else SOUND_RATE_HZ
    sound.sample_rate, sound.time_base = rate_hz, Fraction(1, rate_hz)
    sound.layout, sound.format, sound.bit_rate = layout, known(sound.codec.audio_formats)[0], bit_rate
    sound.options = ENCODER_OPTIONS[sound.codec.name]


def _write(
    path: Path,
    container: av.container.InputContainer,
    picture: av.VideoStream,
    info: VideoInfo,
    blocks: Iterator[np.ndarray],
    sample_rate_hz: int,
    bit_rate: int,
    metadata: dict[str, str],
) -> None:
    first = next(blocks, None)
    if first is None:
        raise ValueError(f"The sound for {info.path} has no block, expected at least one.")
    blocks = _late(chain([first], blocks), _lead_samples(info, sample_rate_hz))
    tick_s = known(picture.time_base)
    shift_ticks = 0 if info.is_timed_from_zero else round(info.start_s / tick_s)
    usual_ticks = round(1 / (info.frames_per_second * tick_s))
    muxer, encoder = CONTAINERS[path.suffix.lower()]
    # Edit lists in the picture's own time base keep its times exact.
    options = {"movie_timescale": str(tick_s.denominator)}
    with av.open(path, "w", format=muxer, container_options=options) as written:
        written.metadata.update(container.metadata | metadata)
        picture_copy = written.add_stream_from_template(picture, opaque=True)
        picture_copy.time_base = tick_s
        if (shape := own_pixel_shape(picture)) is not None:
            picture_copy.codec_context.sample_aspect_ratio = shape
        picture_copy.metadata.update(picture.metadata)
        sound = written.add_stream(encoder)
        _configure(sound.codec_context, sample_rate_hz, "mono" if len(first) == 1 else "stereo", bit_rate)
        written.start_encoding()
        copied = _copied(container, picture, picture_copy, shift_ticks, usual_ticks)
        for packet in heapq.merge(copied, _encoded(sound, blocks, sample_rate_hz), key=_order):
            written.mux(packet)
    with av.open(path) as container:
        kept = {key.lower() for key in container.metadata}
    if lost := sorted(key for key in metadata if key.lower() not in kept):
        raise ValueError(f"A {path.suffix} file cannot keep the tags {lost}; use common ones such as comment.")


def _copied(
    container: av.container.InputContainer,
    picture: av.VideoStream,
    copy: av.VideoStream,
    shift_ticks: int,
    usual_ticks: int,
) -> Iterator[av.Packet]:
    for packet in packets(container, picture):
        if packet.size and packet_time(packet) is not None and not is_after_the_end(packet):
            packet.stream = copy
            packet.pts = None if packet.pts is None else packet.pts - shift_ticks
            packet.dts = None if packet.dts is None else packet.dts - shift_ticks
            packet.duration = packet.duration or usual_ticks  # else the last frame would vanish at once
            yield packet


def _lead_samples(info: VideoInfo, sample_rate_hz: int) -> int:
    """Silence before a late first frame: an edit list can name a late start or the encoder's delay, not both."""
    return max(0, round(info.start_s * sample_rate_hz)) if info.is_timed_from_zero else 0


def _late(blocks: Iterable[np.ndarray], num_samples: int) -> Iterator[np.ndarray]:
    """The blocks after so much silence."""
    for block in blocks:
        for start in range(0, num_samples, MAX_SILENCE_SAMPLES):
            yield np.zeros((len(block), min(MAX_SILENCE_SAMPLES, num_samples - start)), np.float32)
        num_samples = 0
        yield block


def _encoded(sound: av.AudioStream, blocks: Iterable[np.ndarray], sample_rate_hz: int) -> Iterator[av.Packet]:
    for frame in as_frames(_trimmed(blocks, sound.codec_context.frame_size, sample_rate_hz), sample_rate_hz):
        yield from sound.encode(frame)
    yield from sound.encode(None)


def _trimmed(blocks: Iterable[np.ndarray], frame_samples: int, sample_rate_hz: int) -> Iterator[np.ndarray]:
    """The blocks, without the last few samples if these would make a frame of nearly nothing but padding."""
    num_samples, num_channels = 0, None
    for block, following in with_following(blocks):
        num_channels = num_channels or len(block)
        check_block(block, num_channels)
        num_samples += block.shape[1]
        in_last_frame = num_samples % frame_samples
        is_excess = frame_samples - in_last_frame > LONGEST_EXCESS_S * sample_rate_hz
        if following is None and is_excess and in_last_frame < min(num_samples, block.shape[1]):
            block = block[:, : block.shape[1] - in_last_frame]
        if block.shape[1]:
            yield block


def _order(packet: av.Packet) -> Fraction:
    return known(packet_time(packet)) if packet.dts is None else packet.dts * packet.time_base
