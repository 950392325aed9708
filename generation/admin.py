"""Corpora, systems and replies for the researcher. What workers wrote can be read here and never changed."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from generation.adminbase import ModelAdmin, ModelForm, ReadOnly, as_json, as_post, as_posts
from generation.engines import Decoding, DecodingFault
from generation.models import Context, Corpus, Job, Order, Reply, System, Thread


@admin.register(Corpus)
class CorpusAdmin(ModelAdmin):
    """Corpora come with `import_threads`; here they are described."""

    list_display = ["name", "language", "licence", "source", "thread_count", "created_at"]
    list_filter = ["language"]
    search_fields = ["name", "source", "licence"]
    fields = ["name", "language", "licence", "source", "thread_count", "topics"]
    readonly_fields = ["thread_count", "topics"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Corpus | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Corpus]:
        finished = Q(threads__job__status=Job.Status.FINISHED)
        return super().get_queryset(request).annotate(finished_threads=Count("threads", filter=finished))

    @admin.display(description="threads", ordering="finished_threads")
    def thread_count(self, corpus: Corpus) -> SafeString:
        return format_html(
            '<a href="{}?corpus__id__exact={}">{}</a>',
            reverse("admin:generation_thread_changelist"),
            corpus.pk,
            corpus.finished_threads,  # type: ignore[attr-defined]
        )

    @admin.display(description="topics")
    def topics(self, corpus: Corpus) -> str:
        rows = (
            Thread.objects.visible()
            .filter(corpus=corpus)
            .values("topic")
            .annotate(n=Count("id"))
            .order_by("-n")
        )
        shown = [f"{row['topic']}: {row['n']}" for row in rows[:30]]
        more = rows.count() - len(shown)
        return "\n".join(shown + ([f"and {more} more"] if more > 0 else []))


@admin.register(Thread)
class ThreadAdmin(ReadOnly):
    list_display = ["title", "topic", "corpus", "post_count", "characters"]
    list_filter = ["corpus"]
    list_select_related = ["corpus"]
    search_fields = ["title", "topic", "=identity"]
    search_help_text = "Title, topic, or the whole identity"
    fields = ["title", "topic", "corpus", "identity", "post_count", "replaced_characters", "read"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Thread]:
        return Thread.objects.visible()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Thread], search_term: str
    ) -> tuple[QuerySet[Thread], bool]:
        # The posts are most of a row's weight, and the list does not show them.
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        return found.defer("posts"), may_repeat

    @admin.display(description="posts")
    def read(self, thread: Thread) -> SafeString:
        return as_posts(thread.posts)


class SystemForm(ModelForm):
    """Names every fault of the decoding beside the field, all at once."""

    class Meta:
        model = System
        fields = ["name", "kind", "model", "prompt", "decoding"]
        help_texts = {
            "decoding": 'How it chooses its words, such as {"do_sample": true, "temperature": 0.7, "seed": 1}. '
            f"Known settings: {', '.join(Decoding.__dataclass_fields__)}. Empty: the defaults.",
            "prompt": "How the thread is put to the model.",
        }

    def clean_decoding(self) -> dict[str, Any]:
        table = self.cleaned_data["decoding"] or {}
        if not isinstance(table, dict):
            raise forms.ValidationError('Use settings with their values, such as {"temperature": 0.7}.')
        try:
            Decoding.from_table(table)
        except DecodingFault as wrong:
            raise forms.ValidationError([f"{key}: {message}" for key, message in wrong.faults]) from wrong
        return table

    def clean(self) -> dict[str, Any] | None:
        given = super().clean() or self.cleaned_data
        kind, model = given.get("kind"), given.get("model", "")
        if kind == System.Kind.TRANSFORMERS and not model:
            self.add_error("model", "Say which model folder, as path:FOLDER.")
        elif kind == System.Kind.TRANSFORMERS and not model.startswith(("path:", "hub:")):
            self.add_error("model", f'Begin with "path:", so path:{model}.')
        if kind == System.Kind.HUMAN and model:
            self.add_error("model", "The human reference has no model. Leave it empty.")
        if kind == System.Kind.HUMAN and given.get("decoding"):
            self.add_error("decoding", "The human reference has no decoding. Leave it empty.")
        return given


@admin.register(System)
class SystemAdmin(ModelAdmin):
    form = SystemForm
    list_display = ["name", "kind", "model", "prompt", "written", "created_at"]
    list_filter = ["kind"]
    search_fields = ["name", "model"]
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[System]:
        written = Count("replies", filter=Q(replies__status=Reply.Status.WRITTEN))
        return super().get_queryset(request).annotate(written_replies=written)

    @admin.display(description="replies written", ordering="written_replies")
    def written(self, system: System) -> int:
        return int(system.written_replies)  # type: ignore[attr-defined]

    @admin.display(description="decoding")
    def decoding_read(self, system: System) -> SafeString:
        return as_json(system.decoding)

    def get_fieldsets(self, request: HttpRequest, obj: System | None = None) -> Any:
        if obj is None or not obj.is_used:
            return [(None, {"fields": ["name", "kind", "model", "prompt", "decoding"]})]
        told = (
            "This system has replies, so it stays as it is: studies and plans know it by this name. "
            "For other settings add a system with a new name."
        )
        shown = ["name", "kind", "model", "prompt", "decoding_read", "fingerprint", "written"]
        return [(None, {"fields": shown, "description": told})]

    def get_readonly_fields(self, request: HttpRequest, obj: System | None = None) -> list[str]:
        if obj is None or not obj.is_used:
            return []
        return ["name", "kind", "model", "prompt", "decoding_read", "fingerprint", "written"]

    def has_delete_permission(self, request: HttpRequest, obj: System | None = None) -> bool:
        unused = obj is None or not obj.is_used
        return unused and super().has_delete_permission(request, obj)


@admin.register(Context)
class ContextAdmin(ReadOnly):
    list_display = ["thread_title", "cut", "corpus", "reply_count"]
    list_filter = ["thread__corpus"]
    search_fields = ["thread__title", "thread__topic", "=content_hash"]
    fields = ["thread", "cut", "content_hash", "shown", "next_post"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Context]:
        rows = super().get_queryset(request).select_related("thread__corpus")
        return rows.defer("thread__posts").annotate(replies_n=Count("replies"))

    @admin.display(description="thread", ordering="thread__title")
    def thread_title(self, context: Context) -> str:
        return context.thread.title

    @admin.display(description="corpus", ordering="thread__corpus__name")
    def corpus(self, context: Context) -> str:
        return context.thread.corpus.name

    @admin.display(description="replies", ordering="replies_n")
    def reply_count(self, context: Context) -> int:
        return int(context.replies_n)  # type: ignore[attr-defined]

    @admin.display(description="what annotators see")
    def shown(self, context: Context) -> SafeString:
        return as_posts(context.posts)

    @admin.display(description="human reference")
    def next_post(self, context: Context) -> SafeString | str:
        post = context.reference
        return as_post(post.get("username"), post["post"]) if post else "none: the thread ends here"


@admin.register(Reply)
class ReplyAdmin(ReadOnly):
    """Every reply with all that is needed to make it again."""

    list_display = ["thread_title", "system", "sample", "attempt", "status", "notes", "new_tokens", "seconds"]
    list_filter = ["status", "system", "context__thread__corpus"]
    search_fields = ["text", "context__thread__title", "system__name"]
    fieldsets = [
        (None, {"fields": ["context", "system", "sample", "attempt", "status", "tries", "last_error"]}),
        ("What was written", {"fields": ["read", "by_user", "notes", "text", "written_at"]}),
        (
            "How to make it again",
            {
                "fields": [
                    "seed", "fingerprint", "finish_reason", "prompt_tokens", "new_tokens", "seconds",
                    "provenance_read", "thresholds_read", "prompt_read",
                ]
            },
        ),
    ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reply]:
        return super().get_queryset(request).select_related("system", "context__thread")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Reply], search_term: str
    ) -> tuple[QuerySet[Reply], bool]:
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        return found.defer("context__thread__posts", "prompt", "items", "text", "provenance"), may_repeat

    @admin.display(description="thread", ordering="context__thread__title")
    def thread_title(self, reply: Reply) -> str:
        return reply.context.thread.title

    @admin.display(description="screening")
    def notes(self, reply: Reply) -> str:
        return ", ".join(str(reason["code"]) for reason in reply.screening) or "–"

    @admin.display(description="as annotators read it")
    def read(self, reply: Reply) -> SafeString | str:
        return as_post(reply.by_user, reply.items) if reply.items is not None else "not written yet"

    @admin.display(description="provenance")
    def provenance_read(self, reply: Reply) -> SafeString:
        return as_json(reply.provenance)

    @admin.display(description="screening rule")
    def thresholds_read(self, reply: Reply) -> SafeString:
        return as_json(reply.thresholds)

    @admin.display(description="what the system read")
    def prompt_read(self, reply: Reply) -> SafeString:
        return format_html('<pre class="readable" dir="auto">{}</pre>', reply.prompt)


@admin.register(Order)
class OrderAdmin(ReadOnly):
    list_display = ["__str__", "created_at", "settled_at", "cancelled_at", "contexts_n", "systems_n"]
    fields = ["created_at", "settled_at", "cancelled_at", "on_quality", "max_redraws", "names", "progress"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        rows = super().get_queryset(request).order_by("-id")
        return rows.annotate(
            contexts_count=Count("contexts", distinct=True), systems_count=Count("systems", distinct=True)
        )

    @admin.display(description="contexts")
    def contexts_n(self, order: Order) -> int:
        return int(order.contexts_count)  # type: ignore[attr-defined]

    @admin.display(description="systems")
    def systems_n(self, order: Order) -> int:
        return int(order.systems_count)  # type: ignore[attr-defined]

    @admin.display(description="systems")
    def names(self, order: Order) -> str:
        return ", ".join(order.systems.values_list("name", flat=True))

    @admin.display(description="replies")
    def progress(self, order: Order) -> str:
        counts = order.progress().counts
        return ", ".join(f"{n} {status}" for status, n in counts.items() if n) or "none"


@admin.register(Job)
class JobAdmin(ReadOnly):
    list_display = ["__str__", "kind", "status", "how_far", "error", "created_at", "finished_at"]
    list_filter = ["kind", "status"]
    ordering = ["-id"]
    fields = [
        "kind",
        "status",
        "how_far",
        "error",
        "created_at",
        "finished_at",
        "arguments_read",
        "result_read",
    ]

    @admin.display(description="done")
    def how_far(self, job: Job) -> str:
        return f"{job.done} of {job.total}" if job.total is not None else str(job.done)

    @admin.display(description="arguments")
    def arguments_read(self, job: Job) -> SafeString:
        return as_json(job.arguments)

    @admin.display(description="result")
    def result_read(self, job: Job) -> SafeString:
        return as_json(job.result)
