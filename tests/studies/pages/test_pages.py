"""Our pages as a browser and a script meet them: what they show, what can be started, and by whom."""

import json
import re
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from html import unescape

import pytest

from nas import Genome, InputError
from studies.dashboard.server import Dashboard
from studies.notebook.study import open_study
from studies.pages import jobs, site
from studies.pages.jobs import Jobs
from studies.pages.site import HEADERS, Site

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirects)


@pytest.fixture
def url(searched, tmp_path):
    shutil.copy(searched, tmp_path / "nas.db")
    return f"sqlite:///{tmp_path}/nas.db"


@contextmanager
def served(url, startable=True, before=lambda app: app):
    """(address, the site) of a dashboard with our pages in a thread."""
    sites = []

    def front(storage, theirs):
        sites.append(Site(storage, url, theirs, startable))
        return before(sites[0])

    dashboard = Dashboard(url, port=0, warn=lambda line: None, front=front)
    thread = threading.Thread(target=dashboard.serve, daemon=True)
    thread.start()
    try:
        yield dashboard.address, sites[0]
    finally:
        dashboard.stop()
        thread.join(timeout=10)
        sites[0].end()


def ask(address, method="GET", **headers):
    """(status, text, headers) of an answer."""
    request = urllib.request.Request(address, method=method, headers=headers)
    if method == "POST":
        request.data = b""
    try:
        with DIRECT.open(request, timeout=120) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers


def test_the_list_and_a_search_say_what_is_recorded(url):
    study = open_study(storage=url)
    with served(url) as (address, _):
        status, listed, headers = ask(f"{address}/")
        _, page, _ = ask(f"{address}/study/1")
        assert ask(f"{address}/dashboard")[0] == 200
    assert status == 200
    assert headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]
    assert re.findall(r'href="(/study/\d+)"', listed) == ["/study/1"]
    best = study.best
    for text in (listed, page):
        assert study.name in text
        assert 'value="12" max="12"' in text
        assert f"{100 * best.attrs['accuracy']:.2f} %" in text
    assert f"<code>{best.best_genome}</code>" in page
    rows = re.findall(r'name="n" value="(\d+)".*?<code title="(.*?)">', page)
    assert rows == [(str(trial.number), str(trial.genome)) for trial in study.trials]
    arcs = page[page.index("Best pattern") : page.index("Start from here")].count('<path d="M') - 1
    skips = sum(len(layer.skips) for layer in best.best_genome.layers)
    assert arcs >= 2 * skips  # an arc and its arrow


def test_two_patterns_side_by_side(url):
    trials = open_study(storage=url).trials
    first, second = trials[4], trials[9]
    with served(url) as (address, _):
        _, page, _ = ask(f"{address}/study/1/compare?n=4&n=9")
        wrong = [
            ask(f"{address}/study/1/compare?{query}")[:2]
            for query in (
                "n=4",
                "",
                "n=1&n=2&n=3",
                "n=4&n=99",
                "n=4&n=x",
                "n=4&n=-1",
                "n=4&n=%C2%B2",
            )
        ] + [ask(f"{address}/study/99")[:2]]
    assert re.findall(r"<pre><code>(.*?)</code>", page) == [str(first.genome), str(second.genome)]
    differ = [
        (str(i), str(a), str(b))
        for i, (a, b) in enumerate(zip(first.genome.layers, second.genome.layers, strict=True), 1)
        if a != b
    ]
    cells = re.findall(r'<td class="n">(\d+)</td><td><code>(.*?)</code></td><td><code>(.*?)<', page)
    assert cells == differ
    assert [status for status, _ in wrong] == [404] * 8
    assert all("Traceback" not in text and 'role="alert"' in text for _, text in wrong)


