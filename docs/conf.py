"""The site's settings for Sphinx: `make docs` builds it, without network, and it is read without network."""

import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "extension"), str(HERE.parent)]
# The commands in notebooks are those of this environment.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])

# Kernels take no settings of the user's own, and keep to themselves that they listen on this machine.
profile = Path(tempfile.mkdtemp(prefix="simlr-docs-")) / "profile_default"
profile.mkdir()
(profile / "ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 40\n", encoding="utf-8")
os.environ["IPYTHONDIR"] = str(profile.parent)

import simlr  # noqa: E402 - found through the path above

project, author, copyright = "simlr", "the simlr authors", "the simlr authors, MIT licence"
version = release = simlr.__version__
extensions = ["myst_nb", "site_pages"]
exclude_patterns = ["_site", "jupyter_execute", "extension", "pictures", "gallery/*", "**.ipynb_checkpoints"]
# A block of code that is only indented is output or a command as often as code.
highlight_language = "none"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
# Notebooks are kept without outputs: they are run when the site is built, and a cell that fails ends the build.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_ipywidgets_js = {}  # no notebook has widgets, and the scripts would come from elsewhere
nb_merge_streams = True

html_theme = "pydata_sphinx_theme"
html_title = "simlr"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_math_renderer = "mathml"
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "header_links_before_dropdown": 8,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
