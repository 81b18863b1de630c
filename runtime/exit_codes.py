"""The end of a command: its exit code, and an expected error as one line in place of a traceback."""

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from lightning.fabric.utilities.exceptions import MisconfigurationException

EXIT_CODE_OF_CTRL_C = 130
EXPECTED_ERRORS = (ValueError, OSError, ImportError, MisconfigurationException)


def end_in_words(main: Callable[[], Any]) -> NoReturn:
    """Runs a command and ends the process; an int that it returns is the exit code."""
    try:
        code = main()
    except KeyboardInterrupt:
        sys.exit(EXIT_CODE_OF_CTRL_C)
    except SystemExit as end:
        is_ctrl_c = isinstance(end.__context__, KeyboardInterrupt)  # Lightning exits with another code
        raise SystemExit(EXIT_CODE_OF_CTRL_C if is_ctrl_c else end.code) from None
    except EXPECTED_ERRORS as error:
        if os.environ.get("V2A_TRACEBACK"):
            raise
        sys.exit(f"Error: {error}\n(V2A_TRACEBACK=1 shows where it comes from.)")
    sys.exit(code if isinstance(code, int) else 0)
