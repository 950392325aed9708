"""Reports: the frozen analysis of a campaign."""

from django.db import models

from annotations.models import Campaign, Run


class Report(models.Model):
    """What was found in a campaign, or in one of its runs, with the settings, versions and counts that made it."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="reports")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, null=True, blank=True, related_name="reports")
    created_at = models.DateTimeField()
    results = models.JSONField(help_text="results.json, as of then.")
    manifest = models.JSONField(help_text="The manifest of the data package that was analysed.")
    package = models.CharField(max_length=300, help_text="The package's folder, below the data folder.")

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["campaign", "run", "-created_at"])]

    def __str__(self) -> str:
        return f"report {self.pk} of {self.campaign}"
