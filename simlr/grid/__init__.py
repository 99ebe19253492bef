"""Running a grid or a study: `simlr.run`, and the command `python -m simlr.grid`.

`simlr.grid.run(config)` is `simlr.run`.
"""

from .. import lazily

__getattr__ = lazily(__name__, {"run": f"{__name__}.job:run", "main": f"{__name__}.__main__:main"})
