"""The people of a study: lists to read, and the one thing done to them here, taking a link back."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, F, Q, QuerySet
from django.http import HttpRequest

from annotations.links import link_for
from annotations.models import Annotator, Assignment, Participation
from generation.adminbase import ReadOnly, as_json


@admin.register(Annotator)
class AnnotatorAdmin(ReadOnly):
    """Who they are stands here and nowhere else, so this list is for those who may know."""

    list_display = ["__str__", "email", "external_id", "studies", "simulated", "created_at"]
    list_filter = ["simulated"]
    search_fields = ["name", "email", "external_id"]
    fields = ["name", "email", "external_id", "user", "simulated", "created_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Annotator]:
        return super().get_queryset(request).annotate(studies_n=Count("participations"))

    @admin.display(description="studies", ordering="studies_n")
    def studies(self, annotator: Any) -> int:
        return int(annotator.studies_n)


@admin.register(Participation)
class ParticipationAdmin(ReadOnly):
    """A person in a study, under a pseudonym."""

    list_display = ["pseudonym", "campaign", "status", "language", "done", "link_version", "run", "joined_at"]
    list_filter = ["campaign", "status", ("run", admin.EmptyFieldListFilter), "preview"]
    list_select_related = ["campaign", "run"]
    search_fields = ["=number", "campaign__name"]
    search_help_text = "A number (7 finds P-07) or a study"
    ordering = ["campaign", "run", "number"]
    fields = [
        "pseudonym", "campaign", "run", "preview", "status", "language", "done", "skipped", "consent_version",
        "consented_at", "joined_at", "finished_at", "excluded_reason", "link_version", "background_read",
    ]  # fmt: skip
    actions = ["revoke"]

    def get_fields(self, request: HttpRequest, obj: Participation | None = None) -> Any:
        """Whoever may take a link back may see it, too; simulated people have none."""
        fields = list(self.fields or [])
        real = obj is not None and obj.run_id is None and not obj.preview
        return [*fields, "personal_link"] if real and self.has_revoke_permission(request) else fields

    @admin.display(description="personal link")
    def personal_link(self, participation: Participation) -> str:
        return link_for(participation)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Participation]:
        submitted = Q(assignments__status=Assignment.Status.SUBMITTED, assignments__purpose="main")
        return (
            super()
            .get_queryset(request)
            .annotate(
                done_n=Count("assignments", filter=submitted),
                skipped_n=Count("assignments", filter=Q(assignments__status=Assignment.Status.SKIPPED)),
            )
        )

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("annotations.change_participation"))

    @admin.action(description="Take the personal links back", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Participation]) -> None:
        """Raises the version in the link, so that the old one no longer opens anything."""
        chosen = queryset.values_list("pk", flat=True)
        count = Participation.objects.filter(pk__in=list(chosen)).update(link_version=F("link_version") + 1)
        told = "1 personal link no longer works." if count == 1 else f"{count} personal links no longer work."
        told += " Answers stay. The new link stands on the participation's page."
        self.message_user(request, told, messages.SUCCESS)

    @admin.display(description="annotator", ordering="number")
    def pseudonym(self, participation: Participation) -> str:
        return participation.pseudonym

    @admin.display(description="done", ordering="done_n")
    def done(self, participation: Any) -> int:
        return int(participation.done_n)

    @admin.display(description="skipped", ordering="skipped_n")
    def skipped(self, participation: Any) -> int:
        return int(participation.skipped_n)

    @admin.display(description="background")
    def background_read(self, participation: Participation) -> Any:
        return as_json(participation.background)
