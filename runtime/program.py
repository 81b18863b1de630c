"""The program's version and the name that it was called by, for the commands that it prints."""

import sys

VERSION = "0.1.0"
PROGRAM = "video2audio" if "video2audio" in sys.modules else "python cli.py"
