"""What the forms of a campaign and of its rows share: parts of JSON columns, and fields for running text."""

from dataclasses import dataclass
from typing import Any

from django import forms

from generation.threads import clean as clean_text

LANGUAGES = {"sv": "Swedish", "en": "English"}


@dataclass(frozen=True)
class Part:
    """A part of a JSON column that has a field of its own in the form."""

    column: str
    path: tuple[str, ...]
    empty: Any = ""

    def read(self, instance: Any) -> Any:
        value = getattr(instance, self.column) or {}
        for step in self.path:
            value = value.get(step) if isinstance(value, dict) else None
        return self.empty if value is None else value

    def write(self, instance: Any, value: Any) -> None:
        """Puts the value in its place; an empty one takes the place away."""
        table = dict(getattr(instance, self.column) or {})
        setattr(instance, self.column, table)
        for step in self.path[:-1]:
            table[step] = dict(table.get(step) or {})
            table = table[step]
        if value in (None, "", []):
            table.pop(self.path[-1], None)
        else:
            table[self.path[-1]] = value
        whole = getattr(instance, self.column)
        for step in self.path[:-1]:
            if not whole.get(step):
                whole.pop(step, None)


def words(rows: int = 4, **attrs: str) -> forms.Textarea:
    return forms.Textarea(attrs={"rows": rows, "cols": 72, **attrs})


class WordsField(forms.CharField):
    """Text of many lines, kept as it was written; browsers send line ends that we do not keep."""

    def __init__(self, *, rows: int = 4, **kwargs: Any) -> None:
        super().__init__(required=False, strip=False, widget=words(rows), **kwargs)

    def to_python(self, value: Any) -> Any:
        text = clean_text(super().to_python(value) or "")[0]
        return text if text.strip() else ""

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(initial) != self.to_python(data))
