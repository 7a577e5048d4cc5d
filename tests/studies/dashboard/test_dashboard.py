"""The dashboard as a browser and a script meet it: pages, pictures, notes, errors."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from xml.etree import ElementTree

import optuna
import pytest

from nas import Genome
from studies.dashboard import painter
from studies.dashboard.notes import KEPT
from studies.dashboard.painter import Painter, Pictures
from studies.dashboard.server import Dashboard
from studies.store.storages import existing_storage, picture_folder
from tests.helpers import NAS

SVG = "{http://www.w3.org/2000/svg}"
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever http_proxy says


@pytest.fixture
def url(searched, tmp_path):
    shutil.copy(searched, tmp_path / "nas.db")
    return f"sqlite:///{tmp_path}/nas.db"


@pytest.fixture(autouse=True)
def haste(monkeypatch):
    monkeypatch.setattr(painter, "EVERY_SECONDS", 0.3)
    monkeypatch.setattr(painter, "NOTE_SECONDS", 0.5)


@contextmanager
def served(url, every=False):
    """A dashboard in a thread: (its address without path, its warnings)."""
    warnings = []
    dashboard = Dashboard(url, port=0, warn=warnings.append, every=every)
    thread = threading.Thread(target=dashboard.serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{dashboard.port}", warnings
    finally:
        dashboard.stop()
        thread.join(timeout=10)
        assert not thread.is_alive()


def painted(url):
    """Does the painter's work to the end; its warnings."""
    folder, warnings = picture_folder(url), []
    folder.mkdir(exist_ok=True)
    drawing = Painter(existing_storage(url), Pictures(folder), folder, url, warnings.append)
    while drawing.look():
        pass
    return warnings


def get(address, method="GET", body=None):
    """(status, bytes, headers) of an answer."""
    request = urllib.request.Request(address, method=method)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    try:
        with DIRECT.open(request, timeout=120) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def study(address, number=1):
    return json.loads(get(f"{address}/api/studies/{number}")[1])


def whole_note(address, number):
    """A study's note, or "" while it is being written: the dashboard keeps it in several pieces."""
    body = study(address, number)["note"]["body"]
    return body if KEPT in body else ""


