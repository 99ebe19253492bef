"""The laws: formulas, parameters, published values, and `predict`."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, unknown
from ..inputs import rules
from ..inputs.parameters import REQUIRED, Parameter, read_parameters
from .history import History, past_sum

Array = NDArray[np.float64]


class Range(NamedTuple):
    """One parameter of a law, which is above 0."""

    name: str
    low: float  # starts of a fit are drawn between the two, evenly in the logarithm
    high: float
    meaning: str
    is_share: bool = False  # below 1: a fit looks for log(p / (1 - p)), else for log p
    least: float = 0.0  # that a fit looks at


class Law(NamedTuple):
    """A law: the loss is linear in some of its parameters, sum_j coefficient_j feature_j, and the rest shape these."""

    name: str
    formula: str
    source: str
    linear: tuple[str, ...]  # the parameters that are coefficients
    shape: tuple[Range, ...]  # the others
    features: Callable[[History, dict[str, float]], list[Array]]  # of each coefficient (K,)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of all parameters."""
        return (*self.linear, *(one.name for one in self.shape))

    def losses(self, history: History, parameters: Mapping[str, float]) -> Array:
        """(K,) losses for checked parameters."""
        features = self.features(history, {one.name: parameters[one.name] for one in self.shape})
        return sum(
            (parameters[name] * feature for name, feature in zip(self.linear, features, strict=True)),
            np.zeros(history.steps.size),
        )


def _multi_power(history, p):
    def response(_steps, area, terms):
        with np.errstate(divide="ignore", invalid="ignore"):  # a rate of 0: all of its drop is felt once rates follow
            reach = p["C"] * terms.rate ** -p["gamma"] * np.maximum(area - terms.before, 0.0)
        return -np.expm1(-p["beta"] * np.log1p(np.fmax(reach, 0.0)))

    return [
        np.ones(history.steps.size),
        history.area ** -p["alpha"],
        past_sum(history, history.changes, response),
    ]


def _annealing(history, p):
    def response(steps, _area, terms):
        return -np.expm1(np.log(p["lambda"]) * np.maximum(steps - terms.step + 1.0, 0.0)) / (1.0 - p["lambda"])

    drops = past_sum(history, history.changes, response)
    return [np.ones(history.steps.size), history.area ** -p["alpha"], drops]


def _memory(history, scale, power):
    """(1 + scale (S(t) - S(k)))^-power."""
    return past_sum(
        history,
        history.updates,
        lambda _steps, area, terms: np.exp(-power * np.log1p(scale * np.maximum(area - terms.after, 0.0))),
    )


def _signal_memory(history, scale, power, forcing_scale, forcing_power):
    """The same, each update weighted by (1 + forcing_scale S(k - 1))^-forcing_power."""
    updates = history.updates
    signal = np.exp(-forcing_power * np.log1p(forcing_scale * updates.before))
    weighted = history._replace(updates=updates._replace(weight=updates.weight * signal))
    return _memory(weighted, scale, power)


def _functional_scaling(history, p):
    power = 2.0 - 1.0 / p["capacity"]
    forcing = np.exp(-p["source"] * np.log1p(p["time"] * history.area))
    memory = _signal_memory(history, p["time"], power, p["time"], p["source"])
    return [np.ones(history.steps.size), forcing + p["gain"] * memory, _memory(history, p["time"], power)]


def _forcing_memory(history, p):
    forcing = np.exp(-p["q_F"] * np.log1p(history.area))
    return [
        np.ones(history.steps.size),
        forcing,
        _memory(history, p["c_K"], p["q_K"]),
        _signal_memory(history, p["c_K"], p["q_K"], 1.0, p["q_F"]),
    ]


_ALPHA = Range("alpha", 0.1, 1.5, "exponent of the sum of rates")
_LAWS = (
    Law(
        "multi-power",
        "L0 + A S(t)^-alpha + B sum_{k<=t} (eta_k - eta_{k-1}) [1 - (1 + C eta_k^-gamma (S(t) - S(k-1)))^-beta]",
        "Luo et al. 2025, arXiv:2503.12811",
        ("L0", "A", "B"),
        (
            _ALPHA,
            Range("C", 0.1, 10.0, "how soon a drop is felt"),
            Range("beta", 0.2, 1.5, "exponent of how it is felt"),
            Range("gamma", 0.2, 1.0, "exponent of the rate in that"),
        ),
        _multi_power,
    ),
    Law(
        "annealing",
        "L0 + A S(t)^-alpha - C S2(t), S2(t) = sum_{i<=t} sum_{k<=i} (eta_{k-1} - eta_k) lambda^(i-k)",
        "Tissue, Wang, Wang 2024, arXiv:2408.11029",
        ("L0", "A", "C"),
        (_ALPHA, Range("lambda", 0.9, 0.9999, "how much of the momentum of drops a step leaves", True)),
        _annealing,
    ),
    Law(
        "functional-scaling",
        "L0 + A e(S(t)) + sum_{k<=t} (eta_k^2 / batch_k) K(S(t) - S(k)) [gain A e(S(k-1)) + noise], "
        "e(u) = (1 + time u)^-source, K(u) = (1 + time u)^-(2 - 1/capacity)",
        "Li et al. 2025, arXiv:2509.19189",
        ("L0", "A", "noise"),
        (
            Range("time", 0.1, 1e3, "of the unit of the sum of rates"),
            Range("source", 0.1, 2.0, "exponent of what is learnt without noise"),
            Range("capacity", 1.1, 5.0, "exponent of the spectrum", least=1.0),
            Range("gain", 1e-3, 10.0, "how much noise the loss itself gives"),
        ),
        _functional_scaling,
    ),
    Law(
        "forcing-memory",
        "L_inf + A_F (1 + S(t))^-q_F + sum_{k<=t} (eta_k^2 / batch_k) [A0 + A1 (1 + S(k-1))^-q_F] "
        "(1 + c_K (S(t) - S(k)))^-q_K",
        "arXiv:2609.40148",
        ("L_inf", "A_F", "A0", "A1"),
        (
            Range("q_F", 0.1, 2.0, "exponent of what is learnt without noise"),
            Range("c_K", 0.1, 1e3, "of the unit of the sum of rates in what is remembered"),
            Range("q_K", 0.5, 2.5, "exponent of what is remembered"),
        ),
        _forcing_memory,
    ),
)
LAWS: dict[str, Law] = {law.name: law for law in _LAWS}

