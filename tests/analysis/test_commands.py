"""analyse_campaign and analyse_file: what they write, and what they refuse, with the place of the fault."""

import io
import json

import pytest
from django.core.management import call_command

from analysis import folder as folders
from analysis.models import Report
from annotations.exports import export
from tests.analysis import judged

from .conftest import COLUMNS, campaign_rows, row, write_csv

ENTRIES = {"report.html", "results.json", "tables", "plots"}


@pytest.fixture(autouse=True)
def data_dir(settings, tmp_path):
    settings.DATA_DIR = tmp_path / "data"
    return settings.DATA_DIR


def run(name, *arguments):
    """What --json prints, and the exit code."""
    out = io.StringIO()
    try:
        call_command(name, *map(str, arguments), "--json", stdout=out, stderr=io.StringIO())
        code = 0
    except SystemExit as stopped:
        code = stopped.code
    return json.loads(out.getvalue()), code


def results_of(folder):
    return json.loads((folder / "results.json").read_text("utf-8"), parse_constant=pytest.fail)


def entries(folder):
    return {path.name for path in folder.iterdir()}


# --- analyse_campaign


@pytest.mark.django_db
def test_a_campaigns_report_is_written_kept_and_told(tmp_path):
    campaign = judged.campaign()
    out = tmp_path / "out"

    told, code = run("analyse_campaign", campaign.slug, "--out", out)

    assert (told, code) == ({"out": str(out), "warnings": []}, 0)
    assert entries(out) == ENTRIES
    assert results_of(out) == json.loads(json.dumps(Report.objects.get().results))


@pytest.mark.django_db
def test_a_runs_report_warns_that_it_is_simulated(tmp_path):
    campaign = judged.campaign("open")
    judged.run_of(campaign)

    told, code = run("analyse_campaign", campaign.slug, "--run", "rehearsal", "--out", tmp_path / "out")

    assert code == 0
    assert told["warnings"][0] == "All judgements are simulated: they say nothing about people."


@pytest.mark.django_db
def test_an_open_campaign_is_refused_and_nothing_is_written(tmp_path):
    campaign = judged.campaign("open")

    told, code = run("analyse_campaign", campaign.slug, "--out", tmp_path / "out")

    assert code == 1
    assert "results stay unseen until it is closed" in told["error"]
    assert not (tmp_path / "out").exists()


@pytest.mark.django_db
def test_unknown_campaigns_and_runs_are_refused_by_name(tmp_path):
    campaign = judged.campaign()

    told, code = run("analyse_campaign", campaign.slug, "--run", "nobody", "--out", tmp_path / "out")

    assert (told["key"], code) == ("--run", 1)
    assert run("analyse_campaign", "nothing", "--out", tmp_path / "out")[0]["key"] == "CAMPAIGN"


@pytest.mark.django_db
def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    campaign = judged.campaign()
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter.txt").write_text("years of work")

    told, code = run("analyse_campaign", campaign.slug, "--out", out)

    assert (told["file"], code) == (str(out), 1)
    assert entries(out) == {"chapter.txt"}
    assert not Report.objects.exists()


@pytest.mark.django_db
def test_a_files_analysis_gives_the_same_preferences_as_the_campaigns_report(tmp_path):
    campaign = judged.campaign("open")
    simulated = judged.run_of(campaign, systems={"alpha": 0.5})
    package = export(campaign, tmp_path / "package", simulated)

    run("analyse_campaign", campaign.slug, "--run", "rehearsal", "--out", tmp_path / "one")
    run("analyse_file", package.folder / "preferences.csv", "--out", tmp_path / "other")

    one, other = results_of(tmp_path / "one"), results_of(tmp_path / "other")
    assert one["preferences"] == other["preferences"]
    assert one["agreement"] == other["agreement"]
    assert any(each["p"] is not None for each in one["preferences"])


# --- analyse_file


def test_a_file_alone_is_analysed_without_a_database(tmp_path):
    path = write_csv(tmp_path / "mine.csv", campaign_rows())

    told, code = run("analyse_file", path, "--out", tmp_path / "out")

    assert (told["out"], code) == (str(tmp_path / "out"), 0)
    assert entries(tmp_path / "out") == ENTRIES
    assert results_of(tmp_path / "out")["settings"]["source"] == "mine.csv"


def test_columns_of_other_names_can_be_named(tmp_path):
    names = {"annotator": "rater", "winner": "choice"}
    path = write_csv(tmp_path / "theirs.csv", campaign_rows())
    header, rest = path.read_text("utf-8").split("\n", 1)
    path.write_text(
        ",".join(names.get(name, name) for name in header.strip().split(",")) + "\n" + rest, "utf-8"
    )

    told, code = run(
        "analyse_file", path, "--columns", "annotator=rater, winner=choice", "--out", tmp_path / "out"
    )

    assert (code, told["warnings"]) == (0, [])
    assert results_of(tmp_path / "out")["settings"]["counts"]["annotators"] == 8


