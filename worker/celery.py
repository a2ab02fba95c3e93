"""The Celery app."""

from __future__ import annotations

from celery import Celery

from worker.runtime import Runtime, make_runtime


class CeleriacApp(Celery):
    """A Celery app whose tasks reach the runtime of their process."""

    def runtime(self) -> Runtime:
        """Return the runtime of this process; the first call makes it."""
        return make_runtime(self)


app = CeleriacApp("celeriac", include=["tasks"])
app.config_from_object("celeryconfig")
app.set_default()

import worker.logging  # noqa: E402
import worker.start  # noqa: E402, F401  (connect their signals once the app exists)
