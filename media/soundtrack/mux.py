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
from media.soundtrack.containers import CONTAINERS, find_obstacle, is_after_the_end, own_pixel_shape, plan_output
from media.soundtrack.streams import check_block
from media.video.packets import UnreadableVideo, open_video, packet_time, read_packets
from media.video.video_files import VideoInfo, probe_video

SOUND_RATE_HZ = 48_000  # known to both AAC and Opus
SOUND_BIT_RATE = 128_000
# FFmpeg advises these above 64 kbit/s: noise substitution and the like would raise the peaks.
ENCODER_OPTIONS = {"aac": {"aac_coder": "fast", "aac_pns": "0", "aac_is": "0", "aac_tns": "0"}, "libopus": {}}
MAX_SILENCE_SAMPLES = 48_000  # in one block
LONGEST_EXCESS_S = 0.02  # by which a sound may outlast its picture


def mux_sound(
    video: Path,
    blocks: Iterable[np.ndarray],
    sample_rate_hz: int,
    output: Path,
    metadata: dict[str, str] | None = None,
    bit_rate: int = SOUND_BIT_RATE,
) -> None:
    """Writes a video with another sound and a bit-exact copy of its picture; the output is complete or absent.

    The picture keeps its packets, times, orientation, shape of pixels and time base. MPEG streams, whose clock starts
    anywhere, and videos that start after more than a minute are moved to time 0. Packets after the end set by an edit
    list are left out. The new sound starts with the first frame and is AAC, in .webm Opus. Decoders may play all of
    AAC's last frame of 1024 samples, hence up to 20 ms of silence. To avoid more, up to 64 samples (at 48 kHz) that
    would start a frame are left out.

    Args:
        video: path of the video.
        blocks: blocks (channels, num_samples) of the sound in [-1, 1], all with one channel or with two, read one at a
            time.
        sample_rate_hz: rate of the sound, one that AAC knows. Opus is always written at 48 kHz.
        output: file to write or to replace, with a suffix from `plan_output`.
        metadata: tags to add to those of the video, such as {"comment": …}; common ones are title, artist, comment,
            description, genre, date and copyright.
        bit_rate: bits a second of the encoded sound.

    Raises:
        FileNotFoundError: if there is no such video.
        UnreadableVideo: if the video is none, is damaged, or its picture cannot be copied, see `plan_output`.
        ValueError: if there is no block, `check_block` refuses one, the output is the video itself, its suffix does not
            fit, or its format cannot keep one of the tags.
        OSError: if the output cannot be written, as when the disk is full.
    """
    video, output = Path(video), Path(output)
    info = probe_video(video)
    if output.exists() and os.path.samefile(video, output):
        raise ValueError(f"{output} is the video itself, expected another file to write to.")
    if obstacle := find_obstacle(video, output.suffix.lower()):
        suffix, reason = plan_output(video)
        if reason:
            raise UnreadableVideo(f"{video} {reason}; its picture has to be encoded again, as an .mp4.")
        raise ValueError(f"{output} cannot be written: {video} {obstacle}; use the suffix {suffix}.")
    with open_video(video) as (container, picture):
        try:
            with atomic_path(output) as temporary:
                _write(temporary, container, picture, info, iter(blocks), sample_rate_hz, bit_rate, metadata or {})
        except av.FFmpegError as error:
            kind = OSError if isinstance(error, OSError) else ValueError
            raise kind(f"{output} could not be written: {error.strerror}.") from error


def encode_and_decode(
    video: Path, blocks: Iterable[np.ndarray], sample_rate_hz: int, output: Path, bit_rate: int = SOUND_BIT_RATE
) -> Iterator[np.ndarray]:
    """Encodes blocks (channels, samples) as `mux_sound` does and decodes them, since encoding changes the peaks."""
    encoder = CONTAINERS[Path(output).suffix.lower()][1]
    lead_samples = _lead_samples(probe_video(video), sample_rate_hz)
    frames = as_frames(_delay(blocks, lead_samples), sample_rate_hz)
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
                    delay = 0 if encoder == "libopus" else -known(packet.pts)  # the Opus decoder removes its own
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
    blocks = _delay(chain([first], blocks), _lead_samples(info, sample_rate_hz))
    muxer, encoder = CONTAINERS[path.suffix.lower()]
    tick_s = known(picture.time_base)
    options = {"movie_timescale": str(tick_s.denominator)}  # keeps the times of edit lists exact
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
        copied = _copy_packets(container, picture, picture_copy, info)
        for packet in heapq.merge(copied, _encode(sound, blocks, sample_rate_hz), key=_decoding_time):
            written.mux(packet)
    with av.open(path) as container:
        kept = {key.lower() for key in container.metadata}
    if lost := sorted(key for key in metadata if key.lower() not in kept):
        raise ValueError(f"A {path.suffix} file cannot keep the tags {lost}; use common ones such as comment.")


def _copy_packets(
    container: av.container.InputContainer, picture: av.VideoStream, copy: av.VideoStream, info: VideoInfo
) -> Iterator[av.Packet]:
    tick_s = known(picture.time_base)
    shift_ticks = 0 if info.is_timed_from_zero else round(info.start_s / tick_s)
    usual_ticks = round(1 / (info.frames_per_second * tick_s))
    for packet in read_packets(container, picture):
        if packet.size and packet_time(packet) is not None and not is_after_the_end(packet):
            packet.stream = copy
            packet.pts = None if packet.pts is None else packet.pts - shift_ticks
            packet.dts = None if packet.dts is None else packet.dts - shift_ticks
            packet.duration = packet.duration or usual_ticks  # or else the last frame is not seen
            yield packet


def _lead_samples(info: VideoInfo, sample_rate_hz: int) -> int:
    """Silence before a late first frame: edit lists hold the late start or the encoder's delay, not both."""
    return max(0, round(info.start_s * sample_rate_hz)) if info.is_timed_from_zero else 0


def _delay(blocks: Iterable[np.ndarray], num_samples: int) -> Iterator[np.ndarray]:
    for block in blocks:
        for start in range(0, num_samples, MAX_SILENCE_SAMPLES):
            yield np.zeros((len(block), min(MAX_SILENCE_SAMPLES, num_samples - start)), np.float32)
        num_samples = 0
        yield block


def _encode(sound: av.AudioStream, blocks: Iterable[np.ndarray], sample_rate_hz: int) -> Iterator[av.Packet]:
    for frame in as_frames(_trim(blocks, sound.codec_context.frame_size, sample_rate_hz), sample_rate_hz):
        yield from sound.encode(frame)
    yield from sound.encode(None)


def _trim(blocks: Iterable[np.ndarray], frame_samples: int, sample_rate_hz: int) -> Iterator[np.ndarray]:
    """Checks the blocks and leaves out the last few samples if they would make a frame that is nearly all padding."""
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


def _decoding_time(packet: av.Packet) -> Fraction:
    return known(packet_time(packet)) if packet.dts is None else packet.dts * packet.time_base
