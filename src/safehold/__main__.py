"""``python -m safehold`` is the ``safehold`` command."""

from __future__ import annotations

import sys

from safehold._cli import main

sys.exit(main())
