"""`python -m demo` makes data, fits all models and gives a silent video a sound track, in minutes on a CPU.

It runs the commands that a user types, with the demo's overlays. A second run reuses what is there.
"""

import os
import time
from pathlib import Path

import cli
from demo.dataset import make_dataset
from demo.video import make_video
from runtime.exit_codes import end_in_words
from runtime.systems import CONFIGS
from runtime.tell import tell

FOLDER = Path("outputs/demo")
VIDEO = FOLDER / "silent" / "demo.mp4"
NUM_PHOTOS, NUM_SOUNDS = 320, 120
STEPS = (
    ("Sounds to codes and back", ["fit", "--config", "vqvae.yaml"]),
    ("Reconstructions of held-out sounds", ["predict", "--config", "vqvae.yaml"]),
    ("Top codes from a class", ["fit", "--config", "top.yaml"]),
    ("Bottom codes from top codes", ["fit", "--config", "bottom.yaml"]),
    ("The class of a photo", ["fit", "--config", "classifier.yaml"]),
    ("Sound for the silent video", ["predict", "--config", "video2audio.yaml", "--data.inputs", str(VIDEO)]),
)


def main() -> None:
    """Runs every step in the project's folder and prints the files to look at."""
    os.chdir(CONFIGS.parent)
    started_at = time.monotonic()
    tell(f"[0/{len(STEPS)}] Drawing {2 * NUM_PHOTOS} photos, synthesising {2 * NUM_SOUNDS} sounds, filming a video")
    make_dataset(FOLDER / "data", num_photos=NUM_PHOTOS, num_sounds=NUM_SOUNDS)
    make_video(VIDEO)
    for number, (title, (subcommand, flag, config, *rest)) in enumerate(STEPS, start=1):
        args = [subcommand, flag, config, flag, "demo.yaml", *rest]
        tell(f"\n[{number}/{len(STEPS)}] {title}\n$ python cli.py {' '.join(args)}")
        cli.main(args)
    tell(
        f"\nDone in {time.monotonic() - started_at:.0f} s. Look at, and listen to:\n"
        "  outputs/demo.mp4                           the video, now with sound\n"
        "  outputs/demo.html                          the report: scenes and events, the sound, all settings\n"
        "  outputs/demo_spectrogram.png               the spectrogram of its sound\n"
        "  outputs/demo/reconstructions/overview.png  held-out sounds and their reconstructions\n"
        "  outputs/demo/training/                     sounds and pictures during training\n"
        f"  {VIDEO}              the silent video"
    )


if __name__ == "__main__":
    end_in_words(main)
