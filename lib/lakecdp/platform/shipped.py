"""Where the files that ship with lakecdp are: in the installed package, or in the source tree."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import lakecdp
from lakecdp.platform.errors import LakecdpError


@cache
def root() -> Path:
    """The folder that holds `conf/`, `jobs/` and `expectations/`.

    In a wheel they lie in `lakecdp/_shipped`, in a checkout at the top of the tree. When the
    package is imported from an archive (`spark-submit --py-files lakecdp.zip`) they are
    unpacked once per process into a temporary folder.
    """
    package = Path(lakecdp.__file__).parent
    for candidate in (package / "_shipped", package.parent.parent):
        if (candidate / "conf" / "base.yaml").is_file():
            return candidate
    archive = next((p for p in package.parents if zipfile.is_zipfile(p)), None)
    if archive is None:
        raise LakecdpError(
            f"The shipped conf/ folder is missing beside {package}: reinstall lakecdp."
        )
    target = Path(tempfile.mkdtemp(prefix="lakecdp-"))
    atexit.register(shutil.rmtree, target, ignore_errors=True)
    with zipfile.ZipFile(archive) as files:
        members = [n for n in files.namelist() if n.startswith("lakecdp/_shipped/")]
        files.extractall(target, members)
    return target / "lakecdp" / "_shipped"
