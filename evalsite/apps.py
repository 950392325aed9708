from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class EvalsiteConfig(AppConfig):
    name = "evalsite"
    verbose_name = "Replik"


class ReplikAdminConfig(AdminConfig):
    """Django's admin, with our own site for it."""

    default = False
    default_site = "evalsite.adminsite.ReplikAdminSite"
