"""Plots: well-formed under a strict policy, stable looks, and captions that do not overclaim."""

import re
import xml.etree.ElementTree as ET

import pytest

from analysis.plots import agreement_plot, percent_label, shortened, win_rate_plot

SVG = "{http://www.w3.org/2000/svg}"
CLASSES = {"plot", "grid", "zero", "axis", "range", "sys-h", *(f"sys-{k}" for k in range(1, 6))}


def preference(a, b, rate, low=None, high=None, criterion="human_likeness", reason=None):
    return {
        "criterion": criterion,
        "system_a": a,
        "system_b": b,
        "win_rate": rate,
        "low": low,
        "high": high,
        "wins_a": 50,
        "wins_b": 40,
        "ties": 10,
        "reason": reason,
    }


def agreement(measure, estimate, low=None, high=None, reason=None):
    return {
        "criterion": "human_likeness",
        "measure": measure,
        "level": "nominal",
        "estimate": estimate,
        "low": low,
        "high": high,
        "units": 40,
        "annotators": 6,
        "judgements": 120,
        "reason": reason,
    }


ROWS = [
    preference("flashback-gpt", "human", 0.44, 0.37, 0.52),
    preference("human", "smol", 0.78, 0.70, 0.84),
    preference("flashback-gpt", "smol", 0.7, 0.6, 0.8),
    preference("human", "smol", 0.5, 0.4, 0.6, criterion="informativeness"),
]


def drawn(plot):
    return ET.fromstring(plot.svg)


def texts(plot):
    return [element.text or element[0].tail for element in drawn(plot).iter(f"{SVG}text")]


def test_every_opponent_of_the_human_reference_has_a_row_turned_its_way():
    plot = win_rate_plot(ROWS, criterion="human_likeness")

    assert texts(plot)[5:] == ["flashback-gpt", "44 [37, 52]", "smol", "22 [16, 30]"]
    assert [made["comparison"] for made in plot.rows] == ["flashback-gpt over human", "smol over human"]
    assert plot.rows[1]["win rate"] == "22.0%"
    assert plot.rows[1]["95% interval"] == "16.0% to 30.0%"


def test_without_a_reference_every_pair_has_a_row():
    plot = win_rate_plot([preference("alpha", "smol", 0.6, 0.55, 0.65)], criterion="human_likeness")

    assert "alpha over smol" in texts(plot)


def test_the_caption_claims_no_difference_where_the_interval_holds_one_half():
    caption = win_rate_plot(ROWS, criterion="human_likeness").caption

    assert caption == (
        "People chose flashback-gpt over the human reply in 44% of 100 judgements (95% interval 37 to 52): "
        "no clear difference from even. smol over the human reply: less often than not (22%, 16 to 30). "
        "Ties count as half."
    )


def test_the_caption_says_more_often_where_the_interval_lies_above():
    rows = [preference("alpha", "human", 0.6, 0.504, 0.7)]

    caption = win_rate_plot(rows, criterion="human_likeness").caption

    assert "(95% interval 50.4 to 70): more often than not." in caption


def test_a_rate_without_interval_says_why_and_draws_no_range():
    rows = [preference("alpha", "human", 1.0, reason="Only 5 threads; an interval needs at least 10.")]

    plot = win_rate_plot(rows, criterion="human_likeness")

    assert "100, no interval" in texts(plot)
    assert 'class="range' not in plot.svg
    assert "alpha won 100% over the human reply, without an interval: Only 5 threads" in plot.caption


def test_a_system_keeps_its_look_from_plot_to_plot():
    systems = ["alpha", "beta", "flashback-gpt", "human", "smol"]

    plot = win_rate_plot(ROWS, criterion="informativeness", systems=systems)

    # smol is the fourth system beside the human reference, whatever else is in this plot.
    assert "sys-4" in plot.svg
    assert not re.search("sys-[1235h]", plot.svg)


def test_past_five_systems_colour_goes():
    rows = [preference("human", f"s{k}", 0.5, 0.4, 0.6) for k in range(6)]

    svg = win_rate_plot(rows, criterion="human_likeness").svg

    assert set(re.findall(r"sys-\w", svg)) == {"sys-h"}


def test_every_marker_is_drawn_inside_the_picture():
    rows = [preference("human", f"s{k}", k % 2, 0.0, 1.0) for k in range(5)]
    rows.append(preference("human", "zero", 0.5, 0.4, 0.6, criterion="other"))

    plot = win_rate_plot(rows, criterion="human_likeness")

    width, height = map(float, drawn(plot).get("viewBox").split()[2:])
    numbers = [float(e.get(key)) for e in drawn(plot).iter() for key in ("x1", "x2", "x", "cx") if e.get(key)]
    assert all(0 <= number <= width for number in numbers)
    assert all(float(e.get("y")) < height for e in drawn(plot).iter(f"{SVG}text"))
    assert {element.tag for element in drawn(plot).iter()} >= {SVG + "circle", SVG + "rect", SVG + "path"}