def test_only_a_page_with_the_token_starts_something(url, monkeypatch):
    monkeypatch.setitem(jobs.COMMANDS, "knock-out", ("studies", "--no-such-option"))
    with served(url) as (address, pages):
        host = address.removeprefix("http://")
        here, start = f"{address}/study/1", f"{address}/study/1/knock-out"
        _, page, _ = ask(here)
        assert 'method="post"' not in page
        assert pages.token not in page
        assert ask(f"{address}/?token=wrong")[2]["Set-Cookie"] is None
        status, _, headers = ask(f"{address}/?token={pages.token}")
        assert (status, headers["Location"]) == (303, "/")
        cookie = headers["Set-Cookie"].split(";")[0]
        assert {"HttpOnly", "SameSite=strict"} <= set(headers["Set-Cookie"].split("; "))
        assert ask(here, Cookie=cookie)[1].count('method="post"') == 2
        refused = [
            {}, {"Origin": address}, {"Cookie": cookie}, {"Cookie": cookie, "Origin": "null"},
            {"Cookie": cookie, "Origin": "http://evil.example"},
            {"Cookie": cookie, "Origin": "http://evil.example", "Host": "evil.example"},
            {"Cookie": cookie.partition("=")[0] + "=ä", "Origin": address},
        ]  # fmt: skip
        encoded = [{k: v.encode().decode("latin-1") for k, v in one.items()} for one in refused]
        assert [ask(start, "POST", **one)[0] for one in encoded] == [403] * 7
        assert ask(here, Host="evil.example")[0] == 403
        assert pages.jobs.last is None
        assert ask(f"{address}/study/1/nothing", "POST", Cookie=cookie, Origin=address)[0] == 409
        status, _, headers = ask(start, "POST", Cookie=cookie, Origin=address)
        assert (status, headers["Location"]) == (303, "/study/1#started")
        assert ask(start, "POST", Cookie=cookie, Origin=address)[0] == 409  # one at a time
        pages.jobs.last.process.wait(300)
        page = unescape(ask(here, Host=host)[1])
    assert "Knock-out: ended with exit code 2" in page
    assert "No such option" in page


def test_elsewhere_than_on_this_machine_nothing_is_started(url):
    with served(url, startable=False) as (address, pages):
        assert pages.token == ""
        assert ask(f"{address}/?token=")[2]["Set-Cookie"] is None
        port = address.rpartition(":")[2]
        cookie = {"Cookie": f"skipnas-{port}=", "Origin": address}
        assert ask(f"{address}/study/1/training", "POST", **cookie)[0] == 403
        assert 'method="post"' not in ask(f"{address}/study/1", **cookie)[1]


