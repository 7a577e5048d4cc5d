"""The Optuna Dashboard on a storage, with a picture of every pattern and a note for every study.

Optuna does not let finished trials be changed; the dashboard also reads artifacts of trials from
their study's attributes, and there the pictures are named. A thread of the dashboard's process
draws them, also while a search goes on in another: a picture costs it two small writes.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna_dashboard
from optuna.storages import BaseStorage
from optuna.study._frozen import FrozenStudy

from nas.errors import InputError
from studies.dashboard.painter import Painter, Pictures, Warn
from studies.store.names import SETTINGS, is_beside, search_names
from studies.store.storages import existing_storage, picture_folder
from studies.store.url import shown


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True  # open pages do not keep it from ending

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: it is a browser that went away."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    def log_message(self, *_: object) -> None: ...


Front = Callable[[BaseStorage, Any], Any]
"""(storage, application) -> the application before it (WSGI)."""


class Dashboard:
    """A dashboard that listens at its address; `serve` lets it answer.

    Args:
        port: 0 takes any that is free.
        warn: is told what does not hinder it, a line each.
        every: whether contenders, finalists and knock-outs are listed beside the searches.
        front: answers before Optuna's dashboard does.

    Raises:
        InputError: the storage is not there or of another program, or the address cannot be had.
    """

    def __init__(
        self, url: str, host: str = "127.0.0.1", port: int = 8080, warn: Warn = print,
        every: bool = False, front: Front = lambda storage, app: app,
    ) -> None:  # fmt: skip
        self.storage = existing_storage(url)
        self.folder = picture_folder(url)
        pictures = Pictures(self.folder)
        listed = self.storage if every else _without_beside(existing_storage(url))
        app = front(self.storage, optuna_dashboard.wsgi(listed, artifact_store=pictures))
        kind = _Server6 if ":" in host else _Server
        try:
            self._server = make_server(host, port, app, kind, _Handler)
        except (OSError, OverflowError) as error:
            raise InputError(_refused(host, port, error)) from None
        self.host, self.port = host, self._server.server_port
        self._painter = Painter(self.storage, pictures, self.folder, shown(url), warn)

    @property
    def address(self) -> str:
        """Without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def newest(self) -> tuple[str, int] | None:
        """(name, Optuna's number) of the newest search; None if there is none yet."""
        found = search_names(self.storage)
        if not found:
            return None
        return found[-1], self.storage.get_study_id_from_name(found[-1])

    def serve(self) -> None:
        """Answers until `stop`, or Ctrl-C; the address is free again then."""
        try:
            self._painter.start()
            self._server.serve_forever()
        finally:
            self._server.server_close()
            if self._painter.is_alive():
                self._painter.end()

    def stop(self) -> None:
        """Ends `serve`, which runs in another thread."""
        self._server.shutdown()


def _without_beside(storage: BaseStorage) -> BaseStorage:
    """A storage that lists no studies beside a search: there are up to three for each."""
    every = storage.get_all_studies

    def listed() -> list[FrozenStudy]:
        return [one for one in every() if not is_beside(one.user_attrs.get(SETTINGS))]

    storage.get_all_studies = listed  # type: ignore[method-assign]
    return storage


def _refused(host: str, port: int, error: OSError | OverflowError) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; --port {port + 1} takes another, --port 0 any"
    if number == errno.EACCES:
        return f"--port {port}: {error}; ports from 1024 are free to take"
    return f"--host {host} --port {port}: cannot listen there ({error})"
