"""The paper that a run belongs to, and its verdict."""

from contextlib import nullcontext
from typing import Any

import numpy as np

from ..claims.registry import paper_behind
from ..claims.verdict import Verdict
from ..plugins.kinds import plugin_of
from ..plugins.loading import file_of, told_as
from ..store.run import Run
from .levels import is_loss


def paper_of(run: Run) -> Any:
    """The module of the published claim that the run is about, or None."""
    return paper_behind(run.config.paper)


def verdict_of(run: Run) -> Verdict | None:
    """The `Verdict` of the paper's check on a run; None where there is no check, and of a shard."""
    check: Any = getattr(paper_of(run), "check", None)
    # Of a part of the seeds nothing can be said that is claimed of all of them, and of what is not at equal train loss
    # nothing that is claimed of that.
    can = check and (run.is_study or ("shard" not in run.attributes and is_loss(run.config.level_kind)))
    plugin = plugin_of(run.config.paper)
    told = told_as(plugin.where, "check fails", file_of(plugin)) if plugin else nullcontext()
    with told, np.errstate(all="ignore"):  # a finding of what is no number is undecided
        return check(run) if can else None
