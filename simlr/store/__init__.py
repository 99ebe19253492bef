"""The run file: its format, and how it is made, written block by block, read, checked, resumed and joined.

`simlr.store.load(path)` is `simlr.load`.
"""

from .. import lazily

__getattr__ = lazily(__name__, {"load": f"{__name__}.read:load", "survey": f"{__name__}.metadata:survey"})