@pytest.mark.parametrize("name", ['<script>alert("x")</script>', "a & b", "x\x00\x08y", "'\"", "ä" * 80])
def test_names_of_systems_cannot_break_out(name):
    rows = [preference(name, "human", 0.4, 0.3, 0.5)]

    plot = win_rate_plot(rows, criterion="human_likeness", identity='"><b>', title=f"{name} & co")

    assert_allowed(plot)
    assert "<script" not in plot.svg


def test_a_long_name_is_shortened_and_kept_whole_for_the_pointer():
    name = "organisation/a-very-long-model-name-7b-instruct"

    plot = win_rate_plot([preference("human", name, 0.5, 0.4, 0.6)], criterion="human_likeness")

    short = shortened(name)
    assert len(short) == 26
    assert short.startswith("organisation/")
    assert short.endswith("instruct")
    assert f"<title>{name}</title>{short}" in plot.svg
    assert shortened("smol") == "smol"


def test_agreement_shows_share_and_alpha_with_words_for_both():
    rows = [
        agreement("percent", 0.71, 0.66, 0.76),
        agreement("krippendorff_alpha", 0.48, 0.31, 0.62),
        agreement("gwet_ac1", -0.05, -0.2, 0.1),
    ]

    plot = agreement_plot(rows, criterion="human_likeness")

    assert texts(plot)[:7] == ["−0.2", "0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert texts(plot)[7:] == [
        *("Same answer, %", "71 [66, 76]"),
        *("Krippendorff's alpha", "0.48 [0.31, 0.62]"),
        *("Gwet's AC1", "−0.05 [−0.20, 0.10]"),
    ]
    assert "in 71% of cases (95% interval 66 to 76)" in plot.caption
    assert "alpha (nominal) is 0.48 (95% interval 0.31 to 0.62), where 1 is full agreement" in plot.caption
    assert plot.rows[1]["estimate"] == "0.480"


def test_agreement_that_may_be_chance_is_said_to_be():
    plot = agreement_plot([agreement("krippendorff_alpha", 0.1, -0.5, 0.3)], criterion="human_likeness")

    assert "no clear agreement beyond chance" in plot.caption
    assert texts(plot)[:5] == ["−1.0", "−0.5", "0.0", "0.5", "1.0"]


def test_agreement_that_cannot_be_computed_says_why():
    reason = "No item was judged by two annotators, so agreement cannot be seen."
    rows = [agreement(measure, None, reason=reason) for measure in ("percent", "krippendorff_alpha")]

    plot = agreement_plot(rows, criterion="human_likeness")

    assert texts(plot)[-1] == "cannot be computed"
    assert plot.caption.count(reason) == 1
    assert plot.rows[0]["estimate"] == "–"


def test_alpha_without_interval_is_shown_alone():
    plot = agreement_plot([agreement("krippendorff_alpha", 1, reason="Full.")], criterion="human_likeness")

    assert texts(plot)[-1] == "1.00, no interval"
    assert plot.caption.endswith("Full. For these annotators.")


@pytest.mark.parametrize("plot", [win_rate_plot, agreement_plot])
def test_nothing_to_show_is_refused(plot):
    with pytest.raises(ValueError, match="under 'x' to plot"):
        plot([], criterion="x")


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0.44, 0.37, 0.52), "44 [37, 52]"),
        ((0.5, 0.45, 0.55), "50 [45, 55]"),
        ((0.496, 0.4999, 0.504), "49.6 [49.990, 50.4]"),
        ((1.0, None, None), "100, no interval"),
        ((0.998, 0.0004, 0.99996), "99.8 [0.040, 99.996]"),
    ],
)
def test_labels_never_round_across_one_half_or_to_certainty(numbers, expected):
    assert percent_label(*numbers) == expected


def test_both_plots_pass_the_policy():
    assert_allowed(win_rate_plot(ROWS, criterion="human_likeness"))
    assert_allowed(agreement_plot([agreement("percent", 0.7, 0.6, 0.8)], criterion="human_likeness"))


def assert_allowed(plot):
    """No styles and no scripts, known classes only, and a name for those who do not see it."""
    root = drawn(plot)
    for element in root.iter():
        assert element.tag in {
            SVG + tag for tag in ("svg", "g", "title", "text", "line", "path", "circle", "rect")
        }
        assert not {"style", "href"} & set(element.attrib)
        assert not any(key.startswith("on") for key in element.attrib)
        assert set(element.get("class", "plot").split()) <= CLASSES
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").get("id") == root.get("aria-labelledby")
