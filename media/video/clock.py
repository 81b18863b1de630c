"""The clock of a broadcast, which may start again within a file, as when two recordings are joined."""

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av

LARGEST_FALL_S = Fraction(1, 10)  # of decoding times within one recording; FFmpeg's own command has the same bounds
LARGEST_LEAP_S = 10
USUAL_DURATION_S = Fraction(1, 25)  # of a packet that does not say how long it is


def on_one_clock(packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
    """Joins recordings: a packet of a later one is shown after all that came before it in the file.

    A stream whose decoding times fall back, or leap far ahead, has reached the next recording. The first one sets the
    shift of that recording, and the others take it over, so that picture and sound stay together.
    """
    shifts_s, end_s = [Fraction(0)], Fraction(0)
    latest: dict[int, tuple[int, Fraction]] = {}  # the recording, and the time of the last packet, of each stream
    for packet in packets:
        if packet.dts is not None:
            decoded_s = packet.dts * packet.time_base
            shown_s = decoded_s if packet.pts is None else packet.pts * packet.time_base
            recording, last_s = latest.get(packet.stream_index, (len(shifts_s) - 1, decoded_s))
            if not -LARGEST_FALL_S <= decoded_s - last_s <= LARGEST_LEAP_S:
                recording += 1
                if recording == len(shifts_s):
                    shifts_s.append(end_s - shown_s)
            latest[packet.stream_index] = recording, decoded_s
            duration_s = (packet.duration or 0) * packet.time_base or USUAL_DURATION_S
            end_s = max(end_s, shown_s + shifts_s[recording] + duration_s)
            shift_ticks = round(shifts_s[recording] / packet.time_base)
            packet.dts += shift_ticks
            packet.pts = None if packet.pts is None else packet.pts + shift_ticks
        yield packet
