"""The one stylesheet: its colours can be read, light and dark, and old browsers get the light ones."""

import re
from pathlib import Path

import pytest

CSS = (Path(__file__).parents[2] / "annotations/static/replik/replik.css").read_text(encoding="utf-8")
TOKENS = {
    name: (light, dark)
    for name, light, dark in re.findall(
        r"--r-([\w-]+):\s*light-dark\((#[0-9a-f]{6}),\s*(#[0-9a-f]{6})\)", CSS, re.IGNORECASE
    )
}
NEEDS = [
    *(("ink", back, 7) for back in ("paper", "surface", "sunk", "accent-soft")),
    *(("ink-soft", back, 4.5) for back in ("paper", "surface", "sunk", "accent-soft")),
    *(("accent", back, 4.5) for back in ("paper", "surface", "accent-soft")),
    *(("on-accent", back, 4.5) for back in ("accent", "accent-hover")),
    *(("line-strong", back, 3) for back in ("paper", "surface", "sunk")),
    *(("focus", back, 3) for back in ("paper", "surface", "accent-soft")),
    *((state, f"{state}-soft", 4.5) for state in ("ok", "warn", "bad")),
    *((state, "surface", 4.5) for state in ("ok", "warn", "bad")),
    *((f"plot-{n}", "surface", 3) for n in range(1, 6)),
]


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    """WCAG's ratio: (lighter + 0.05) / (darker + 0.05)."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("fore", "back", "needed"), NEEDS)
def test_what_is_written_can_be_read(fore, back, needed):
    for theme in (0, 1):
        assert contrast(TOKENS[fore][theme], TOKENS[back][theme]) >= needed


def test_old_browsers_get_the_light_colours():
    plain = dict(re.findall(r"--r-([\w-]+):\s*(#[0-9a-f]{6});", CSS, re.IGNORECASE))

    assert plain == {name: light for name, (light, _dark) in TOKENS.items()}


def test_nothing_is_fetched_from_elsewhere():
    assert "url(" not in CSS
    assert "@import" not in CSS
