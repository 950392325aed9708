"""What the campaign keeps as JSON, written as a person would write it: one thing per line, parts apart by "|"."""

from typing import Any

from django import forms


def rows_to_text(rows: Any) -> str:
    """[["a", "b"], ["a", "c"]] as two lines "a | b"; what has another form is left to the JSON field."""
    if not isinstance(rows, list):
        return ""
    return "\n".join(
        " | ".join(str(part) for part in row) if isinstance(row, list) else str(row) for row in rows
    )


class RowsField(forms.CharField):
    """Lines of so many parts each, as a list of lists."""

    def __init__(self, *, parts: tuple[str, ...], **kwargs: Any) -> None:
        self.parts = parts
        kwargs.setdefault("widget", forms.Textarea(attrs={"rows": 3, "cols": 60, "spellcheck": "false"}))
        kwargs.setdefault("required", False)
        super().__init__(**kwargs)

    def clean(self, value: Any) -> list[list[str]]:
        rows, faults = [], []
        for number, line in enumerate((super().clean(value) or "").splitlines(), 1):
            if not line.strip():
                continue
            row = [part.strip() for part in line.split("|")]
            if len(row) != len(self.parts) or not all(row):
                faults.append(f"Line {number}: write it as {' | '.join(self.parts)}.")
            rows.append(row)
        if faults:
            raise forms.ValidationError(faults)
        return rows


class LabelsField(forms.CharField):
    """Labels of a scale, one per line, as a list; an empty one means the default words."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("widget", forms.Textarea(attrs={"rows": 5, "cols": 40}))
        super().__init__(required=False, **kwargs)

    def clean(self, value: Any) -> list[str]:
        return [line.strip() for line in (super().clean(value) or "").splitlines() if line.strip()]
