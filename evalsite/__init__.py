"""The site: settings, Celery, addresses, the supervisor and the demo. It wires; it decides nothing."""

from evalsite.celery import app as celery_app

__all__ = ["celery_app"]
