"""A lease by name, for work that only one process should do at a time."""

from datetime import timedelta

from django.db import models, transaction
from django.db.models import Q

from generation.clock import database_now


class Lease(models.Model):
    """Who has the word for something, and until when."""

    name = models.CharField(max_length=60, unique=True)
    holder = models.CharField(max_length=100)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.holder}"

    @classmethod
    def take(cls, name: str, holder: str, length: timedelta) -> bool:
        """Takes or renews it; False while another holds it."""
        now = database_now()
        with transaction.atomic():
            cls.objects.get_or_create(name=name, defaults={"holder": holder, "until": now})
            mine = cls.objects.filter(Q(holder=holder) | Q(until__lte=now), name=name)
            return bool(mine.update(holder=holder, until=now + length))
