"""``python -m leukkit`` is the command ``leukkit``."""

import sys

from leukkit.cli import main

sys.exit(main())
