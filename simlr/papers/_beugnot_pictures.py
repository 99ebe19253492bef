"""The pictures of `beugnot2022`."""

import numpy as np

from ..report.figures import style
from ..store.run import Run


def rates_picture(run: Run, bound: float, practical_level: float) -> style.Picture:
    """The ratio of test losses against the condition number, and against the rate."""
    figure, (left, right) = style.figure(2, width=13.0)
    kappa, level = run["condition"], int(np.argmin(run["level"]))
    ratio, kappa_u = run["test_ratio"][..., level], run.config.study["kappa_u"]
    for seed, values in enumerate(ratio.T):
        label = "measured, one a seed" if seed == 0 else None
        left.plot(kappa, values, ".", color=style.COLOURS[0], alpha=0.35, label=label)
    left.plot(kappa, bound * kappa_u / kappa, color=style.COLOURS[2], label="theorem 5: 34 kappa_U / kappa_T")
    left.plot(kappa, 1.0 / kappa, "--", color=style.COLOURS[1], label="pure ends, U = I: 1 / kappa_T")
    left.set_xlabel("condition number kappa_T")
    left.set_ylabel("test loss, large rate / small rate")
    left.set_title(f"at train loss {run['level'][level]:g}")
    fraction = int(np.argmin(abs(np.log(run["fraction"] / practical_level))))
    for place, condition in enumerate(run["practical_condition"]):
        gain = np.median(run["practical_gain"][place, :, :, fraction], axis=1)
        look = {"color": style.COLOURS[place + 3], "marker": style.MARKERS[place], "linestyle": style.DASHES[place]}
        right.plot(run["window"], gain, label=f"kappa {condition:g}", **look)
    right.axvline(1.0, color="#7f7f7f", linewidth=1.0)
    right.set_xlabel("w; the rate is 2/(sigma_1 + w sigma_n)")
    right.set_ylabel("test loss, rate 1/sigma_1 / this rate")
    right.set_title(
        f"n = {run.config.study['practical_axes']}, train loss {run['fraction'][fraction]:g} of the start's"
    )
    for axes in (left, right):
        style.logarithmic(axes, "x")
        style.logarithmic(axes, "y")
        axes.legend(frameon=False, fontsize=10.5)
    style.title(figure, "Beyond 2/(sigma_1 + sigma_n) the error that is left lies along the top eigenvector")
    caption = (
        "Left: every seed's ratio of test losses at equal train loss, below the theorem's bound. Right: how many times "
        "smaller the test loss is than at the rate 1/sigma_1, median over seeds; left of w = 1 rates are large."
    )
    return style.Picture("rates", caption, figure)


def digits_picture(run: Run) -> style.Picture:
    """Accuracy on the digits against the rate, a panel for each width of the kernel."""
    scales, rates = run["scale"], run["rate"]
    rows = -(-scales.size // 2)
    figure, panels = style.panels(rows, 2, width=11.0, height=3.9 * rows + 0.6)
    places = np.arange(rates.size)
    for place, axes in enumerate(panels[: scales.size]):
        for k, level in enumerate(run["digits_level"]):
            values = 100.0 * run["accuracy"][place, :, k]
            middle, error = values.mean(axis=-1), values.std(axis=-1, ddof=1) / np.sqrt(values.shape[-1])
            look = {"color": style.COLOURS[k], "marker": style.MARKERS[k], "linestyle": style.DASHES[k]}
            axes.errorbar(places, middle, error, label=f"train loss {level:g}", capsize=3, **look)
        axes.set_xticks(places, [f"{rate:g}" for rate in rates])
        axes.set_title(f"kernel width {scales[place]:g}")
        axes.set_xlabel("learning rate x sharpness")
        axes.set_ylabel("test accuracy, %")
    for axes in panels[scales.size :]:
        axes.set_axis_off()
    style.legend(figure, panels[0])
    gain = (run["accuracy"][:, -1] - run["accuracy"][:, 0]).mean(axis=-1)
    cells = f"{(gain > 0.0).sum()} of {gain.size} pairs of kernel width and train loss"
    style.title(figure, f"The largest rate classifies the digits better than the smallest at {cells}")
    caption = (
        "Accuracy on held-out digits against the learning rate, at several levels of train loss and four widths of the "
        f"Gaussian kernel; means and standard errors over {run['accuracy'].shape[-1]} splits."
    )
    return style.Picture("digits", caption, figure)
