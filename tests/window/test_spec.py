"""Windows as people write them."""

import pytest

from beam_pipelines.errors import UsageError
from beam_pipelines.window.spec import Window, parse_window


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("none", Window()),
        ("fixed:90m", Window("fixed", 5_400_000_000)),
        (" Sliding : 1h / 5m ", Window("sliding", 3_600_000_000, 300_000_000)),
        ("session:500ms", Window("session", 500_000)),
        ("calendar:day@Europe/Berlin", Window("calendar", unit="day", zone="Europe/Berlin")),
        ("calendar:weeks@UTC", Window("calendar", unit="week", zone="UTC")),
    ],
)
def test_a_window_is_read_and_written_back(text: str, window: Window) -> None:
    assert parse_window(text) == window
    assert parse_window(str(window)) == window
    assert parse_window(window) is window


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sesion:30m", "Did you mean 'session'"),
        ("hourly", "sliding:SIZE/PERIOD"),
        ("sliding:1h", "how often one starts, as in sliding:1h/5m"),
        ("sliding:5m/1h", "would leave rows in no window"),
        ("sliding:30d/1s", "a row would be in 2592000 windows of 4w2d every 1s; at most 10000"),
        ("session", "as in session:30m"),
        ("session:0m", "can't be zero"),
        ("fixed:1month", "no fixed length"),
        ("calendar:fortnight@UTC", "one of day, week, month, quarter, year, not 'fortnight'"),
        ("calendar:day", "say in which time zone"),
        (
            "calendar:day@Europe/Berln",
            "no time zone 'Europe/Berln'; write an IANA name, as Europe/Berlin. Did you mean",
        ),
        ("calendar:day@../etc", "no time zone"),
        ("none:1h", "write fixed:DURATION"),
    ],
)
def test_a_wrong_window_says_what_to_write(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_window(text)
    assert message in str(caught.value)
    assert f"'{text}'" in str(caught.value)
