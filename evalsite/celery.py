"""The Celery app: the doorbell of the workers. What there is to do stands in the database."""

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalsite.settings")

app = Celery("replik")
app.add_defaults(lambda: settings.CELERY)
app.autodiscover_tasks(["generation"])
