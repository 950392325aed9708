"""What annotators did: to be read and searched. Nobody edits a judgement."""

from django.contrib import admin

from annotations.models import Assignment, Flag, Judgement
from generation.adminbase import ReadOnly


@admin.register(Assignment)
class AssignmentAdmin(ReadOnly):
    """One showing of an item to a person."""

    list_display = ["__str__", "campaign", "who", "item", "purpose", "status", "seconds", "opened_at"]
    list_filter = ["participation__campaign", "status", "purpose", "skip_reason", "layout"]
    list_select_related = ["participation__campaign", "item"]
    search_fields = ["=participation__number", "item__context__thread__title"]
    search_help_text = "An annotator's number, or words of a thread's title"
    date_hierarchy = "opened_at"
    ordering = ["-opened_at"]
    fields = [
        "participation", "item", "purpose", "occurrence", "status", "left", "layout", "place", "opened_at",
        "lease_until", "ended_at", "seconds", "fold_opened", "changes", "skip_reason",
    ]  # fmt: skip

    @admin.display(description="study", ordering="participation__campaign__name")
    def campaign(self, assignment: Assignment) -> str:
        return assignment.participation.campaign.name

    @admin.display(description="annotator", ordering="participation__number")
    def who(self, assignment: Assignment) -> str:
        return assignment.participation.pseudonym


@admin.register(Judgement)
class JudgementAdmin(ReadOnly):
    """Answers as they were given, the corrected ones too."""

    list_display = [
        "__str__",
        "campaign",
        "who",
        "criterion",
        "side",
        "value",
        "revision",
        "reason",
        "given_at",
    ]
    list_filter = ["assignment__participation__campaign", "criterion__key", "revision"]
    list_select_related = ["assignment__participation__campaign", "criterion"]
    search_fields = ["=assignment__participation__number", "reason"]
    date_hierarchy = "given_at"
    ordering = ["-given_at"]
    fields = ["assignment", "criterion", "side", "value", "revision", "reason", "given_at"]

    @admin.display(description="study", ordering="assignment__participation__campaign__name")
    def campaign(self, judgement: Judgement) -> str:
        return judgement.assignment.participation.campaign.name

    @admin.display(description="annotator", ordering="assignment__participation__number")
    def who(self, judgement: Judgement) -> str:
        return judgement.assignment.participation.pseudonym


@admin.register(Flag)
class FlagAdmin(ReadOnly):
    """Problems that annotators reported."""

    list_display = ["reason", "campaign", "who", "item", "text", "given_at"]
    list_filter = ["assignment__participation__campaign", "reason"]
    list_select_related = ["assignment__participation__campaign", "assignment__item"]
    search_fields = ["text", "=assignment__participation__number"]
    ordering = ["-given_at"]
    fields = ["assignment", "reason", "text", "given_at"]

    @admin.display(description="study", ordering="assignment__participation__campaign__name")
    def campaign(self, flag: Flag) -> str:
        return flag.assignment.participation.campaign.name

    @admin.display(description="annotator", ordering="assignment__participation__number")
    def who(self, flag: Flag) -> str:
        return flag.assignment.participation.pseudonym

    @admin.display(description="item")
    def item(self, flag: Flag) -> str:
        return str(flag.assignment.item)
