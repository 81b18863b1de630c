"""The clock of a broadcast, which may start again within a file, as when two recordings are joined."""

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av

LARGEST_FALL_S = Fraction(1, 10)  # of decoding times within one recording; FFmpeg's own command has the same bounds
LARGEST_LEAP_S = 10
USUAL_DURATION_S = Fraction(1, 25)  # of a packet that does not say how long it is


def on_one_clock(packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
    """Joins recordings: a packet of a later one is shown after all that came before it in the file.

    A stream whose decoding times fall back, or leap far ahead, has reached the next recording. The first stream to do
    so sets the shift of that recording, and the others take it over when they reach it, so that picture and sound stay
    together.
    """
    shifts_s, end_s = [Fraction(0)], Fraction(0)
    recordings: dict[int, int] = {}
    last_s: dict[int, Fraction] = {}
    for packet in packets:
        stream = packet.stream_index
        recording = recordings.get(stream, len(shifts_s) - 1)
        if packet.dts is not None:
            time_s = packet.dts * packet.time_base
            step_s = time_s + shifts_s[recording] - last_s.get(stream, time_s + shifts_s[recording])
            if not -LARGEST_FALL_S <= step_s <= LARGEST_LEAP_S:
                recording += 1
                if recording == len(shifts_s):
                    shifts_s.append(end_s - time_s)
            recordings[stream], last_s[stream] = recording, time_s + shifts_s[recording]
            duration_s = (packet.duration or 0) * packet.time_base or USUAL_DURATION_S
            end_s = max(end_s, last_s[stream] + duration_s)
        if recording:
            shift_ticks = round(shifts_s[recording] / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + shift_ticks
            packet.dts = None if packet.dts is None else packet.dts + shift_ticks
        yield packet
