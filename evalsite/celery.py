"""The Celery app: the doorbell of the workers. What there is to do stands in the database."""

import os

from celery import Celery
from django.conf import settings
from kombu.transport import TRANSPORT_ALIASES

#: `files://` as a broker's address means our own transport.
TRANSPORT_ALIASES["files"] = "evalsite.filebroker:Transport"

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalsite.settings")

app = Celery("replik")
app.add_defaults(lambda: settings.CELERY)
app.autodiscover_tasks(["generation"])
