"""Reports in the admin: a list to find them by, never to change them."""

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from analysis.models import Report
from analysis.pages import address
from generation.adminbase import ReadOnly


@admin.register(Report)
class ReportAdmin(ReadOnly):
    list_display = ["campaign", "run", "created_at", "page"]
    list_select_related = ["campaign", "run"]
    list_filter = ["campaign"]
    fields = ["campaign", "run", "created_at", "package", "page"]
    readonly_fields = ["campaign", "run", "created_at", "package", "page"]

    @admin.display(description="read")
    def page(self, report: Report) -> SafeString:
        """The page shows the newest report of its kind."""
        return format_html('<a href="{}">Newest report</a>', address(report.campaign, report.run))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("analysis.view_report")
