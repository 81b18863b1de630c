"""Quiet noise in place of dead silence."""

import numpy as np
from numpy.random import Generator
from scipy.signal import lfilter

# A filter from white to pink noise, whose power falls by 3 dB per octave.
# Source: J. O. Smith, "Spectral Audio Signal Processing", 2011, section "Pink Noise Generation Example".
NUMERATOR = (0.049922035, -0.095993537, 0.050612699, -0.004408786)
DENOMINATOR = (1.0, -2.494956002, 2.017265875, -0.522189400)


class Ambience:
    """Seamless pink noise, piece by piece.

    Args:
        level_db: root mean square, relative to full scale.
        generator: generator of random numbers.
    """

    def __init__(self, level_db: float, generator: Generator) -> None:
        self.generator = generator
        impulse = np.zeros(1 << 14)
        impulse[0] = 1
        power = np.square(lfilter(NUMERATOR, DENOMINATOR, impulse)).sum()
        self.gain = 10 ** (level_db / 20) / np.sqrt(power)
        self.state = np.zeros(len(DENOMINATOR) - 1)
        self.noise(1 << 12)  # lets the filter settle

    def noise(self, num_samples: int) -> np.ndarray:
        """Makes the next samples, (num_samples,) float32."""
        white = self.gain * self.generator.standard_normal(num_samples)
        pink, self.state = lfilter(NUMERATOR, DENOMINATOR, white, zi=self.state)
        return pink.astype(np.float32)
