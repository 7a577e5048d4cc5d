"""The pages as a web application, which hands on to Optuna's dashboard what is not its own.

Nothing is loaded from elsewhere, text of a storage is escaped, and no page runs a script but ours.
Who has the address that `nas dashboard` printed may also start something: the token in it becomes a
cookie that no other site can send, and a request is heeded only if it comes from a page of ours.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import bottle
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage

from nas.errors import InputError
from studies.formatting import count, percent
from studies.pages.jobs import COMMANDS, Jobs
from studies.pages.views import Shown, beside, lines, losses
from studies.store.store import Store
from studies.store.url import shown

App = Callable[[Mapping[str, Any], Any], Iterable[bytes]]
LOOPBACK = ("127.0.0.1", "::1", "localhost")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; "
        "connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
FILES = {"site.js": "text/javascript", "site.css": "text/css"}
PATHS = ("/study/", "/site.")
"""Where our pages lie, beside `/`; all else is Optuna's."""


class Site:
    """Our pages over one storage; call `end` when they are closed.

    Args:
        storage: which lists its searches.
        theirs: answers all that is not ours.
        startable: whether something may be started from here: on a loopback address only.
        plugins: files that what is started needs.
    """

    def __init__(
        self, storage: BaseStorage, url: str, theirs: App, startable: bool = False,
        plugins: Iterable[Path] = (),
    ) -> None:  # fmt: skip
        self.storage, self._url, self._theirs = storage, url, theirs
        self.token = secrets.token_urlsafe(24) if startable else ""
        self.jobs = Jobs(url, list(plugins))
        self._stores: dict[tuple[int, str], Store] = {}
        self._lock = threading.Lock()
        self._pages = Environment(
            loader=PackageLoader("studies.pages", "."), autoescape=True,
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._pages.filters |= {
            "percent": percent, "count": count, "svg": Markup,
        }  # fmt: skip
        self._ours = bottle.Bottle()
        self._ours.route("/", "GET", self._index)
        self._ours.route("/site.<kind:re:js|css>", "GET", self._file)
        self._ours.route("/study/<number:int>", "GET", self._study)
        self._ours.route("/study/<number:int>/compare", "GET", self._compare)
        self._ours.route("/study/<number:int>/<kind>", "POST", self._start)

    def __call__(self, environ: Mapping[str, Any], start: Any) -> Iterable[bytes]:
        """WSGI."""
        path = environ.get("PATH_INFO", "/")
        ours = path in ("", "/") or path.startswith(PATHS)
        return (self._answer if ours else self._theirs)(environ, start)

    def end(self) -> None:
        self.jobs.end()

    def _answer(self, environ: Mapping[str, Any], start: Any) -> Iterable[bytes]:
        def with_headers(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start(status, [*headers, *HEADERS.items()], *more)

        return self._ours(environ, with_headers)

    def _index(self) -> Any:
        if self._is_token(bottle.request.query.get("token")):
            bottle.response.set_cookie(
                self._cookie, self.token, path="/", httponly=True, samesite="strict"
            )
            bottle.response.status = 303
            bottle.response.set_header("Location", "/")
            return ""
        return self._page("index.html", lambda: {"lines": lines(self.storage)})

    def _file(self, kind: str) -> str:
        name = f"site.{kind}"
        bottle.response.content_type = f"{FILES[name]}; charset=utf-8"
        own = files("studies.pages").joinpath(name).read_text(encoding="utf-8")
        if kind == "css":
            return files("nas.drawing").joinpath("page.css").read_text(encoding="utf-8") + own
        return own

    def _study(self, number: int, problem: str = "") -> str:
        def context() -> dict[str, Any]:
            found = Shown.of(self._store(number), self._url)
            last = self.jobs.last
            return {
                "number": number, "found": found, "study": found.study, "scored": found.study.score.scored,
                "course": found.study.course(), "losses": losses(found.knockout),
                "job": last if last and last.study == found.study.name else None,
                "kinds": COMMANDS, "may": self._may(), "problem": problem,
            }  # fmt: skip

        return self._page("study.html", context)

    def _compare(self, number: int) -> str:
        def context() -> dict[str, Any]:
            asked = bottle.request.query.getall("n")
            if not all(word.isascii() and word.isdigit() and len(word) < 10 for word in asked):
                raise InputError("trials are named by their numbers")
            study = Shown.of(self._store(number), self._url).study
            return {"number": number, "study": study, "pair": beside(study, list(map(int, asked)))}

        return self._page("compare.html", context)

    def _start(self, number: int, kind: str) -> Any:
        if not self._may() or not self._own_page():
            bottle.response.status = 403
            return self._page("error.html", lambda: {"why": "this may not be started from here"})
        try:
            with self._lock:
                self.jobs.start(kind, self._store(number).name)
        except InputError as error:
            bottle.response.status = 409
            return self._study(number, str(error))
        bottle.response.status = 303
        bottle.response.set_header("Location", f"/study/{number}#started")
        return ""

    def _store(self, number: int) -> Store:
        """The store of a search by Optuna's number, which keeps what it has read.

        Raises:
            InputError: there is no such search.
        """
        try:
            name = self.storage.get_study_name_from_id(number)
        except KeyError:
            raise InputError(f"there is no study {number} (any more)") from None
        if (number, name) not in self._stores:
            self._stores[number, name] = Store.load_search(self.storage, name)
        return self._stores[number, name]

    def _page(self, template: str, context: Callable[[], Mapping[str, Any]]) -> str:
        """A page; what is wrong with a request or a study is one that says so."""
        if self.token and _name(bottle.request.get_header("Host", "")) not in LOOPBACK:
            bottle.response.status = 403  # a name of elsewhere that leads here
            return "This page is for this machine only."
        try:
            with self._lock:
                return self._pages.get_template(template).render(
                    storage=shown(self._url), **context()
                )
        except (InputError, OptunaError) as error:
            bottle.response.status = 404 if isinstance(error, InputError) else 503
            why = shown(str(error.__cause__ or error).splitlines()[0])
            return self._pages.get_template("error.html").render(storage=shown(self._url), why=why)

    @property
    def _cookie(self) -> str:
        """Its name; browsers do not tell ports apart."""
        return f"skipnas-{urlsplit('//' + bottle.request.get_header('Host', '')).port or 80}"

    def _may(self) -> bool:
        """Whether who asks has the token."""
        return self._is_token(bottle.request.get_cookie(self._cookie))

    def _is_token(self, given: str | None) -> bool:
        if not self.token or not given:
            return False
        return secrets.compare_digest(given.encode(), self.token.encode())

    def _own_page(self) -> bool:
        """Whether a request comes from a page of this server on this machine."""
        host = bottle.request.get_header("Host", "")
        return _name(host) in LOOPBACK and bottle.request.get_header("Origin") == f"http://{host}"


def _name(host: str) -> str | None:
    """The name or address in a Host header."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
