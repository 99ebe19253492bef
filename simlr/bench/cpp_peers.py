"""Steps on losses of rows as one would write them in C++: plain loops, compiled when they are to be timed.

One schedule after the other, and in each step one row after the other: its scores, its slope, its part of the gradient,
and where all rows are taken its loss. `-O3 -march=native` keeps the order of sums, `-Ofast` may change it.
"""

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import RunError

FLAGS = {"C++ -O3": "-O3", "C++ -Ofast": "-Ofast"}
SOURCE = r"""
#include <cmath>
#include <vector>
enum { SQUARED, LOGISTIC, SOFTMAX, HUBER, SQUARED_HINGE };
template <int kind> static inline double row(const double* z, double y, int k, double* slope) {
    if (kind == LOGISTIC) {
        double u = y * z[0], e = std::exp(-std::fabs(u)), inverse = 1.0 / (1.0 + e);
        slope[0] = -y * (u >= 0.0 ? e * inverse : inverse);
        return 0.5 * (std::fabs(u) - u) + std::log1p(e);
    }
    if (kind == SOFTMAX) {
        double top = z[0], total = 0.0;
        int own = (int)y;
        for (int c = 1; c < k; c++) top = z[c] > top ? z[c] : top;
        for (int c = 0; c < k; c++) total += slope[c] = std::exp(z[c] - top);
        for (int c = 0; c < k; c++) slope[c] = slope[c] / total - (c == own);
        return std::log(total) - (z[own] - top);
    }
    if (kind == HUBER) {
        double error = z[0] - y, size = std::fabs(error), inside = size < 1.0 ? size : 1.0;
        slope[0] = error >= 0.0 ? inside : -inside;
        return 0.5 * inside * inside + (size - inside);
    }
    double lack = 1.0 - y * z[0];
    lack = lack > 0.0 ? lack : 0.0;
    slope[0] = -2.0 * y * lack;
    return lack * lack;
}
template <int kind> static double gradient(const double* x, const double* y, const long* picked, long rows, int d,
                                           int k, const double* theta, double* g) {
    double z[64], slope[64], loss = 0.0;
    for (int i = 0; i < k * d; i++) g[i] = 0.0;
    for (long b = 0; b < rows; b++) {
        long j = picked ? picked[b] : b;
        const double* own = x + j * d;
        for (int c = 0; c < k; c++) {
            double sum = 0.0;
            for (int i = 0; i < d; i++) sum += own[i] * theta[c * d + i];
            z[c] = sum;
        }
        double found = row<kind>(z, y[j], k, slope);
        if (!picked) loss += found;
        for (int c = 0; c < k; c++)
            for (int i = 0; i < d; i++) g[c * d + i] += slope[c] * own[i];
    }
    for (int i = 0; i < k * d; i++) g[i] /= rows;
    return loss / rows;
}
template <int kind> static void train(const double* x, const double* y, const long* picked, long rows, int d, int k,
                                      const double* rates, int schedules, long steps, int adam, double* theta,
                                      double* last) {
    int p = k * d;
    std::vector<double> g(p), m(p), v(p);
    for (int s = 0; s < schedules; s++) {
        double *at = theta + (long)s * p, first = 1.0, second = 1.0;
        for (int i = 0; i < p; i++) at[i] = m[i] = v[i] = 0.0;
        for (long t = 0; t < steps; t++) {
            last[s] = gradient<kind>(x, y, picked ? picked + t * rows : nullptr, rows, d, k, at, g.data());
            double eta = rates[s * steps + t];
            if (!adam) {
                for (int i = 0; i < p; i++) at[i] -= eta * g[i];
                continue;
            }
            first *= 0.9;
            second *= 0.999;
            for (int i = 0; i < p; i++) {
                m[i] = 0.9 * m[i] + (1.0 - 0.9) * g[i];
                v[i] = 0.999 * v[i] + (1.0 - 0.999) * g[i] * g[i];
                at[i] -= eta * (m[i] / (1.0 - first)) / (std::sqrt(v[i] / (1.0 - second)) + 1e-8);
            }
        }
    }
}
extern "C" void run(int kind, const double* x, const double* y, const long* picked, long rows, int d, int k,
                    const double* rates, int schedules, long steps, int adam, double* theta, double* last) {
    auto with = [&](auto one) { one(x, y, picked, rows, d, k, rates, schedules, steps, adam, theta, last); };
    if (kind == LOGISTIC) with(train<LOGISTIC>);
    if (kind == SOFTMAX) with(train<SOFTMAX>);
    if (kind == HUBER) with(train<HUBER>);
    if (kind == SQUARED_HINGE) with(train<SQUARED_HINGE>);
}
"""


def libraries(folder: Path) -> dict[str, ctypes.CDLL]:
    """{name: the compiled loops}; none where there is no g++."""
    if shutil.which("g++") is None:
        return {}
    (folder / "convex.cpp").write_text(SOURCE)
    found = {}
    for name, flag in FLAGS.items():
        made = folder.resolve() / f"convex{flag}.so"
        done = subprocess.run(
            ["g++", flag, "-march=native", "-shared", "-fPIC", str(folder / "convex.cpp"), "-o", str(made)],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RunError(f"g++ {flag}: ended with status {done.returncode}: {done.stderr.strip()[-300:]}")
        found[name] = ctypes.CDLL(str(made))
    return found


def loops(
    library: ctypes.CDLL, kind: int, x: np.ndarray, y: np.ndarray, picked: np.ndarray | None, outputs: int,
    rates: np.ndarray, adam: bool,
) -> Callable[[], np.ndarray]:  # fmt: skip
    """A function that takes all steps from theta = 0, and returns the parameters (S, outputs d) that it came to.

    Parameters: kind of `kernels.convex.losses`; rows x (n, d), y (n,); picked (T, b) int64, the rows of every step, or
    None for all; rates (S, T); adam, with the usual numbers, or gradient descent.
    """
    (schedules, steps), (rows, inputs) = rates.shape, x.shape
    theta, last = np.empty((schedules, outputs * inputs)), np.empty(schedules)

    def pointer(array):
        return None if array is None else array.ctypes.data_as(ctypes.c_void_p)

    taken = ctypes.c_long(rows if picked is None else picked.shape[1])
    given = (*map(pointer, (x, y, picked)), taken, inputs, outputs, pointer(rates), schedules, ctypes.c_long(steps))

    def run():
        library.run(kind, *given, int(adam), pointer(theta), pointer(last))
        return theta

    return run
