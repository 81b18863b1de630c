import pytest

from runtime import session_time
from runtime.session_time import KAGGLE, SessionTime, as_hours, machine_age_s


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """One number, the time."""
    now = [1000.0]
    monkeypatch.setattr(session_time.time, "monotonic", lambda: now[0])
    monkeypatch.delenv(KAGGLE, raising=False)
    return now


def test_without_a_limit_the_time_is_never_up(clock: list[float]) -> None:
    session = SessionTime(None, 5)
    clock[0] += 1e9
    assert not session.is_up


def test_the_longest_of_each_thing_must_still_fit_before_the_reserve(clock: list[float]) -> None:
    session = SessionTime(hours=1, reserve_minutes=10)
    session.note("step", started_at=clock[0] - 100)
    session.note("step", started_at=clock[0] - 30)
    session.note("validation", started_at=clock[0] - 500)
    clock[0] += 3600 - 600 - 600
    assert not session.is_up
    clock[0] += 1
    assert session.is_up


def test_on_kaggle_the_session_starts_with_the_machine(clock: list[float], monkeypatch, capsys) -> None:
    monkeypatch.setenv(KAGGLE, "Batch")
    monkeypatch.setattr(session_time, "machine_age_s", lambda: 7200.0)
    session = SessionTime(None, 5)
    session.announce()
    assert session.hours == 11.5
    assert session.age_s == 7200
    assert "before it is 11.5 hours old (Kaggle's limit is 12); 9 h 30 min are left" in capsys.readouterr().out


def test_a_limit_that_leaves_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.05 hours is over before its reserve of 5 minutes"):
        SessionTime(0.05, 5)


def test_the_age_of_a_machine_is_that_of_its_first_process() -> None:
    assert 0 <= machine_age_s() < 10 * 365 * 86_400


@pytest.mark.parametrize(
    ("seconds", "text"), [(40, "40 s"), (720, "12 min"), (11_100, "3 h 05 min"), (3599, "1 h 00 min")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert as_hours(seconds) == text
