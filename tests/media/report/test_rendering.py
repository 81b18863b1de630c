from pathlib import Path

import pytest
from jinja2 import UndefinedError

from media.report.rendering import ENVIRONMENT, clock, write_page


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


def test_charts_have_time_to_the_right_and_high_values_at_the_top():
    macros = ENVIRONMENT.get_template("macros.html").module
    assert macros.curve([1, 2], [0, 1], 4.0) == "M0 1000L2500 1000L5000 0L10000 0"
    assert macros.area([1], [1.0], 4.0, 2.0) == "M0 1000L0 500L2500 500L10000 500L10000 1000Z"
    assert macros.bars([(1.0, 2.0), (3.0, 5.0)], 4.0) == "M2500 0H5000V1000H2500ZM7500 0H10000V1000H7500Z"
    assert macros.stems([1, 2], [0.5, 1.0], 4.0, 1.0) == "M2500 1000V500M5000 1000V0"
    assert macros.dots([1, 2], [0.5, 1.0], 4.0, 1.0) == "M2500 500h0M5000 0h0"
