"""Opening hours: zones, summer time, dates of their own, and files that are wrong."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.clock import SHOP_ZONE
from actions.errors import DataFileError
from actions.hours import Hours, read_hours

SHOP = read_hours(Path(__file__).parents[3] / "data" / "hours.yml")
LONDON = ZoneInfo("Europe/London")
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))


def written(tmp_path: Path, text: str) -> Hours:
    path = tmp_path / "hours.yml"
    path.write_text(text)
    return read_hours(path)


def test_people_are_in_by_the_shops_clock() -> None:
    assert SHOP.is_open(datetime(2026, 6, 17, 7, 30, tzinfo=UTC))  # 8:30 in summer
    assert not SHOP.is_open(datetime(2026, 12, 16, 7, 30, tzinfo=UTC))
    assert SHOP.is_open(datetime(2026, 6, 21, 10, 0, tzinfo=UTC))  # Sunday
    assert not SHOP.is_open(datetime(2026, 6, 21, 18, 0, tzinfo=UTC))


def test_the_shop_sits_where_its_calendar_is() -> None:
    assert SHOP.zone.key == SHOP_ZONE


def test_a_date_of_its_own_wins_over_the_weekday() -> None:
    assert not SHOP.is_open(datetime(2026, 12, 25, 12, 0, tzinfo=UTC))  # a Friday
    assert SHOP.is_open(datetime(2026, 12, 26, 12, 0, tzinfo=UTC))
    back = SHOP.next_opening(datetime(2026, 12, 24, 21, 0, tzinfo=UTC))
    assert back == datetime(2026, 12, 26, 10, 0, tzinfo=LONDON)


@pytest.mark.parametrize(
    ("moment", "spoken"),
    [
        (datetime(2026, 6, 17, 5, 0, tzinfo=UTC), "today at 8:00 (UK time)"),
        (datetime(2026, 6, 17, 20, 0, tzinfo=UTC), "tomorrow at 8:00 (UK time)"),
        (datetime(2026, 6, 20, 20, 0, tzinfo=UTC), "tomorrow at 10:00 (UK time)"),
        (datetime(2026, 12, 24, 21, 0, tzinfo=UTC), "on Saturday at 10:00 (UK time)"),
        # 23:30 UTC is already tomorrow in London's summer.
        (datetime(2026, 6, 16, 23, 30, tzinfo=UTC), "today at 8:00 (UK time)"),
    ],
)
def test_the_return_is_spoken(moment: datetime, spoken: str) -> None:
    assert SHOP.spoken_return(moment) == spoken


def test_a_far_return_has_its_date() -> None:
    closed = {date(2026, 6, 1) + timedelta(days=i): () for i in range(10)}
    hours = Hours(zone=LONDON, zone_name="UK time", week=SHOP.week, days=closed)
    spoken = hours.spoken_return(datetime(2026, 6, 1, 9, 0, tzinfo=UTC))
    assert spoken == "on Thursday 11 June at 8:00 (UK time)"


def test_hours_that_never_come_are_no_moment() -> None:
    never = Hours(week=((),) * 7)
    assert never.next_opening(datetime(2026, 1, 1, tzinfo=UTC)) is None
    assert never.spoken_return(datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_a_day_in_which_the_clock_changes_is_an_hour_shorter_or_longer() -> None:
    night_and_day = Hours(zone=LONDON, week=(((0, 24 * 60),),) * 7)
    for day, hours in ((date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 6, 1), 24)):
        start = datetime(day.year, day.month, day.day, tzinfo=LONDON).astimezone(UTC)
        until = day + timedelta(days=1)
        end = datetime(until.year, until.month, until.day, tzinfo=LONDON).astimezone(UTC)
        assert night_and_day.open_s(start, end) == hours * 3600


def test_only_open_hours_count(tmp_path: Path) -> None:
    hours = written(tmp_path, 'week: {monday: ["09:00-12:00", "13:00-17:00"]}')
    monday = datetime(2026, 6, 15, tzinfo=UTC)
    assert hours.open_s(monday, monday + timedelta(days=7)) == 7 * 3600
    assert hours.open_s(monday.replace(hour=11), monday.replace(hour=14)) == 2 * 3600
    assert hours.open_s(monday.replace(hour=17), monday + timedelta(days=6)) == 0


@given(MOMENTS)
def test_the_next_opening_is_the_first_open_moment(moment: datetime) -> None:
    back = SHOP.next_opening(moment)
    assert back is not None
    assert SHOP.is_open(back)
    assert back >= moment
    assert (back == moment) == SHOP.is_open(moment)
    assert SHOP.open_s(moment, back) == 0


@given(MOMENTS, st.integers(0, 10 * 86_400), st.integers(0, 10 * 86_400))
def test_open_time_adds_up(start: datetime, first_s: int, second_s: int) -> None:
    middle = start + timedelta(seconds=first_s)
    end = middle + timedelta(seconds=second_s)
    whole = SHOP.open_s(start, end)
    assert SHOP.open_s(start, middle) + SHOP.open_s(middle, end) == pytest.approx(whole)
    assert 0 <= whole <= (end - start).total_seconds()


def test_without_a_file_people_are_always_in(tmp_path: Path) -> None:
    hours = read_hours(tmp_path / "none.yml")
    moment = datetime(2026, 12, 25, 3, 0, tzinfo=UTC)
    assert hours.is_open(moment)
    assert hours.open_s(moment, moment + timedelta(days=30)) == 30 * 86_400


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[]", "mapping"),
        ("{", "not YAML"),
        ("time_zone: Mars/Olympus", "Mars/Olympus"),
        ("time_zone: ../../etc/passwd", "no time zone"),
        ("week: 7", "week"),
        ("week: {funday: []}", "funday"),
        ('week: {monday: "08:00-20:00"}', "week.monday"),
        ('week: {monday: ["20:00-08:00"]}', "20:00-08:00"),
        ('week: {monday: ["08:00-24:30"]}', "24:30"),
        ('week: {monday: ["08:00-12:00", "11:00-13:00"]}', "11:00-13:00"),
        ("days: {christmas: []}", "christmas"),
    ],
)
def test_a_wrong_file_is_named_with_the_remedy(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(DataFileError, match="hours") as caught:
        written(tmp_path, text)
    assert named in str(caught.value)
