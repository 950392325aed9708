"""Reading judgements: what is accepted, turned round, left out, and how a fault is reported."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.tables import (
    TableError,
    kind_of,
    read_package,
    read_preferences,
)
from annotations.spreadsheets import protect, unprotect

from .conftest import COLUMNS, campaign_rows, row, write_csv

LEAST = ["item", "annotator", "criterion", "system_a", "system_b", "winner"]
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
DANGEROUS = st.builds("".join, st.tuples(st.sampled_from([*"=+-@\t\r'", "''", "'="]), TEXTS))


def test_a_row_is_read_column_by_column(read_rows):
    table = read_rows([row(winner="b", strength="2", left="b")])

    assert table.item.texts() == ["i1"]
    assert (table.context.texts(), table.thread.texts()) == (["c1"], ["t1"])
    assert (table.annotator.texts(), table.criterion.texts()) == (["P-01"], ["human_likeness"])
    assert (table.system_a.texts(), table.system_b.texts()) == (["human"], ["smol"])
    assert (table.y.tolist(), table.strength.tolist(), table.a_left.tolist()) == ([0], [2], [0])
    assert (table.layout.texts(), table.seconds.tolist()) == (["beside"], [31.5])
    assert (table.rows_read, table.source, table.simulated) == (1, "preferences.csv", False)


def test_six_columns_are_enough(read_rows):
    table = read_rows([row(item="i1"), row(item="i2", winner="tie")], LEAST)

    assert table.context.texts() == table.thread.texts() == ["i1", "i2"]
    assert (table.strength.tolist(), table.a_left.tolist()) == ([1, 0], [-1, -1])
    assert np.isnan(table.seconds).all()


def test_thread_defaults_to_the_context_and_empty_cells_to_their_default(read_rows):
    absent = read_rows([row(context="c7")], [*LEAST, "context"])
    empty = read_rows([row(context="", thread=""), row(item="i2", context="c9", thread="")])

    assert absent.thread.texts() == ["c7"]
    assert empty.context.texts() == ["i1", "c9"]
    assert empty.thread.texts() == ["i1", "c9"]


def test_systems_are_ordered_by_code_point_and_the_row_turned_round(read_rows):
    # "Z" < "a" < "å" by code point, whatever a dictionary says.
    rows = [
        row(item="1", system_a="a", system_b="Z", winner="a", left="a"),
        row(item="2", system_a="å", system_b="a", winner="tie", left="b"),
        row(item="3", system_a="a", system_b="å", winner="b", left="b"),
    ]

    table = read_rows(rows)

    assert table.system_a.texts() == ["Z", "a", "a"]
    assert table.system_b.texts() == ["a", "å", "å"]
    assert table.y.tolist() == [0, 0.5, 0]
    assert table.a_left.tolist() == [0, 1, 0]


def test_repeats_and_controls_are_left_out_and_counted(read_rows):
    table = read_rows([row(), row(item="i2", repeat="1"), row(item="i3", control="1", repeat="1")])

    assert table.item.texts() == ["i1"]
    assert (table.left_out["repeat"], table.left_out["control"], table.rows_read) == (1, 1, 3)


def test_simulated_rows_give_way_to_real_ones(read_rows):
    table = read_rows([row(), row(item="i2", simulated="1"), row(item="i3", simulated="1")])

    assert table.item.texts() == ["i1"]
    assert not table.simulated
    assert table.warnings == (
        "2 rows of simulated annotators left out, since judgements of people are present.",
    )


def test_simulated_rows_alone_are_read_and_marked(read_rows):
    table = read_rows([row(simulated="1")])

    assert table.simulated
    assert "simulated" in table.warnings[0]


def test_only_the_first_judgement_of_the_same_question_counts(read_rows):
    table = read_rows([row(winner="a"), row(winner="b"), row(winner="b", criterion="informativeness")])

    assert table.y.tolist() == [1, 0]
    assert table.left_out["duplicate"] == 1
    assert "1 row left out" in table.warnings[0]


def test_other_names_of_columns_can_be_given(tmp_path):
    path = tmp_path / "theirs.csv"
    path.write_text("id,rater,q,left_system,right_system,winner\n1,x,fluent,s,t,a\n", "utf-8")

    table = read_preferences(
        path,
        columns={
            "item": "id",
            "context": "id",
            "annotator": "rater",
            "criterion": "q",
            "system_a": "left_system",
            "system_b": "right_system",
        },
    )

    assert (table.criterion.texts(), table.context.texts()) == (["fluent"], ["1"])


def test_blank_lines_and_a_byte_order_mark_are_passed_over(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{','.join(LEAST)}\r\n\r\n1,x,q,s,t,a\r\n\r\n".encode())

    assert read_preferences(path).item.texts() == ["1"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"winner": "left"}, "preferences.csv line 4, column winner: 'left' is none of a, tie, b"),
        ({"item": ""}, "preferences.csv line 4, column item: is empty"),
        ({"annotator": ""}, "preferences.csv line 4, column annotator: is empty"),
        ({"system_b": "human"}, "preferences.csv line 4, column system_b: 'human' is compared with itself"),
        ({"strength": "3"}, "preferences.csv line 4, column strength: '3' is none of 0, 1, 2"),
        ({"strength": "0"}, "preferences.csv line 4, column strength: a win has strength 1 or 2, not 0"),
        (
            {"winner": "tie", "strength": "1"},
            "preferences.csv line 4, column strength: a tie has strength 0, not 1",
        ),
        ({"left": "c"}, "preferences.csv line 4, column left: 'c' is none of a, b"),
        ({"seconds": "soon"}, "preferences.csv line 4, column seconds: 'soon' is not a number of seconds"),
        ({"seconds": "-1"}, "preferences.csv line 4, column seconds: '-1' is not a number of seconds"),
        ({"repeat": "yes"}, "preferences.csv line 4, column repeat: 'yes' is none of 0, 1"),
    ],
)
def test_a_wrong_cell_is_named_with_its_line(read_rows, change, message):
    # The first judgement's topic takes two lines, so the second begins on line 4.
    rows = [row(topic="one\ntwo"), row(**{"item": "i2", **change})]

    with pytest.raises(TableError) as caught:
        read_rows(rows)

    assert str(caught.value) == message
    assert (caught.value.line, caught.value.column) == (4, next(iter(reversed(change))))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.csv: the file is empty"),
        ("item,annotator\n", "x.csv line 1: columns criterion, system_a, system_b, winner missing"),
        (f"{','.join(LEAST)},item\n", "x.csv line 1: column item appears 2 times"),
        (f"{','.join(LEAST)}\n", "x.csv: there are no judgements below the header"),
        (f"{','.join(LEAST)}\n1,x,q,s,t,a\n2,x,q,s,t\n", "x.csv line 3: 5 cells where the header has 6"),
        (f"{','.join(LEAST)}\n1,x,q,s,t,a,\n", "x.csv line 2: 7 cells where the header has 6"),
        (
            f'{",".join(LEAST)}\n1,x,q,s,t,a\n1,"x"y,q,s,t,a\n',
            "x.csv line 3: not a well-formed CSV (',' expected after '\"')",
        ),
        (
            f"{','.join(LEAST)},repeat\n1,x,q,s,t,a,1\n",
            "x.csv: every row is a repeat or a control, so there is nothing to analyse",
        ),
    ],
)
def test_a_wrong_file_is_named(tmp_path, text, message):
    path = tmp_path / "x.csv"
    path.write_text(text, "utf-8")

    with pytest.raises(TableError) as caught:
        read_preferences(path)

    assert str(caught.value) == message


def test_bytes_that_are_not_utf_8_are_named_with_their_line(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(f"{','.join(LEAST)}\n1,x,q,s,t,a\n".encode() + b"2,\xe5,q,s,t,a\n")

    with pytest.raises(TableError, match=r"x.csv line 3: not UTF-8"):
        read_preferences(path)


def test_a_file_or_column_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "x.csv"

    with pytest.raises(TableError, match=r"x.csv: cannot be read \(No such file"):
        read_preferences(path)
    path.write_text(f"{','.join(LEAST)}\n1,x,q,s,t,a\n", "utf-8")
    with pytest.raises(TableError, match=r"there is no column rater to read as annotator"):
        read_preferences(path, columns={"annotator": "rater"})


def test_the_kind_of_a_file_is_found_from_its_columns(tmp_path):
    path = tmp_path / "x.csv"
    kinds = {}
    for last in ("winner", "value", "score"):
        path.write_text(f"item,{last}\n", "utf-8")
        kinds[last] = kind_of(path)

    path.write_text("item,points\n", "utf-8")

    assert kinds == {"winner": "preferences", "value": "scores", "score": "scores"}
    assert kind_of(path, {"value": "points"}) == "scores"
    with pytest.raises(TableError, match="neither a column winner"):
        kind_of(path)


@given(TEXTS | DANGEROUS)
@settings(max_examples=300)
def test_what_was_protected_comes_back(text):
    assert unprotect(protect(text)) == text
    assert protect(text)[0] not in "=+-@\t\r"


@pytest.mark.parametrize("cell", ["", "'", "'plain", "it's", "plain"])
def test_cells_that_need_no_protection_stay_as_they_are(cell):
    assert unprotect(cell) == cell


@given(
    st.lists(
        st.tuples(TEXTS | DANGEROUS, TEXTS | DANGEROUS), min_size=1, max_size=5, unique_by=lambda p: p[0]
    )
)
@settings(max_examples=60, deadline=None)
def test_dangerous_cells_survive_the_file(folder, texts):
    rows = [row(item=item, thread=thread) for item, thread in texts]

    table = read_preferences(write_csv(folder / "dangerous.csv", rows))

    assert list(zip(table.item.texts(), table.thread.texts(), strict=True)) == texts


def test_a_package_is_read_with_what_lies_beside_it(tmp_path):
    columns = [name for name in COLUMNS if name != "thread"]
    write_csv(tmp_path / "preferences.csv", [row(context="c1"), row(item="i2", context="c2")], columns)
    lines = [json.dumps({"context": f"c{k}", "thread": "=t"}) for k in (1, 2)]
    (tmp_path / "contexts.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    replies = (
        "context,system,attempt,status,selection,text\n"
        'c1,smol,0,written,,"two\nlines"\n'
        f"c1,smol,1,written,clear,{'long ' * 30_000}\n"
        "c2,smol,0,failed,,\n"
    )
    (tmp_path / "replies.csv").write_text(replies, "utf-8")
    missing = [{"criterion": "human_likeness", "system_a": "smol", "system_b": "human", "missing": 3}]
    (tmp_path / "manifest.json").write_text(
        json.dumps({"run": "dry", "missing": missing, "skipped": {"smol": 2}})
    )
    (tmp_path / "campaign.toml").write_text("[plan]\nmargin = 0.2\n", "utf-8")

    table, extras = read_package(tmp_path)

    assert table.thread.texts() == ["=t", "=t"]
    assert (extras.replies, extras.run, extras.skipped) == (2, "dry", {"smol": 2})
    assert extras.missing == {("human_likeness", "human", "smol"): 3}
    assert extras.redrawn == {("c1", "smol")}
    assert extras.campaign == {"plan": {"margin": 0.2}}


def test_a_package_needs_preferences_and_nothing_else(tmp_path):
    with pytest.raises(TableError, match=r"preferences.csv: the data package has no preferences.csv"):
        read_package(tmp_path)
    write_csv(tmp_path / "preferences.csv", [row()])

    _, extras = read_package(tmp_path)

    assert (extras.missing, extras.replies, extras.campaign) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("manifest.json", "{", r"manifest.json: not JSON"),
        ("manifest.json", "[]", r"manifest.json: not a JSON object"),
        ("campaign.toml", "[plan", r"campaign.toml: not TOML"),
        ("contexts.jsonl", '{"context": "c", "thread": "t"}\n{', r"contexts.jsonl line 2: not JSON"),
    ],
)
def test_a_fault_beside_the_judgements_is_named(tmp_path, name, text, message):
    write_csv(tmp_path / "preferences.csv", [row()])
    (tmp_path / name).write_text(text, "utf-8")

    with pytest.raises(TableError, match=message):
        read_package(tmp_path)


def test_more_rows_than_one_chunk_keep_their_order(read_rows):
    rows = campaign_rows(threads=120)

    table = read_rows(rows)

    assert len(table) == len(rows) > 2000
    assert table.item.texts() == [cells["item"] for cells in rows]
    assert table.annotator.texts() == [cells["annotator"] for cells in rows]
