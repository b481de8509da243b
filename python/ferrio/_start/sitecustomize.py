"""Does what `ferrio_start.pth` does, for a ferrio that is not in a folder of site-packages.

`ferrio run` puts this folder in front of PYTHONPATH then: for `pip install --target`, an editable
install, or a clone. The interpreter imports `sitecustomize`, so the one that it would have imported
is imported from here.
"""

import importlib
import os
import sys


def give_way() -> None:
    """Leave this module's name, and sys.path, to whom they would belong without it."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    this = sys.modules.pop("sitecustomize")
    try:
        importlib.import_module("sitecustomize")
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        # Whoever imports this module finds it missing otherwise.
        sys.modules.setdefault("sitecustomize", this)


try:
    import _ferrio_start
except ImportError:
    pass
else:
    _ferrio_start.begin()
give_way()
