"""Learning-rate schedules: their kinds, how they are checked and tabulated, and what theory says of them.

simlr.schedules.tabulate("cosine", steps=100, learning_rate=0.1)  # float64 (100,)
"""

from .checking import build, check_keys, check_kind, check_phase, describe, kinds, needs_steps, parameters, read_file
from .export import export
from .registry import KINDS, Kind, Rates, schedule
from .rules import RULES
from .schedule import FLOW, PHASES, Phase, Schedule
from .tabulation import from_callable, tabulate

__all__ = [
    "FLOW",
    "KINDS",
    "PHASES",
    "RULES",
    "Kind",
    "Phase",
    "Rates",
    "Schedule",
    "build",
    "check_keys",
    "check_kind",
    "check_phase",
    "describe",
    "export",
    "from_callable",
    "kinds",
    "needs_steps",
    "parameters",
    "read_file",
    "schedule",
    "tabulate",
]
