"""The Celery app."""

from __future__ import annotations

from celery import Celery

from worker.runtime import Runtime, make_runtime


class CeleriacApp(Celery):
    """The app, which gives its tasks the process's runtime."""

    def runtime(self) -> Runtime:
        """Return the runtime of this process, made on first use."""
        return make_runtime(self)


app = CeleriacApp("celeriac", include=["tasks"])
app.config_from_object("celeryconfig")
app.set_default()

import worker.logging  # noqa: E402, F401  (connects the signals of the app that is ready now)
