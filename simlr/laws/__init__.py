"""Laws for loss curves: the loss after any number of steps from the learning rates alone, predicted and fitted.

simlr.laws.predict("multi-power", "25M", rates, steps)  # losses (K,) after so many steps
"""

from .. import lazily

_OWNERS = {
    "LAWS": "simlr.laws.law:LAWS",
    "Curve": "simlr.laws.curve:Curve",
    "Fit": "simlr.laws.fitting:Fit",
    "PUBLISHED": "simlr.laws.law:PUBLISHED",
    "Law": "simlr.laws.law:Law",
    "best_schedule": "simlr.laws.best:best_schedule",
    "read_curve": "simlr.laws.files:read_curve",
    "curves_of_run": "simlr.laws.of_run:curves_of_run",
    "exact_losses": "simlr.laws.of_run:exact_losses",
    "exponent": "simlr.laws.exponents:exponent",
    "fit": "simlr.laws.fitting:fit",
    "leave_one_out": "simlr.laws.fitting:leave_one_out",
    "names": "simlr.laws.law:names",
    "scaling": "simlr.laws.sizes:scaling",
    "predict": "simlr.laws.law:predict",
}

__getattr__ = lazily(__name__, _OWNERS)


def __dir__():
    return sorted(_OWNERS)