_TABLE = {  # of language models; Luo et al. 2025, their published fits
    "25M": (3.04045406, 0.52468604, 363.78751622, 0.50786857, 2.06560812, 0.58279013, 0.64142257),
    "100M": (2.6514477, 0.60115152, 437.9464276, 0.45295811, 2.13245612, 0.59785199, 0.65523644),
    "400M": (2.37474466, 0.65421216, 523.42464371, 0.42878731, 2.02462735, 0.59350493, 0.63472457),
}
PUBLISHED: dict[str, dict[str, dict[str, float]]] = {
    "multi-power": {
        size: dict(zip(LAWS["multi-power"].parameters, values, strict=True)) for size, values in _TABLE.items()
    }
}


def names() -> list[str]:
    """The names of the laws."""
    return [*LAWS]


def law_of(name: Any) -> Law:
    """The law of a name."""
    if not isinstance(name, str) or name not in LAWS:
        raise unknown("law", name, LAWS, "law")
    return LAWS[name]


def parameters_of(law: Law, parameters: Any) -> dict[str, float]:
    """Checked parameters: those given, or those published under a name."""
    if isinstance(parameters, str):
        sets = PUBLISHED.get(law.name, {})
        if parameters not in sets:
            raise unknown(f"parameters of {law.name!r}", parameters, sets, "published set")
        return dict(sets[parameters])
    if not isinstance(parameters, Mapping):
        raise InputError(f"parameters of {law.name!r} must be a table of {', '.join(law.parameters)}, or a name")
    shapes = {one.name: one for one in law.shape}

    def rule(name):
        return rules.not_negative if name not in shapes else _share if shapes[name].is_share else rules.positive

    wanted = [Parameter(name, rule(name), REQUIRED) for name in law.parameters]
    return read_parameters(f"parameters of {law.name!r}", dict(parameters), wanted)


def _share(key, value):
    """A number between 0 and 1, neither of them."""
    if rules.positive(key, value) >= 1.0:
        rules.refuse(key, "above 0 and below 1", value)
    return float(value)


def predict(
    law: str, parameters: Mapping[str, float] | str, rates: ArrayLike, steps: ArrayLike | None = None, *,
    batch: ArrayLike = 1.0,
) -> Array:  # fmt: skip
    """The loss that a law says of a schedule.

    With S(t) the sum of the first t rates, eta_t the rate of step t = 1 .. T, and nothing before the first step that
    its rate could have changed from:

    * "multi-power": L0 + A S(t)^-alpha + B sum_{k<=t} (eta_k - eta_{k-1}) [1 - (1 + C eta_k^-gamma (S(t) -
      S(k-1)))^-beta];
    * "annealing": L0 + A S(t)^-alpha - C S2(t), S2(t) = sum_{i<=t} sum_{k<=i} (eta_{k-1} - eta_k) lambda^(i-k);
    * "functional-scaling": L0 + A e(S(t)) + sum_{k<=t} (eta_k^2 / batch_k) K(S(t) - S(k)) [gain A e(S(k-1)) + noise],
      e(u) = (1 + time u)^-source, K(u) = (1 + time u)^-(2 - 1/capacity); gain = A = time = 1 is the paper's own scale,
      and noise its sigma^2;
    * "forcing-memory": L_inf + A_F (1 + S(t))^-q_F + sum_{k<=t} (eta_k^2 / batch_k) [A0 + A1 (1 + S(k-1))^-q_F]
      (1 + c_K (S(t) - S(k)))^-q_K.

    The last two are integrals over the sum of rates in the papers; here they are sums over steps.

    Parameters
    ----------
    law
        One of `names()`.
    parameters
        {name: number}, all that stand in the formula; or "25M", "100M", "400M", the multi-power law's published ones.
    rates : (T,)
        Learning rates >= 0, those of the warm-up included, in the unit that the parameters are for.
    steps : (K,)
        After how many steps the loss is wanted, ascending from 1; default after all T.
    batch : number or (T,)
        The batch size, for the last two laws.

    Returns
    -------
    float64 (K,)

    Raises
    ------
    InputError
        A ValueError: for an unknown law or parameter, one that is missing, rates that are negative or no numbers.

    Notes
    -----
    Work K times the steps whose rate changes ("multi-power", "annealing") or K times all steps (the others),
    vectorised, 20 to 60 ns each; memory is bounded. A million steps and 100 losses take seconds. Luo et al. 2025,
    arXiv:2503.12811; Tissue et al. 2024, arXiv:2408.11029; Li et al. 2025, arXiv:2509.19189; arXiv:2609.40148.
    """
    found = law_of(law)
    return found.losses(History.of(rates, steps, batch), parameters_of(found, parameters))
