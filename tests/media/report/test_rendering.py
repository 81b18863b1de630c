from pathlib import Path

import pytest
from jinja2 import UndefinedError

from media.report.rendering import clock, write_page


@pytest.mark.parametrize(
    ("time_s", "num_decimals", "shown"),
    [(7, 0, "0:07"), (754.56, 1, "12:34.6"), (3723, 0, "1:02:03"), (59.96, 1, "1:00.0"), (3.2, 1, "0:03.2")],
)
def test_times_read_as_on_a_player(time_s, num_decimals, shown):
    assert clock(time_s, num_decimals) == shown


def test_a_value_that_a_template_lacks_is_an_error_and_leaves_no_page(tmp_path: Path) -> None:
    with pytest.raises(UndefinedError, match="'page' is undefined"):
        write_page("evaluation.html", tmp_path / "index.html")
    assert not list(tmp_path.iterdir())
