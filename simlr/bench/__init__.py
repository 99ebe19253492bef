"""How fast simlr is on this machine, beside what one would write without it: `python -m simlr.bench`."""

from .. import lazily

__getattr__ = lazily(__name__, {"main": f"{__name__}.__main__:main"})