def test_a_study_whose_name_is_an_option_is_no_option(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(jobs.COMMANDS, "knock-out", ("studies", "delete"))
    started = Jobs(url)
    job = started.start("knock-out", "--out=mine")
    with pytest.raises(InputError, match="one at a time"):
        started.start("training", "x")
    assert job.process.wait(300) == 2
    assert "unknown study '--out=mine'" in job.said
    started.end()
    assert [path.name for path in tmp_path.iterdir()] == ["nas.db"]


@pytest.mark.slow
def test_a_knock_out_and_a_training_from_the_page(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(jobs.COMMANDS, "training", ("train", "--epochs", "1", "--device", "cpu"))
    best = open_study(storage=url).best
    skips = sum(len(layer.skips) for layer in best.genome.layers)
    with served(url) as (address, pages):
        cookie = ask(f"{address}/?token={pages.token}")[2]["Set-Cookie"].split(";")[0]
        for kind in ("knock-out", "training"):
            ask(f"{address}/study/1/{kind}", "POST", Cookie=cookie, Origin=address)
            assert pages.jobs.last.process.wait(300) == 0, pages.jobs.last.said
            page = ask(f"{address}/study/1")[1]
            assert f"{kind.capitalize()}: done" in page
            assert len(re.findall(r"<td>layer \d+, distance \d+</td>", page)) == skips
    assert list(tmp_path.glob("trained/**/network.safetensors"))


FRAMES = """<!doctype html><meta charset="utf-8"><pre></pre><script>
const found = {widths: [], broken: []};
const frames = [[1400, "/study/1"], [500, "/study/1"], [500, "/"], [500, "/study/1/compare?n=4&n=9"],
  [1400, "/study/1/compare?n=4&n=9"]].map(([width, path]) => {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:900px;border:0`;
  frame.src = path;
  document.body.append(frame);
  return frame;
});
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
addEventListener("load", async () => {
  for (const frame of frames) {
    frame.contentDocument.addEventListener("securitypolicyviolation", (e) => found.broken.push(e.violatedDirective));
    const root = frame.contentDocument.documentElement;
    found.widths.push([root.scrollWidth, root.clientWidth, frame.offsetWidth]);
  }
  const page = frames[0].contentDocument, rows = () => [...page.querySelector("table.sortable").tBodies[0].rows];
  const buttons = page.querySelectorAll("table.sortable thead button");
  [...buttons].find((one) => one.textContent.startsWith("accuracy")).click();
  const accuracies = () => rows().map((row) => parseFloat(row.cells[2].textContent));
  found.accuracies = accuracies();
  const input = page.querySelector("input[type=search]");
  input.value = "CONCAT";
  input.dispatchEvent(new frames[0].contentWindow.Event("input"));
  const shown = () => rows().filter((row) => row.offsetHeight > 0).length;
  found.concat = rows().filter((row) => row.textContent.includes("concat")).length;
  found.shown = shown();
  const two = page.querySelector("button[data-two]");
  found.before = two.disabled;
  for (const row of rows().slice(0, 2)) row.cells[0].firstChild.click();
  found.after = two.disabled;
  await fetch("/site.more");
  for (let i = 0; i < 60 && rows().length < 13; i++) await wait(250);
  found.later = {rows: rows().length, shown: shown(), accuracies: accuracies(), marked: rows().filter((row) => row.cells[0].firstChild.checked).length};
  found.progress = page.querySelector("progress").max;
  found.colour = frames[0].contentWindow.getComputedStyle(page.querySelector("section")).borderRadius;
  document.querySelector("pre").textContent = JSON.stringify(found);
});
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium (Debian's package chromium)")
def test_in_a_browser_the_page_sorts_filters_and_lives(url, tmp_path, monkeypatch):
    csp = HEADERS["Content-Security-Policy"].replace(
        "'none'; script", "'none'; frame-src 'self'; script"
    )
    monkeypatch.setitem(site.HEADERS, "Content-Security-Policy", csp.replace("frame-ancestors 'none'", "frame-ancestors 'self'"))  # fmt: skip

    def before(app):
        def framed(environ, start):
            path = environ["PATH_INFO"]
            if path not in ("/site.frames", "/site.more"):
                return app(environ, start)
            if path == "/site.more":
                add_trial(url)
            start("200 OK", [("Content-Type", "text/html")])
            return [FRAMES.encode()]

        return framed

    with served(url, before=before) as (address, _):
        command = [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--no-proxy-server", f"--user-data-dir={tmp_path}/browser",
            "--timeout=30000", "--virtual-time-budget=30000", "--dump-dom",
            f"{address}/site.frames",
        ]  # fmt: skip
        out = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found = json.loads(unescape(re.search(r"<pre>(.*?)</pre>", out.stdout, re.DOTALL)[1]))
    assert [width for _, _, width in found["widths"]] == [1400, 500, 500, 500, 1400]
    assert all(scroll == client for scroll, client, _ in found["widths"])
    assert found["broken"] == []
    assert found["colour"] != "0px"
    assert found["accuracies"] == sorted(found["accuracies"], reverse=True)
    assert len(found["accuracies"]) == 12
    assert 0 < found["shown"] == found["concat"] < 12
    assert (found["before"], found["after"]) == (True, False)
    later = found["later"]
    assert later["rows"] == 13
    assert later["accuracies"] == sorted(later["accuracies"], reverse=True)
    assert later["shown"] == found["shown"]
    assert later["marked"] == 2
    assert found["progress"] == 13


def add_trial(url):
    """As a search that goes on: a trial without concat, the most accurate of all."""
    from nas.architecture.plan import plan
    from nas.evaluation.result import Evaluation
    from studies.search.settings import recorded_space
    from studies.store.storages import open_storage
    from studies.store.store import Store

    storage = open_storage(url)
    store = Store.load(storage, storage.get_study_name_from_id(1))
    space, number = recorded_space(store.settings), len(store.trials())
    genome = Genome.parse("add(1)*3 -")
    planned = plan(genome, space.skeleton)
    store.add(number, genome, {"params": planned.params, "macs": planned.macs, "role": ""})
    result = Evaluation(
        genome, 0, "ok", "", 0.99, (0.9, 0.99), (1.0, 0.5), (), planned.params, planned.macs, 0.1, None
    )  # fmt: skip
    store.finish(number, result, [0.99])
    time.sleep(0.1)
