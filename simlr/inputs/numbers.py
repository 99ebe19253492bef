"""Single fields of a text as numbers: what is one, what is a gap, and what else it may be meant to be."""

import math
import re
from collections.abc import Sequence

from ..errors import show

# What other programs write where there is no value.
GAPS = frozenset(
    ("", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "none", "nil", "missing", ".", "?", "-", "--", "*", "#na")
)
_COMMA_NUMBER = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?$")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}([,. '\u00a0\u202f\u2009])\d{3}(\1\d{3})*([.,]\d+)?$")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}:\d{2}|\d{4}[qQmM:]\d")
_FORTRAN = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))[dD]([+-]?\d+)$")
TRUTHS = {"true": 1.0, "false": 0.0}
_MINUS = "\u2212"
_WHOLE = re.compile(r"[+-]?\d{16,}$")
_NUMBER = r"[+-]?(?:\d[\d., '\u00a0\u202f\u2009]*|[.,]\d+)"
_MONEY = r"(?:[A-Z]{0,2}[$\u20ac\u00a3\u00a5\u20b9]|EUR|USD|GBP|CHF|JPY|CNY|INR|CAD|AUD|SEK|NOK|DKK|PLN|CZK|Rs\.?)"
_UNITS = (
    "kg|g|mg|lbs?|oz|t|km|m|cm|mm|mi|ft|in|ms|s|min|h|hr|hrs|hours?|days?|years?|yrs?|Hz|kHz|MHz|GHz|W|kW|MW|kWh|MWh|V|A|"
    "K|C|F|\u00b0C|\u00b0F|\u00b0|Pa|hPa|kPa|bar|mbar|l|L|ml|mL|px|kB|MB|GB|TB|mph|km/h|m/s|k|M|bn"
)
_AMOUNT = re.compile(rf"[+-]?(?:{_MONEY}\s*{_NUMBER}|{_NUMBER}\s*{_MONEY})$")
_MEASURE = re.compile(rf"{_NUMBER}\s+(?:{_UNITS})$")
_BRACKETED = re.compile(rf"\(\s*{_MONEY}?\s*{_NUMBER}\s*\)$")


def plain(text: str) -> float | None:
    """A field as a float, None where it is none; Python also takes 1_000, which may be a slip."""
    try:
        value = float(text)
    except ValueError:
        return None
    return None if "_" in text else value


def inexact(text: str) -> str | None:
    """Why a field that is a number is refused: it is a whole one that no float64 is; None where it is none."""
    text = text.strip()
    if not _WHOLE.match(text) or int(float(text)) == int(text):
        return None
    return f"{show(text, 40)} is a whole number over 2^53, which floats do not tell apart (an identifier? leave it out)"


def is_gap(text: str) -> bool:
    """Whether a field stands for no value."""
    return text.strip().lower() in GAPS


def is_decimal_comma(text: str) -> bool:
    """Whether a field is a number with a decimal comma."""
    return bool(_COMMA_NUMBER.match(text.strip()))


def may_be_thousands(text: str) -> bool:
    """Whether a comma in a number may also set off thousands: 1,234 but not 0,234 or 12,5."""
    return bool(re.match(r"[+-]?[1-9]\d{0,2}(,\d{3})+$", text.strip()))


def number_of(text: str, decimal: str = ".") -> tuple[float, str | None] | None:
    """(value, what was done to read it) of a field, NaN of a gap; None where it is no number."""
    text = text.strip()
    if text.lower() in GAPS:
        return math.nan, None
    if decimal == ",":
        if "." in text:
            return None
        text = text.replace(",", ".", 1)
    value = plain(text)
    if value is not None:
        return value, None
    if text.lower() in TRUTHS:
        return TRUTHS[text.lower()], "true read as 1, false as 0"
    if text.startswith(_MINUS) and (value := plain("-" + text[1:])) is not None:
        return value, "the minus sign of typesetters read as one"
    found = _FORTRAN.match(text)
    return (float(f"{found[1]}e{found[2]}"), "Fortran's exponents D read as E") if found else None


def cause_of(text: str, decimal: str = ".") -> str:
    """What a field that is no number may be, with the way out; "" where nothing is to be said."""
    text = text.strip()
    if decimal == "." and is_decimal_comma(text) and not may_be_thousands(text):
        return ": a decimal comma? decimal = ',' reads it"
    if _BRACKETED.match(text):
        return ": a number in brackets, below 0? write it with a minus"
    if _THOUSANDS.match(text):
        other = ", or decimal = ',' where the comma is decimal" if re.match(r"[+-]?\d+,\d+$", text) else ""
        return f": thousands seem set off; write the number without marks{other}"
    if "_" in text and plain(text.replace("_", "")) is not None:
        return ": write it without '_'"
    if text.endswith("%") and plain(text[:-1]) is not None:
        return ": write it without '%'"
    if _AMOUNT.match(text) or (text[:1] in "$\u20ac\u00a3" and text[1:]):
        return ": write it without the currency"
    if _MEASURE.match(text):
        return ": write it without the unit"
    if _DATE.match(text):
        return ": a date or time? write it as a number"
    if re.match(r"[+-]?0x[0-9a-fA-F]+$", text):
        return ": hexadecimal; write it as a decimal number"
    if text.count(";") or text.count("\t") or text.count("|"):
        mark = max(";\t|", key=text.count)
        return f": columns seem separated by {mark!r}; separator = {mark!r}"
    if re.match(r"[<>~]\s*\d", text):
        return ": a bound, not a number"
    if re.match(r"[=@]", text):
        return ": a formula; save the values"
    if re.match(r"(grand )?total|sum|mean|average", text.lower()):
        return ": a line of totals? take it out"
    if text.startswith("#"):
        return ": an error of a spreadsheet? leave the field empty where it has no value"
    return ""


def is_miswritten(text: str, decimal: str = ".") -> bool:
    """Whether a field that is no number seems to be one in another writing; a date is none."""
    return bool(cause_of(text, decimal)) and not _DATE.match(text.strip())


def word_of(words: Sequence[str], decimal: str = ".") -> tuple[int, bool]:
    """(which, whether) of the fields that make a column one of words: the first that shows why it holds no numbers.

    Where most of them seem to be numbers in another writing, the first of these.
    """
    miswritten = [i for i, word in enumerate(words) if is_miswritten(word, decimal)]
    return (miswritten[0], True) if 2 * len(miswritten) > len(words) else (0, False)


def refusal(text: str, decimal: str = ".") -> str:
    """'x' is not a number, with what it may be."""
    return f"{show(text, 40)} is not a number{cause_of(text, decimal)}"
