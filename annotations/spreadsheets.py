"""Text cells that no spreadsheet takes for a formula. Pure: our readers of CSV use it, too."""

FORMULA_STARTS = "=+-@\t\r'"
"""A text cell that begins with one of these gets one `'` in front when written; readers remove it."""


def protect(text: str) -> str:
    """Text as a cell that no spreadsheet takes for a formula."""
    return "'" + text if text[:1] and text[0] in FORMULA_STARTS else text


def unprotect(cell: str) -> str:
    """The text that `protect` made the cell of."""
    return cell[1:] if len(cell) > 1 and cell[0] == "'" and cell[1] in FORMULA_STARTS else cell
