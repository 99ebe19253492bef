"""Valid parameters of every schedule kind, for hypothesis: any value of one goes with any value of the others."""

from hypothesis import strategies as st

rates = st.floats(1e-6, 10.0)
counts = st.integers(1, 50)
LENGTH = 200  # most steps; a table has as many

cycle = {"learning_rate": rates, "up_steps": counts, "down_steps": st.integers(0, 50), "start_learning_rate": rates}
boundaries = st.lists(st.integers(1, LENGTH), min_size=3, max_size=3, unique=True).map(lambda v: tuple(sorted(v)))
four_rates = st.tuples(rates, rates, rates, rates)
shapes = st.sampled_from(["linear", "cosine"])

PARAMETERS = {
    "constant": {"learning_rate": rates},
    "step": {"learning_rate": rates, "step_size": counts, "gamma": st.floats(0.1, 1.5)},
    "multistep": {"learning_rate": rates, "milestones": boundaries, "gamma": st.floats(0.1, 1.5)},
    "exponential": {
        "learning_rate": rates,
        "gamma": st.floats(0.9, 1.05),
        "transition_steps": counts,
        "end_learning_rate": st.one_of(st.just(0.0), rates),
    },
    "linear": {"learning_rate": rates, "end_learning_rate": rates},
    "polynomial": {"learning_rate": rates, "power": st.floats(0.1, 5.0), "end_learning_rate": rates},
    "inverse_sqrt": {"learning_rate": rates, "time_scale": st.floats(0.1, 100.0)},
    "cosine": {"learning_rate": rates, "end_learning_rate": rates, "power": st.floats(0.5, 3.0)},
    "warmup": {"learning_rate": rates, "start_learning_rate": rates},
    "warmup_exponential": {"learning_rate": rates, "start_learning_rate": rates},
    "piecewise_constant": {"boundaries": boundaries, "learning_rates": four_rates},
    "piecewise_interpolated": {"boundaries": boundaries, "learning_rates": four_rates, "interpolation": shapes},
    "one_cycle": {
        "learning_rate": rates,
        "warmup_fraction": st.floats(0.01, 0.5),
        "division_factor": st.floats(0.5, 100.0),
        "final_division_factor": st.floats(0.5, 1e4),
        "anneal": shapes,
        "three_phase": st.booleans(),
    },
    "warmup_stable_decay": {
        "learning_rate": rates,
        "decay_steps": st.integers(1, 10),
        "warmup_steps": st.integers(0, 10),
        "start_learning_rate": rates,
        "end_learning_rate": rates,
        "decay": st.sampled_from(["linear", "cosine", "1-sqrt"]),
    },
    "cosine_restarts": {
        "learning_rate": rates,
        "cycle_steps": counts,
        "cycle_factor": st.integers(1, 3),
        "end_learning_rate": rates,
    },
    "falling_restarts": {
        "learning_rate": rates,
        "cycle_steps": counts,
        "cycle_growth": st.sampled_from([1.0, 1.3, 2.0]),
        "peak_factor": st.floats(0.2, 1.0),
        "end_learning_rate": st.just(0.0),
    },
    "triangular": cycle,
    "triangular2": cycle,
    "exp_range": {**cycle, "gamma": st.floats(0.9, 1.01)},
    "table": {"learning_rates": st.lists(rates, min_size=LENGTH, max_size=LENGTH).map(tuple)},
    "chebyshev": {"smallest_curvature": st.floats(1e-3, 0.5), "largest_curvature": st.floats(0.5, 10.0)},
    "silver": {"learning_rate": rates},
    "eigencurve": {
        "learning_rate": rates,
        "curvature": st.lists(st.floats(1e-3, 10.0), min_size=1, max_size=12).map(tuple),
        "interval_ratio": st.sampled_from([2.0, 3.0, 1.5]),
    },
}


def steps_of(kind):
    """Numbers of steps that go with all of a kind's parameters."""
    return st.integers(20 if kind in ("warmup_stable_decay", "eigencurve") else 1, LENGTH)
