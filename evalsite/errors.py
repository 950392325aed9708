"""The page for requests that cannot be read."""

from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.template.loader import render_to_string


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Reads nothing of the request: Django's own page looks for a CSRF value in it, and fails a second time."""
    return HttpResponseBadRequest(render_to_string("400.html"))
