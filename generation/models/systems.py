"""What can answer a context, and the contexts."""

import hashlib
import json
from typing import Any

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from generation.engines.decoding import Decoding
from generation.models.corpora import Thread

NAME = RegexValidator(
    r"^[^\s\x00-\x1f][^\x00-\x1f]{0,99}$",
    "Use 1 to 100 characters without line breaks, not beginning with a space.",
)


class System(models.Model):
    """What can answer a context. Site-wide, unique by name; settled once it has replies."""

    class Kind(models.TextChoices):
        HUMAN = "human", "human (the held-out next post)"
        TRANSFORMERS = "transformers", "transformers (a local model)"
        ENDPOINT = "endpoint", "endpoint (an OpenAI-compatible server)"
        IMPORTED = "imported", "imported (a file)"
        CONTROL = "control", "control (made for checks)"

    class Prompt(models.TextChoices):
        THREAD = "thread", "thread (the text form)"
        CHAT = "chat", "chat (the model's template)"

    name = models.CharField(max_length=100, unique=True, validators=[NAME])
    kind = models.CharField(max_length=20, choices=Kind, default=Kind.TRANSFORMERS)
    model = models.CharField(
        max_length=300,
        blank=True,
        help_text="path:FOLDER below one of the model folders (REPLIK_MODEL_DIRS).",
    )
    prompt = models.CharField(max_length=20, choices=Prompt, default=Prompt.THREAD)
    decoding = models.JSONField(
        default=dict, blank=True, help_text='Settings of decoding, such as {"temperature": 0.7, "seed": 1}.'
    )
    fingerprint = models.CharField(
        max_length=64,
        blank=True,
        editable=False,
        help_text="Hash of weights, tokenizer, prompt form and decoding; set by the worker at first use.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(kind="transformers") | ~Q(model=""), name="transformers_system_names_a_model"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def model_key(self) -> str:
        """What a worker loads to write for this system: its claims are of one such model at a time."""
        return self.model if self.kind == self.Kind.TRANSFORMERS else self.kind

    @property
    def settings(self) -> dict[str, Any]:
        """All that makes this system what it is; the name is only what it is called."""
        return {
            "kind": self.kind,
            "model": self.model,
            "prompt": self.prompt,
            "decoding": Decoding.from_table(self.decoding).own_table(),
        }

    @property
    def is_used(self) -> bool:
        return self.pk is not None and self.replies.exists()

    def fingerprint_with(self, weights: str) -> str:
        """Hash(weights and tokenizer, prompt form, decoding). Renaming the system never changes it."""
        parts = [self.kind, weights, self.prompt, self.settings["decoding"]]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


class Context(models.Model):
    """A thread cut after some post. Annotators see all of it; the next post, if any, is the human reference."""

    thread = models.ForeignKey(Thread, on_delete=models.PROTECT, related_name="contexts")
    cut = models.PositiveIntegerField(help_text="How many posts are shown.")
    content_hash = models.CharField(max_length=64, db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["thread", "cut"], name="context_once_per_cut"),
            models.CheckConstraint(condition=Q(cut__gte=1), name="context_shows_a_post"),
        ]

    def __str__(self) -> str:
        return f"{self.thread.title} (first {self.cut} posts)"

    @property
    def posts(self) -> list[dict[str, Any]]:
        """The posts shown, in the thread form."""
        return list(self.thread.posts[: self.cut])

    @property
    def reference(self) -> dict[str, Any] | None:
        """The post that really came next, in the thread form; None at the end of the thread."""
        posts = self.thread.posts
        return posts[self.cut] if self.cut < len(posts) else None