@pytest.mark.parametrize("columns", ["rater", "rater=annotator", "annotator="])
def test_columns_that_name_nothing_of_ours_are_refused(columns, tmp_path):
    path = write_csv(tmp_path / "mine.csv", campaign_rows())

    told, code = run("analyse_file", path, "--columns", columns, "--out", tmp_path / "out")

    assert (told["key"], code) == ("--columns", 1)


def test_a_missing_column_is_refused_by_file_and_line(tmp_path):
    path = write_csv(
        tmp_path / "mine.csv", campaign_rows(), [name for name in COLUMNS if name != "annotator"]
    )

    told, code = run("analyse_file", path, "--out", tmp_path / "out")

    assert code == 1
    assert told == {"error": "Column annotator missing.", "file": str(path), "line": 1}
    assert not (tmp_path / "out").exists()


def test_a_wrong_value_is_refused_by_line_and_column(tmp_path):
    rows = campaign_rows()
    rows[4]["winner"] = "both"
    path = write_csv(tmp_path / "mine.csv", rows)

    told, code = run("analyse_file", path, "--out", tmp_path / "out")

    assert code == 1
    assert (told["file"], told["line"], told["key"]) == (str(path), 6, "winner")
    assert told["error"] == "'both' is none of a, tie, b."


@pytest.mark.parametrize("content", [None, b"", b"item,annotator\n", b"\xff\xfe"])
def test_a_file_that_is_missing_empty_or_no_csv_is_refused(content, tmp_path):
    path = tmp_path / "mine.csv"
    if content is not None:
        path.write_bytes(content)

    told, code = run("analyse_file", path, "--preferences", "--out", tmp_path / "out")

    assert (told["file"], code) == (str(path), 1)
    assert not (tmp_path / "out").exists()


def test_scores_and_control_systems_are_refused_in_words(tmp_path):
    scores = tmp_path / "scores.csv"
    scores.write_text("item,annotator,criterion,system,value\n1,x,y,z,3\n")
    preferences = write_csv(tmp_path / "mine.csv", campaign_rows())
    out = ["--out", tmp_path / "out"]

    assert "A file of scores is not in this version" in run("analyse_file", scores, *out)[0]["error"]
    assert run("analyse_file", preferences, "--scores", *out)[0]["key"] == "--scores"
    assert run("analyse_file", preferences, "--control", "smol", *out)[0]["key"] == "--control"
    assert run("analyse_file", preferences, "--control-criteria", "a", *out)[0]["key"] == "--control-criteria"
    assert not (tmp_path / "out").exists()


def test_an_earlier_report_is_replaced_and_what_lies_beside_it_stays(tmp_path):
    out = tmp_path / "out"
    run("analyse_file", write_csv(tmp_path / "one.csv", campaign_rows()), "--out", out)
    (out / "notes.txt").write_text("mine")
    (out / "tables" / "old.csv").write_text("old")

    told, code = run("analyse_file", write_csv(tmp_path / "two.csv", campaign_rows(seed=2)), "--out", out)

    assert (told["out"], code) == (str(out), 0)
    assert results_of(out)["settings"]["source"] == "two.csv"
    assert entries(out) == {*ENTRIES, "notes.txt"}
    assert "old.csv" not in entries(out / "tables")


def test_a_failure_leaves_the_earlier_report_whole(tmp_path, monkeypatch):
    out = tmp_path / "out"
    path = write_csv(tmp_path / "mine.csv", campaign_rows())
    run("analyse_file", path, "--out", out)
    before = {each: each.read_bytes() for each in out.rglob("*") if each.is_file()}
    monkeypatch.setattr(folders, "_write_plots", lambda *args: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        run("analyse_file", path, "--out", out)

    assert {each: each.read_bytes() for each in out.rglob("*") if each.is_file()} == before
    assert entries(tmp_path) == {"out", "mine.csv"}


def test_simulated_rows_alone_are_analysed_and_marked(tmp_path):
    path = write_csv(
        tmp_path / "mine.csv", [row(simulated="1", thread=f"t{n}", item=f"i{n}") for n in range(3)]
    )

    told, code = run("analyse_file", path, "--out", tmp_path / "out")

    assert code == 0
    assert told["warnings"][0].startswith("All judgements are simulated")
    assert "Simulated annotators" in (tmp_path / "out" / "report.html").read_text("utf-8")
