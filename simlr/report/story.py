"""The order in which a page tells of a run: the question, its verdict in one sentence, the picture that shows it.

Then how it came about; then what was compared. Nothing is said twice, and nothing empty is there.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..claims.verdict import FAILS, HOLDS, NOT_RUN
from .figures.inline import Inline
from .figures.progress import ACCURACY, SHARPNESS, SPARSITY
from .tables import Table, agreement, findings_table

# Sections of the analysis that explain, before those that list.
MECHANISM = ("optima", "best", "directions", "spread")
COURSE, MAIN, RATIO, DISTRIBUTION, PATHS = "course", "test-against-train", "ratio", "distribution", "paths"
# What a page begins with, the first of these that there is.
OWN = "own"  # the first picture of the run's paper
LEADING = ("answer", OWN, "optima", PATHS, MAIN, "against", COURSE)
KINDS = {"yes": "holds", "no": "fails", HOLDS: "holds", FAILS: "fails"}


class Chapter(NamedTuple):
    """One part of a page below its head; a picture's title is said before it."""

    title: str
    pictures: tuple[Inline, ...]
    tables: tuple[Table, ...] = ()
    says: str = ""  # where no picture does


class Story(NamedTuple):
    """A page from its head on."""

    question: str  # or claim
    outcome: str  # one word, or ""
    kind: str  # "holds", "fails" or "undecided"
    sentence: str  # the verdict
    first: Inline | None
    details: str  # of the verdict
    tables: tuple[Table, ...]  # what the verdict rests on
    notes: tuple[str, ...]
    chapters: tuple[Chapter, ...]


def story(material: Any, sentence: str, pictures: dict[str, Inline], own: Sequence[Inline]) -> Story:
    """The story of a run.

    Parameters
    ----------
    material : simlr.report.material.Material
        What the report says.
    sentence
        What a run shows, where neither answer nor verdict do.
    pictures
        By their keys, those of sections by the sections' keys, that of the answer as "answer".
    own
        The pictures of the run's paper, the telling one first.
    """
    question, outcome, kind, told = head(material, sentence)
    first = leading(pictures, own)
    tables = [findings_table(material.verdict)] if material.verdict and material.verdict.findings else []
    tables += [material.answer_table] if material.answer_table else []
    if first and first.title and first.title in told:
        first = first._replace(title="")
    said = {told.rstrip("."), question}
    rest = {key: picture for key, picture in pictures.items() if first is None or key != first.key}
    rest_of_own = [picture for picture in own if first is None or picture.key != first.key]
    chapters = [_once(chapter, said) for chapter in _chapters(material, rest, rest_of_own)]
    # What the question is about, and nothing is drawn of below, lies under the verdict.
    asked = [chapter for chapter in chapters if chapter.title == question and not chapter.pictures]
    tables += [table for chapter in asked for table in chapter.tables]
    chapters = [chapter for chapter in chapters if chapter not in asked]
    notes = tuple(material.answer.notes) if material.answer else ()
    kept = tuple(chapter for chapter in chapters if chapter.pictures or chapter.tables or chapter.says)
    details = material.answer.details if material.answer else ""
    return Story(question, outcome, kind, told, first, details, tuple(tables), notes, kept)


def leading(pictures: Mapping[str, Any], own: Sequence[Any]) -> Any:
    """The picture that a page begins with; None where there is none. Parameters as of `story`."""
    ranked = [picture for key in LEADING for picture in (own[:1] if key == OWN else [pictures.get(key)])]
    return next((picture for picture in ranked if picture), None)


def head(material: Any, sentence: str) -> tuple[str, str, str, str]:
    """(question or claim, outcome in a word, its kind, the verdict in one sentence). Parameters as of `story`."""
    if material.answer:
        answer = material.answer
        return answer.question, "", KINDS.get(answer.outcome, "undecided"), answer.short
    if material.verdict:
        verdict = material.verdict
        counted = any(finding.outcome != NOT_RUN for finding in verdict.findings)
        told = f"{agreement(verdict)}." if counted else ""
        return verdict.claim, verdict.outcome, KINDS.get(verdict.outcome, "undecided"), f"{told} {sentence}".strip()
    for section in material.sections:
        if section.key in ("optima", "against") and section.headline:
            return section.title, "", "undecided", f"{section.headline}."
    return material.title, "", "undecided", sentence


def _chapters(material, pictures, own):
    """The chapters, whether they have contents or not."""
    sections = {section.key: section for section in material.sections}

    def of_section(key):
        if key not in sections:
            return []
        section = sections[key]
        drawn = (pictures[key],) if key in pictures else ()
        return [Chapter(section.title, drawn, section.tables, "" if drawn else section.headline)]

    def of_keys(title, *keys, tables=()):
        return [Chapter(title, tuple(pictures[key] for key in keys if key in pictures), tuple(tables))]

    chapters = [Chapter("What the paper shows, measured here", tuple(own))]
    chapters += of_keys("What do the paths look like?", PATHS)
    chapters += of_keys("How do the losses fall, and the learning rate with them?", COURSE)
    chapters += of_keys("How many test rows are classified correctly along the way?", ACCURACY)
    chapters += of_keys("How sharp is the train loss along the way?", SHARPNESS)
    chapters += of_keys("How many weights does the network use along the way?", SPARSITY)
    chapters += [chapter for key in MECHANISM for chapter in of_section(key)]
    chapters += of_keys(material.compared, MAIN, RATIO, tables=material.tables)
    chapters += [chapter for key in ("against", "annealing") for chapter in of_section(key)]
    return chapters + of_keys("How does the test loss vary over the seeds?", DISTRIBUTION)


def _once(chapter, said):
    """A chapter without titles of pictures that were said before."""
    pictures = []
    for picture in chapter.pictures:
        again = any(picture.title and picture.title in before for before in said)
        said.add(picture.title)
        pictures.append(picture._replace(title="") if again else picture)
    says = "" if chapter.says in said else chapter.says
    return chapter._replace(pictures=tuple(pictures), says=says)
