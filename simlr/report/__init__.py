"""From a run file to a page: tables, pictures and texts; the command `python -m simlr.report`."""

from .. import lazily

__getattr__ = lazily(__name__, {"main": f"{__name__}.__main__:main"})
