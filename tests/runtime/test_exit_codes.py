import pytest

from runtime.exit_codes import end_in_words


def exit_code_of(main) -> object:
    with pytest.raises(SystemExit) as end:
        end_in_words(main)
    return end.value.code


def failing(error: BaseException):
    def main() -> None:
        raise error

    return main


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (1, 1), (object(), 0)])
def test_an_int_is_the_exit_code(returned, code):
    assert exit_code_of(lambda: returned) == code


@pytest.mark.parametrize("error", [ValueError("too few"), FileNotFoundError("too few"), ImportError("too few")])
def test_an_expected_error_is_one_line_that_names_the_traceback_option(error, monkeypatch):
    line, hint = exit_code_of(failing(error)).splitlines()
    assert line == "Error: too few"
    monkeypatch.setenv(hint.split("=")[0].strip("("), "1")
    with pytest.raises(type(error)):
        end_in_words(failing(error))


def test_any_other_error_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        end_in_words(lambda: 1 / 0)


def test_ctrl_c_has_its_exit_code_even_if_lightning_replaced_it():
    def caught() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise SystemExit(1)  # noqa: B904  # as Lightning does

    assert exit_code_of(failing(KeyboardInterrupt())) == exit_code_of(caught) == 130
    assert exit_code_of(failing(SystemExit(3))) == 3
