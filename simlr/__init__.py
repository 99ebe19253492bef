"""simlr: learning-rate schedules on learning problems that can be solved exactly.

    import simlr

    run = simlr.run(simlr.GridConfig.from_toml("my.toml"))
    run = simlr.load("data/nakkiran2020.h5")
    run.plot("course")
    simlr.report(run, "page")
    rates = simlr.schedules.tabulate("cosine", steps=100, learning_rate=0.1)

All names but `__version__` are loaded at first use. So importing simlr loads neither Numba, NumPy nor h5py, and
`python -m simlr.grid` finds its module not yet imported, as runpy wants it.
"""

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

__version__ = "0.1.0"

# The public names, and where each is: module:name, or a module.
_PUBLIC = {
    "GridConfig": "simlr.config.grid:GridConfig",
    "read_table": "simlr.inputs.tables:read_table",
    "descend": "simlr.engine.descend:descend",
    "expected_losses": "simlr.engine.expectation:expected_losses",
    "loss_quantiles": "simlr.engine.distribution.loss_quantiles:loss_quantiles",
    "stability": "simlr.engine.stability:stability",
    "greedy_rates": "simlr.engine.optimal.families:greedy_rates",
    "optimise": "simlr.engine.optimal.optimise:optimise",
    "loss_gradient": "simlr.engine.optimal.gradient:loss_gradient",
    "load": "simlr.interactive.run:load",
    "compare": "simlr.interactive.run:compare",
    "run": "simlr.grid.job:run",
    **{
        name: f"simlr.{name}"
        for name in ("analysis", "bench", "claims", "config", "engine", "errors", "grid", "inputs", "interactive")
    },
    **{
        name: f"simlr.{name}"
        for name in ("kernels", "merge", "papers", "plan", "plugins", "problems", "report", "schedules")
    },
    "laws": "simlr.laws",
    "store": "simlr.store",
    # What was a module of this folder before there were others: `from simlr import pairs` goes on as it did.
    "answers": "simlr.analysis.answers",
    "directions": "simlr.analysis.directions",
    "estimates": "simlr.analysis.statistics",
    "families": "simlr.analysis.families",
    "growth": "simlr.analysis.growth",
    "levels": "simlr.analysis.levels",
    "outcomes": "simlr.analysis.outcomes",
    "pairs": "simlr.analysis.pairs",
    "summary": "simlr.analysis.summary",
    "closedbench": "simlr.bench.closed_forms",
    "limits": "simlr.bench.machine",
    "measure": "simlr.bench.basics",
    "networkbench": "simlr.bench.networks",
    "noisypeers": "simlr.bench.noisy_peers",
    "peers": "simlr.bench.twins",
    "throughput": "simlr.bench.streaming",
    "arguments": "simlr.cli.arguments",
    "early": "simlr.cli.signals",
    "progress": "simlr.cli.progress",
    "axes": "simlr.config.axes",
    "noises": "simlr.config.methods",
    "optimizers": "simlr.config.methods",
    "questions": "simlr.config.question",
    "scheduling": "simlr.config.schedule_tables",
    "stopping": "simlr.config.stop",
    "studies": "simlr.config.study",
    "budgets": "simlr.engine.step_budgets",
    "descending": "simlr.engine.deterministic",
    "execute": "simlr.engine.block_engine",
    "looking": "simlr.engine.early_stopping",
    "products": "simlr.engine.product_tables",
    "results": "simlr.engine.buffers",
    "stepping": "simlr.engine.descend",
    "stops": "simlr.engine.stop_rules",
    "thresholds": "simlr.engine.thresholds",
    "walking": "simlr.engine.stochastic",
    "cluster": "simlr.grid.cluster.connect",
    "commands": "simlr.grid.command",
    "dispatch": "simlr.grid.cluster.dispatch",
    "listing": "simlr.grid.listing",
    "pipeline": "simlr.grid.pipeline",
    "pool": "simlr.grid.cluster.pool",
    "remote": "simlr.grid.cluster.worker",
    "studyruns": "simlr.grid.study",
    "datafiles": "simlr.inputs.tables",
    "rules": "simlr.inputs.rules",
    "toml": "simlr.inputs.toml",
    "sphere": "simlr.papers._sphere",
    "stages": "simlr.plan.stages",
    "tables": "simlr.plan.rate_tables",
    "covariances": "simlr.problems.covariances",
    "datasets": "simlr.problems.dataset",
    "features": "simlr.problems.features",
    "gaussian": "simlr.problems.gaussian",
    "lapack": "simlr.problems.lapack",
    "quadratics": "simlr.problems.quadratic",
    "sources": "simlr.problems.source",
    "answertext": "simlr.report.answer_text",
    "csvfiles": "simlr.report.csv_files",
    "layout": "simlr.report.tables",
    "page": "simlr.report.page",
    "rateplots": "simlr.report.schedules",
    "sections": "simlr.report.sections",
    "view": "simlr.report.view",
    "analysisplots": "simlr.report.figures.analysis",
    "answerplots": "simlr.report.figures.answer",
    "figures": "simlr.report.figures.run",
    "paths": "simlr.report.figures.paths",
    "plane": "simlr.report.figures.plane",
    "style": "simlr.report.figures.style",
    "bounds": "simlr.schedules.bounds",
    "optimal": "simlr.schedules.optimal",
    "registry": "simlr.schedules.registry",
    "shapes": "simlr.schedules.shapes",
    "agreement": "simlr.store.compatibility",
    "blocks": "simlr.store.blocks",
    "disk": "simlr.store.target",
    "guard": "simlr.store.guard",
    "opened": "simlr.store.run_file",
    "rundata": "simlr.store.run",
    "runfile": "simlr.store.file_format",
    "seal": "simlr.store.seal",
    "silence": "simlr.store.create",
    "verify": "simlr.store.verify",
    "writer": "simlr.store.writer",
    "memory": "simlr.resources",
}


def _add_checkout_to_path():
    """Let `simlr.kernels` be found in a checkout, where the folder kernels/ lies beside simlr/, not in it.

    An installed simlr holds kernels/ itself, and the folder around it has no setup.cfg: another package's `kernels`
    beside it is never taken.
    """
    root = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    in_checkout = os.path.isfile(os.path.join(root, "setup.cfg")) and os.path.isdir(os.path.join(root, "kernels"))
    if in_checkout and root not in __path__:
        __path__.append(root)


def lazily(package: str, owners: dict[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package that hands on what its modules own: {name: "module:name", or a module}.

    What is asked for once is kept.
    """

    def look_up(name):
        if name not in owners:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, attribute = owners[name].partition(":")
        value = importlib.import_module(module)
        value = getattr(value, attribute) if attribute else value
        setattr(sys.modules[package], name, value)
        return value

    return look_up


__getattr__ = lazily(__name__, _PUBLIC)


def __dir__():
    return sorted({"__version__", *_PUBLIC})


_add_checkout_to_path()
