"""An answer laid out for a reader: lines for a terminal, and a table of what was compared."""

import textwrap

from ..analysis.answers import Comparison
from ..analysis.comparison import SAYS
from ..analysis.levels import place
from ..analysis.on_page import MOST_LINES
from ..analysis.outcomes import WORDS, Answer
from ..analysis.wording import LONGEST_SPOKEN, at_value, noun, told_apart
from ..config.question import side_name
from ..store.run import Run
from ..text import WIDTH, number, printable, shortened, value_text
from .tables import Table, interval, percent, probability, ratio_interval, ratio_text

WHOLE = "the report's answer.csv"


def as_text(answer: Answer) -> str:
    """The answer for a terminal."""
    lines = textwrap.wrap(printable(answer.question), WIDTH)
    lines += textwrap.wrap(printable(answer.sentence), WIDTH, initial_indent="  ", subsequent_indent="  ")
    return "\n".join([*lines, *(f"  - {printable(note)}" for note in answer.notes)])


def in_short(answer: Answer) -> str:
    """The question and its answer as a page begins with it."""
    lines = textwrap.wrap(printable(answer.question), WIDTH)
    lines += textwrap.wrap(printable(answer.short), WIDTH, initial_indent="  ", subsequent_indent="  ")
    return "\n".join(lines)


def table(run: Run, answer: Answer) -> Table:
    """What was compared, a line each; at most as many as have room.

    Parameters
    ----------
    run
        Whose grid asks the question.
    answer
        Its answer, of at least one row.
    """
    lay_out = _pairs if isinstance(answer.rows[0], Comparison) else _growths
    title, header, lines = lay_out(run, answer, answer.rows[:MOST_LINES])
    rest = len(answer.rows) - MOST_LINES
    return Table(title, header, lines, (f"{rest} more: see {WHOLE}",) if rest > 0 else ())


def _place(run, answer, row):
    """Where a row stands along the axes, in one text."""
    kind = run.config.level_kind
    parts = [place(kind, row.level) for name, _ in answer.axes if name == kind]
    parts += [at_value(name, row.where[name]) for name, _ in answer.axes if name in row.where]
    return ", ".join(parts) or "all"


def _pairs(run, answer, rows):
    """The table of `Comparison`s."""
    question = run.config.question
    a, b = (shortened(side_name(side)) for side in question["compare"])
    header = ("at", "ratio", "95 %", "less in % of pairs (95 %)", "pairs", "corrected p", "so", f"of {a}", f"of {b}")
    chosen = told_apart([name for row in rows for name in (row.a, row.b)], LONGEST_SPOKEN)  # cells of a page wrap
    lines = tuple(
        (
            _place(run, answer, row),
            ratio_text(row),
            ratio_interval(row),
            percent(row.win_share, row.win_share_low, row.win_share_high),
            f"{row.pairs} of {row.seeds}",
            probability(row.p_holm),
            SAYS[row.outcome],
            chosen[row.a],
            chosen[row.b],
        )
        for row in rows
    )
    return f"{WORDS[question['measure']].capitalize()} of {a} / that of {b}, same seed: median", header, lines


def _growths(run, answer, rows):
    """The table of `Growth`s."""
    question = run.config.question
    names = noun(question["against"]).name, noun(question["best"]).name
    header = (names[0], "at", f"best {names[1]}", "95 %", "exponent since", "95 %", "so")
    header += (f"least {WORDS[question['measure']]}",)
    lines = tuple(
        (
            value_text(row.against),
            _place(run, answer, row),
            number(row.best) + (f" ({row.edge} tried)" if row.edge else ""),
            interval(row.best_low, row.best_high),
            number(row.exponent),
            interval(row.exponent_low, row.exponent_high),
            row.outcome or "-",
            number(row.lowest),
        )
        for row in rows
    )
    best, against = (noun(question[key]).name for key in ("best", "against"))
    return f"The best {best} at each {against}", header, lines