def waited(what, seconds=40):
    """What a function gives as soon as that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("it did not happen in time")


def attributes(url):
    """System attributes by study."""
    found = optuna.storages.get_storage(url).get_all_studies()
    return {s.study_name: dict(s.system_attrs) for s in found}


def test_every_trial_of_search_and_finalists_has_its_pattern_as_a_picture(url):
    with served(url, every=True) as (address, warnings):
        for number, count in ((1, 12), (2, 8)):
            detail = waited(
                lambda n=number: (
                    all(t["artifacts"] for t in study(address, n)["trials"]) and study(address, n)
                )
            )
            assert len(detail["trials"]) == count
            for trial in detail["trials"]:
                [artifact] = trial["artifacts"]
                where = (
                    f"{address}/artifacts/{number}/{trial['trial_id']}/{artifact['artifact_id']}"
                )
                status, picture, headers = get(where)
                assert (status, headers["Content-Type"]) == (200, "image/svg+xml")
                attrs = {a["key"]: a["value"] for a in trial["user_attrs"]}
                check_picture(picture, Genome.parse(attrs["notation"]))
        assert warnings == []


def check_picture(picture, genome):
    """It is SVG with a box a node and an arc a skip, on a ground of its own."""
    root = ElementTree.fromstring(picture)
    assert root.tag == f"{SVG}svg"
    assert root[0].get("fill") == "#fff"
    boxes = [r for r in root.iter(f"{SVG}rect") if r.get("rx") == "4"]
    arcs = [p for p in root.iter(f"{SVG}path") if "A" in p.get("d")]
    assert len(boxes) == len(genome) + 1
    assert len(arcs) == sum(len(layer.skips) for layer in genome.layers)


def test_the_note_tells_goal_best_table_and_command(url):
    name = next(name for name in attributes(url) if not name.endswith("-finalists"))
    trials = optuna.load_study(study_name=name, storage=url).trials
    best = max(
        (t for t in trials if not t.user_attrs["role"]),
        key=lambda t: (t.value, -t.user_attrs["params"], -t.number),
    )
    with served(url, every=True) as (address, _):
        note = waited(lambda: whole_note(address, 1))
        picture = re.search(r"!\[.*\]\((/artifacts/\S+)\)", note)[1]
        waited(lambda: get(address + picture)[0] == 200)
        check_picture(get(address + picture)[1], Genome.parse(best.user_attrs["notation"]))
        finals = waited(lambda: whole_note(address, 2))
    assert f"trial {best.number}, validation accuracy {100 * best.value:.2f} %" in note
    assert f"`{best.user_attrs['notation']}`" in note
    for words in ("**data** digits, 1×8×8, 10 classes", "12 of 12 evaluated", "(residual)",
                  "| residual |", "vs ResNet", "--evaluations 24", "--finalist-seeds 2"):  # fmt: skip
        assert words in note, words
    assert "8 of 8 trainings are done" in finals
    assert "(/dashboard/studies/1/note)" in finals


@pytest.mark.parametrize("every", [False, True])
def test_studies_beside_a_search_are_listed_where_they_are_asked_for(url, every):
    optuna.create_study(study_name="theirs", storage=url)
    painted(url)
    names = sorted(attributes(url))
    with served(url, every) as (address, _):
        found = json.loads(get(f"{address}/api/studies")[1])["study_summaries"]
        listed = [one["study_name"] for one in found]
        note = study(address)["note"]["body"]
    assert sorted(listed) == [n for n in names if every or not n.endswith("-finalists")]
    assert "`nas dashboard --all` shows them" in note


def test_a_note_that_a_person_edits_is_theirs(url):
    assert painted(url) == []
    with served(url) as (address, _):
        note = study(address)["note"]
        mine = {"body": note["body"].replace("digits", "DIGITS"), "version": note["version"] + 1}
        # A renewal between a person's opening of the editor and their saving does not hinder it.
        storage = optuna.storages.get_storage(url)
        goal = storage.get_study_user_attrs(1)["nas:goal"] | {"evaluations": 99}
        storage.set_study_user_attr(1, "nas:goal", goal)
        storage.set_study_user_attr(1, "nas:command", "nas search --evaluations 99")
        waited(lambda: "12 of 99" in study(address)["note"]["body"])
        assert get(f"{address}/api/studies/1/note", "PUT", mine)[0] == 204
    storage.set_study_user_attr(1, "nas:command", "nas search --evaluations 98")
    painted(url)
    with served(url) as (address, _):
        assert study(address)["note"] == mine
        empty = {"body": "", "version": mine["version"] + 1}
        assert get(f"{address}/api/studies/1/note", "PUT", empty)[0] == 204
    painted(url)
    with served(url) as (address, _):
        assert study(address)["note"] == empty


def test_nothing_is_drawn_twice(url):
    folder = picture_folder(url)
    with served(url, every=True) as (address, _), served(url, every=True) as (second, warnings):
        for where in (address, second):
            waited(lambda w=where: all(t["artifacts"] for t in study(w, 1)["trials"]))
            waited(lambda w=where: all(t["artifacts"] for t in study(w, 2)["trials"]))
            waited(lambda w=where: study(w)["note"]["body"] and study(w, 2)["note"]["body"])
        assert warnings == []
    before = attributes(url), {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    pictures = [key for attrs in before[0].values() for key in attrs if "artifacts" in key]
    assert len(pictures) == len(set(pictures)) == 20
    painted(url)
    assert (attributes(url), {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}) == before


def test_a_lost_file_is_drawn_again_and_a_removed_picture_is_not(url):
    painted(url)
    folder = picture_folder(url)
    with served(url) as (address, _):
        trials = study(address)["trials"]
        lost, removed = (trials[n]["artifacts"][0]["artifact_id"] for n in (3, 4))
        where = f"{address}/api/artifacts/1/{trials[4]['trial_id']}/{removed}"
        get(
            where, "DELETE"
        )  # done; its answer is 500, as Optuna does not clear trial and study both
        assert study(address)["trials"][4]["artifacts"] == []
    before = (folder / lost).read_bytes()
    (folder / lost).unlink()
    painted(url)
    assert (folder / lost).read_bytes() == before
    assert not (folder / removed).exists()
    with served(url) as (address, _):
        assert get(f"{address}/api/studies/1", "DELETE")[0] == 204  # with a file missing, too
        assert get(f"{address}/api/studies/1")[0] == 404


def test_other_programs_studies_are_left_alone_and_a_missing_plugin_is_named(url):
    theirs = optuna.create_study(study_name="theirs", storage=url)
    theirs.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    trial = optuna.load_study(study_name=min(attributes(url)), storage=url).trials[5]
    plugged = optuna.create_study(study_name="plugged", storage=url)
    settings = optuna.storages.get_storage(url).get_study_user_attrs(1)["nas:settings"]
    plugged.set_user_attr("nas:settings", settings)
    plugged.add_trial(trial)
    plugged.enqueue_trial({}, user_attrs={"notation": "blend(1)*4", "key": "blend(1)*4"})
    warnings = painted(url)
    assert len(warnings) == 1
    assert "study plugged: no pictures and note" in warnings[0]
    assert "unknown merge 'blend'" in warnings[0]
    found = attributes(url)
    assert found["theirs"] == {}
    assert sum("artifacts" in key for attrs in found.values() for key in attrs) == 12 + 8 + 1


@pytest.mark.parametrize("broken", ["storage", "folder"])
def test_what_cannot_be_written_is_one_warning(url, tmp_path, broken):
    if broken == "storage":
        url = f"sqlite:///file:{tmp_path}/nas.db?mode=ro&uri=true"
    else:
        (tmp_path / "nas.db.artifacts").write_text("a file in the way")
    with served(url) as (address, warnings):
        waited(lambda: warnings)
        time.sleep(0.5)
        assert len(warnings) == 1
        assert "pictures and notes cannot be kept" in warnings[0]
        assert "\n" not in warnings[0]
        assert len(study(address)["trials"]) == 12


def test_a_journal_file(searched, tmp_path):
    source = optuna.storages.get_storage(f"sqlite:///{searched}")
    found = min(source.get_all_studies(), key=lambda s: s._study_id)
    journal = tmp_path / "nas.log"
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(journal))
    )
    number = storage.create_new_study(found.directions, found.study_name)
    for key, value in found.user_attrs.items():
        storage.set_study_user_attr(number, key, value)
    for trial in source.get_all_trials(found._study_id):
        storage.create_new_trial(number, template_trial=trial)
    with served(str(journal)) as (address, warnings):
        waited(lambda: all(t["artifacts"] for t in study(address, number)["trials"]))
        waited(lambda: study(address, number)["note"]["body"])
        assert warnings == []
    assert (tmp_path / "nas.log.artifacts").is_dir()


def test_the_dashboard_needs_no_torch(url):
    code = (
        "import sys\n"
        "from studies.dashboard.server import Dashboard\n"
        "from tests.studies.dashboard.test_dashboard import painted\n"
        f"d = Dashboard({url!r}, port=0)\n"
        f"assert painted({url!r}) == []\n"
        "assert len(list(d.folder.iterdir())) == 20\n"
        "assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def started(*arguments):
    """`nas dashboard` as a process of its own, and what it printed before it serves."""
    process = subprocess.Popen(
        [*NAS, "dashboard", "--port", "0", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    return process, "".join(lines)


def test_ctrl_c_ends_it(url):
    process, printed = started("--storage", url)
    name = next(name for name in attributes(url) if not name.endswith("-finalists"))
    address = re.search(rf"Study {name}: (http://127\.0\.0\.1:\d+)/study/1\n", printed)[1]
    assert f"All studies: {address}/?token=" in printed
    assert name.encode() in get(f"{address}/study/1")[1]
    assert get(f"{address}/dashboard/studies/1")[0] == 200
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0
    assert "has ended" in out
    assert err == ""
    with pytest.raises(urllib.error.URLError):
        get(address)


def test_all_addresses_are_a_warning_and_no_studies_are_no_error(tmp_path):
    url = f"sqlite:///{tmp_path}/a.db"
    optuna.storages.get_storage(url)
    process, printed = started("--storage", url, "--host", "0.0.0.0")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0
    assert "All studies: http://0.0.0.0:" in printed
    assert "token" not in printed  # nothing can be started from elsewhere
    assert "There are no studies of nas search yet" in printed
    assert "there is no password" in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_running_trials_and_their_curves_are_live(tmp_path, small_toml):
    small_toml.write_text(
        small_toml.read_text().replace("epochs = 2", "epochs = 40").replace("128", "1000")
    )
    storage = f"sqlite:///{tmp_path}/nas.db"
    search = subprocess.Popen(
        [*NAS, "search", "--space", small_toml, "--storage", storage, "--evaluations", "500",
         "--finalists", "0", "--workers", "1", "--device", "cpu", "--json"],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert json.loads(search.stdout.readline())["event"] == "started"
        with served(storage) as (address, warnings):

            def running():
                """The first trial while it runs, with a picture and some of its curve."""
                return [
                    t for t in study(address)["trials"]
                    if t["state"] == "Running" and t["artifacts"] and t["intermediate_values"]
                ]  # fmt: skip

            [trial] = waited(running)
            first = len(trial["intermediate_values"])
            longer = waited(
                lambda: next(
                    (
                        t for t in study(address)["trials"]
                        if t["number"] == trial["number"] and len(t["intermediate_values"]) > first
                    ),
                    None,
                )
            )  # fmt: skip
            steps = [value["step"] for value in longer["intermediate_values"]]
            assert steps == list(range(1, len(steps) + 1))
            waited(lambda: "of 500 evaluated, 1 running" in study(address)["note"]["body"])
            assert warnings == []
            assert search.poll() is None
    finally:
        os.killpg(search.pid, signal.SIGKILL)
        search.wait()
        search.stdout.close()
