"""Attacks by files, names and storages: each is tried, and none does anything but cost a line."""

import gzip
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
import torch
from PIL import Image

import nas.devices.machine
from nas import Genome, InputError, compile_network
from nas.data.load import load_data
from nas.data.preprocessing import MAX_PIXELS
from nas.drawing.figure import save
from nas.evaluation.inheritance import Ancestor, WeightFolder
from nas.files.limits import GIB
from nas.files.safe import replacing, write_text
from nas.files.tensors import read_tensors, write_tensors
from nas.retraining.checkpoint import CHECKPOINT, HEADER, read_checkpoint
from nas.retraining.retrain import RESULT, fit, read_fitted
from nas.saving.exports import fresh_logits
from nas.saving.network_file import load_network, save_network
from search_spaces import SPACES, load_space
from studies import cli
from studies.dashboard.notes import note_beside, search_note
from studies.dashboard.painter import Pictures
from studies.report.write import file_name
from studies.retraining.request import TrainRequest, prepare
from studies.samplers.strategies import SAMPLERS, make_sampler
from studies.search import run
from studies.store.storages import weights_folder
from studies.store.trial import Genes


class Bomb:
    """What unpickling it would leave: a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@pytest.fixture
def mark(tmp_path):
    """A file that must not be there at the end."""
    path = tmp_path / "executed"
    yield path
    assert not path.exists()


def header(shape, descr="|u1"):
    """An .npy file's beginning."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()


def archive(path, compression=zipfile.ZIP_DEFLATED, **members):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return str(path)


LABELS = header((24,)) + bytes(range(2)) * 12
IMAGES = header((24, 5, 5)) + bytes(600)


def test_pickled_objects_in_an_npz_are_not_unpickled(tmp_path, mark):
    labels = np.array([Bomb(mark)] * 24, dtype=object)
    np.savez(tmp_path / "a.npz", images=np.zeros((24, 5, 5), np.uint8), labels=labels)
    with pytest.raises(InputError, match="'labels' holds pickled Python objects"):
        load_data(str(tmp_path / "a.npz"))
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(InputError, match="not a readable"):
        load_data(str(tmp_path / "b.npz"))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (header((10**12,)) + bytes(9), "which are 1000000000000 bytes, but has 9"),
        (header((10**6, 10**6)) + bytes(9), "but has 9"),
        (header((2**62, 8)) + bytes(9), "but has 9"),
        (header((-1, 5, 5)) + bytes(600), r"says \(-1, 5, 5\)"),
        (header((24, 5, 5), "<U100000000") + bytes(600), "but has 600"),
        (header((24,), [("a", "<i8"), ("b", "O")]) + bytes(600), "pickled Python objects"),
        (header((24,), [("a", "<i8")]) + bytes(600), "values of type"),
        (b"\x93NUMPY\x01\x00\xff\xff{'descr'", "not a readable"),
        (b"\x93NUMPY\x01\x00\x10\x27" + b"(" * 10_000, "not a readable"),
        (b"\x93NUMPY\x09\x00", "header of version|not a readable"),
        (b"", "not a readable"),
    ],
)
def test_headers_that_lie(tmp_path, images, message):
    with pytest.raises(InputError, match=message):
        load_data(archive(tmp_path / "a.npz", images=images, labels=LABELS))


def test_a_zip_bomb_is_not_decompressed(tmp_path, monkeypatch):
    """300 MB of zeros in 300 kB, told truly, on a machine with less than twice that free."""
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        with file.open("images.npy", "w") as stream:
            stream.write(header((300, 1000, 1000)))
            for _ in range(300):
                stream.write(bytes(10**6))
        file.writestr("labels.npy", header((300,)) + bytes(300))
    monkeypatch.setattr(nas.files.limits, "free_bytes", lambda: GIB // 2)
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("decompressed"))
    with pytest.raises(InputError, match=r"a\.npz: its arrays: needs 0\.3 GiB of memory"):
        load_data(str(path))


def test_members_with_names_of_places_are_not_written(tmp_path, mark):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as file:
        for name in ("../executed", str(mark), "../executed.npy"):
            file.writestr(name, LABELS)
        file.writestr("images.npy", IMAGES)
        file.writestr("labels.npy", LABELS)
    assert len(load_data(str(path)).images) == 24


def test_a_gzip_bomb_among_idx_files(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(200):
            file.write(bytes(10**6))
    with pytest.raises(InputError, match="longer than 67,108,864 bytes"):
        load_data("fashion-mnist", tmp_path)


def test_cifar_is_unpickled_only_where_it_is_what_torchvision_knows(tmp_path, mark, monkeypatch):
    from torchvision.datasets import CIFAR10, cifar

    def offline(*_, **__):
        raise OSError("offline")

    monkeypatch.setattr(cifar, "download_and_extract_archive", offline)
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    for name, _ in [*CIFAR10.train_list, *CIFAR10.test_list, (CIFAR10.meta["filename"], "")]:
        (folder / name).write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(InputError, match="cifar10: not found"):
        load_data("cifar10", tmp_path)


def png(width, height):
    """A picture of a few bytes that says to have so many pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))  # fmt: skip

    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    content = zlib.compress(bytes(10**6))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", content) + chunk(b"IEND", b"")  # fmt: skip


@pytest.fixture
def pictures(tmp_path):
    for name, level in (("a", 20), ("b", 220)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for index in range(8):
            Image.new("L", (9, 9), level).save(tmp_path / "set" / name / f"{index}.png")
    return tmp_path / "set"


@pytest.mark.parametrize("side", [8193, 12_000, 60_000, 2**31 - 1])
def test_a_decompression_bomb_among_pictures(pictures, side):
    (pictures / "a" / "0.png").write_bytes(png(side, side))
    assert side**2 > MAX_PIXELS
    with pytest.raises(InputError, match=r"0\.png: "):
        load_data(str(pictures))


def test_too_many_pixels_in_all(pictures, monkeypatch):
    monkeypatch.setattr(nas.files.limits, "free_bytes", lambda: 1000)
    with pytest.raises(InputError, match="GiB of memory"):
        load_data(str(pictures))


def test_links_in_circles_and_pipes_do_not_hang(pictures):
    (pictures / "a" / "again").symlink_to(pictures / "a")
    (pictures / "a" / "up").symlink_to(pictures)
    assert len(load_data(str(pictures)).images) == 24  # those of b lie in a/up too
    os.mkfifo(pictures / "a" / "z.png")
    with pytest.raises(InputError, match=r"z\.png: not a readable image \(not a file\)"):
        load_data(str(pictures))


def test_no_program_is_run_for_a_picture(pictures):
    (pictures / "a" / "0.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(InputError, match=r"0\.png: not a readable image"):
        load_data(str(pictures))


@pytest.mark.parametrize("ending", ["toml", "npz", "png"])
def test_sparse_gigabytes_are_refused(tmp_path, ending, pictures):
    path = tmp_path / f"a.{ending}" if ending != "png" else pictures / "a" / "0.png"
    with path.open("wb") as file:
        file.truncate(GIB)
    with pytest.raises(InputError, match=r"longer than|not a readable"):
        load_space(path, SPACES) if ending == "toml" else load_data(
            str(pictures if ending == "png" else path)
        )


@pytest.fixture
def network():
    skeleton = replace(SPACES["digits9"].skeleton)
    return compile_network(Genome.parse("add(1)*9"), skeleton, seed=0)


def test_pickles_as_weights(tmp_path, mark, network):
    torch.save({"weight": Bomb(mark)}, tmp_path / "network.safetensors")
    with pytest.raises(InputError, match="not a readable safetensors file"):
        load_network(tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(InputError, match="not a readable safetensors file"):
        read_checkpoint(tmp_path)
    (tmp_path / "0.safetensors").write_bytes(pickle.dumps(Bomb(mark)))
    lineage = [Ancestor(0, Genome.parse("add(1)*9"))]
    assert WeightFolder(tmp_path, "x", 3).read(lineage) is None


def test_weights_larger_than_memory(tmp_path, network, monkeypatch):
    path = save_network(network, tmp_path)
    monkeypatch.setattr(nas.files.limits, "free_bytes", lambda: 1000)
    with pytest.raises(InputError, match="the file: needs"):
        load_network(path)


@pytest.mark.parametrize(
    "change",
    [
        {"genome": "add(1)*" + "9" * 5000},
        {"genome": "../../x"},
        {"genome": "-*10000"},
        {"skeleton": {"input_shape": [1, 8, 8], "classes": 10**9, "stages": [[1, 1]]}},
        {"classes": ["x"] * 3},
        {"plugins": {"../../x.py": "0"}, "genome": "evil(1)*9"},
        {"format": "x" * 10**6},
    ],
)
def test_cards_that_lie(tmp_path, network, change):
    path = save_network(network, tmp_path)
    document, tensors = read_tensors(path, "skipnas")
    write_tensors(path, tensors, "skipnas", document | change)
    with pytest.raises(InputError) as caught:
        load_network(path)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 2000


def test_a_card_nested_too_deeply(tmp_path):
    from safetensors.torch import save as to_bytes

    for key, name in (("skipnas", "network.safetensors"), (HEADER, CHECKPOINT)):
        (tmp_path / name).write_bytes(to_bytes({"network.x": torch.zeros(1)}, {key: "[" * 10**5}))
    with pytest.raises(InputError, match="holds no genome"):
        load_network(tmp_path / "network.safetensors")
    with pytest.raises(InputError, match="not a checkpoint"):
        read_checkpoint(tmp_path)
    (tmp_path / RESULT).write_text("[" * 10**5)
    with pytest.raises(InputError, match="not a record"):
        read_fitted(tmp_path)


@pytest.mark.parametrize("part", ["network", "best", "momentum", "curves"])
def test_a_checkpoint_of_another_network_is_not_gone_on_with(tmp_path, small_toml, part):
    from nas.retraining.retrain import TrainingWatcher

    class Stop(TrainingWatcher):
        def epoch(self, curves):
            raise KeyboardInterrupt

    request = TrainRequest(
        "add(1)*4", space=str(small_toml), epochs=2, device="cpu", out=tmp_path / "t"
    )
    order = prepare(request)
    with pytest.raises(KeyboardInterrupt):
        fit(order.settings, order.folder, "cpu", Stop())
    document, tensors = read_tensors(order.folder / CHECKPOINT, HEADER)
    if part == "curves":
        document["curves"]["accuracies"] = [0.5] * 7
    else:
        name = next(name for name in tensors if name.startswith(part))
        tensors[name] = torch.zeros(3, 3, 3)
    write_tensors(order.folder / CHECKPOINT, tensors, HEADER, document)
    with pytest.raises(InputError, match="cannot be gone on with"):
        fit(order.settings, order.folder, "cpu")


def test_links_do_not_lead_what_is_written_elsewhere(tmp_path, network):
    """A folder from elsewhere may have links where files are written at first."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in (".network.part.safetensors", ".network.part.json", ".a.part.png", ".x.part.csv",
                 "network.json", "a.png", ".artifact.part"):  # fmt: skip
        (folder / name).symlink_to(victim)
    save_network(network, folder)
    write_text(folder / "x.csv", "theirs")
    from nas.drawing.figure import draw

    save(draw(network.genome, network.skeleton), folder / "a.png")
    Pictures(folder).write("artifact", io.BytesIO(b"theirs"))
    assert victim.read_text() == "mine"
    with replacing(folder / "x.csv") as temporary:
        assert not temporary.is_symlink()
        temporary.write_text("again")


NAMES = [
    "../../x",
    "/etc/x",
    "..",
    ".",
    "",
    "a/../../b",
    "~/x",
    "a\nb",
    "x" * 500,
    "\x1b[2J",
    "٣/é",
]


@pytest.mark.parametrize("name", NAMES)
def test_study_names_lead_nowhere(tmp_path, name):
    written = tmp_path / f"{file_name(name)}.html"
    assert written.resolve().parent == tmp_path
    written.write_text("")
    inside = weights_folder(f"sqlite:///{tmp_path}/a.db", name or "x").resolve()
    assert inside.parent == (tmp_path / "a.db.weights").resolve()


@pytest.mark.parametrize("name", ["../../x", "/tmp/skipnas-absolute", "a/b"])
def test_a_searchs_picture_stays_in_its_folder(tmp_path, monkeypatch, name):
    asked = {}

    def run_search(request, view, stop):
        asked["picture"] = view.picture.replace("{study}", request.study)
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run_search", run_search)
    monkeypatch.setattr(sys, "argv", ["nas", "search", "--study", name, "--picture", "{study}.png"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "/" not in asked["picture"]
    assert asked["picture"].endswith(".png")


def test_artifacts_stay_in_their_folder(tmp_path):
    (tmp_path / "outside").write_text("mine")
    (tmp_path / "pictures").mkdir()
    pictures = Pictures(tmp_path / "pictures")
    for name in ("../outside", str(tmp_path / "outside")):
        for act in (pictures.remove, pictures.open_reader, lambda n: pictures.write(n, io.BytesIO())):  # fmt: skip
            with pytest.raises(ValueError, match="Invalid artifact_id"):
                act(name)
    assert (tmp_path / "outside").read_text() == "mine"


HTML = '"><iframe srcdoc="<script>alert(1)</script>"></iframe>`|'


def outside_code(note):
    """A note less its blocks and spans of code, in which Markdown and HTML are only text."""
    lines, fence = [], ""
    for line in note.splitlines():
        if fence:
            fence = "" if line.strip() == fence else fence
        elif line.startswith("```"):
            fence = "`" * (len(line) - len(line.lstrip("`")))
        else:
            lines.append(line)
    assert not fence
    return "\n".join(lines)


class HostileStudy:
    """As `studies.notebook.Study`, with HTML wherever a storage has text."""

    name, best, finalists, table_title, tuning_title = HTML, None, (HTML,), "table", "tuning"
    score = SimpleNamespace(name=HTML, show=lambda value: HTML, spread=lambda value: HTML)
    tuned = (SimpleNamespace(name=HTML, mean=0.5, std=None, rate=None),)
    going_on = f"nas search --study '\n```\n{HTML}\n````\n{HTML}'"

    def facts(self):
        return [("space", HTML)]

    def table(self):
        return [HTML, "pattern"], [[f"3 ({HTML})", "add(1)"]]

    def finalists_table(self):
        return ["finalist", HTML], [[HTML, HTML]]


@pytest.mark.parametrize(
    "note",
    [
        search_note(HostileStudy(), {}),
        note_beside({"contenders_of": HTML, "proxy": {"epochs": HTML}}, 1, 2, "/x"),
        note_beside({"finalists_of": HTML, "proxy": {"epochs": HTML}}, 1, 2, "/x"),
    ],
)
def test_notes_show_html_of_a_storage_as_text(note):
    text = outside_code(note)
    assert "iframe" in text
    assert text.count("<") == text.count(r"\<")
    assert text.count("`") == text.count(r"\`") + 2 * ("| `add(1)` |" in text) + 2 * text.count("`nas dash")  # fmt: skip


@pytest.fixture
def hostile_storage(tmp_path, small_space, digits):
    """Study, roles, reasons, parents' names and the command are what others may have written."""
    from nas.evaluation.result import Evaluation
    from studies.search.settings import SearchSettings
    from studies.store.names import COMMAND
    from studies.store.store import Store

    url = f"sqlite:///{tmp_path}/a.db"
    from nas.strategies.problem import Limits

    space = replace(small_space, proxy=replace(small_space.proxy, precision="fp32"))
    settings = SearchSettings(
        space, digits, "regularized", ("accuracy",), 0, 8, Limits(), {"type": HTML}
    )
    record = settings.record() | {"start": HTML}
    record["data"]["name"] = record["space"]["name"] = HTML
    store = Store.open(optuna.storages.get_storage(url), HTML, record, [True], ["accuracy"])
    store.note(COMMAND, f"nas search --study '{HTML}'")
    for number, notation in enumerate(("-*4", "add(1)*4", "- add(1)*3")):
        role = HTML if number == 1 else "" if number else "plain"
        attrs = {"role": role, "params": 1, "macs": 1, "why": HTML}
        genome = Genome.parse(notation)
        store.add(number, genome, attrs, Genes.of(genome, space))
        store.finish(number, hostile(Evaluation), [0.5])
    return url


def test_the_report_shows_html_of_a_storage_as_text(hostile_storage, tmp_path):
    from studies.report.write import write_report

    page = write_report(HTML, hostile_storage, tmp_path / "page.html").read_text()
    assert HTML[2:] not in page
    assert "<iframe" not in page
    assert "&lt;iframe" in page


def test_our_pages_show_html_of_a_storage_as_text(hostile_storage):
    from studies.pages.site import Site

    site = Site(optuna.storages.get_storage(hostile_storage), hostile_storage, None)
    said = {}

    def start(status, headers, *_):
        said[status] = dict(headers)

    for path in ("/", "/study/1", "/study/1/compare?n=1&n=2", "/study/1/compare?n=<iframe>"):
        name, _, query = path.partition("?")
        where = {"PATH_INFO": name, "QUERY_STRING": query, "REQUEST_METHOD": "GET"}
        page = b"".join(site(where, start)).decode()
        assert HTML[2:] not in page
        assert "<iframe" not in page
        assert "&lt;iframe" in page or "named by their numbers" in page
    site.end()
    for headers in said.values():
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy


def hostile(kind):
    from dataclasses import MISSING, fields

    known = {"status": "ok", "accuracy": 0.5, "accuracies": [0.5], "losses": [1.0], "why": HTML}
    values = {
        field.name: known.get(field.name, () if "tuple" in str(field.type) else 1)
        for field in fields(kind)
        if field.name in known or (field.default is MISSING and field.default_factory is MISSING)
    }
    return kind(**values)


def test_no_sampler_of_ours_unpickles():
    """Optuna's CMA-ES unpickles what it finds in a storage; ours are others."""
    for name, strategy in SAMPLERS.items():
        module = sys.modules[type(make_sampler(strategy.propose.args[0], 0, 4)).__module__]
        assert "pickle" not in vars(module), name
        assert "pickle" not in Path(module.__file__).read_text(), name
    with pytest.raises(InputError, match="unknown strategy"):
        from studies.search.request import SearchRequest as Search
        from studies.search.request import prepare_settings

        prepare_settings(Search(strategy="cmaes", device="cpu"))


def test_a_storage_whose_snapshot_is_unpickled_is_not_opened():
    """Optuna's journal in Redis unpickles snapshots; a journal file has none."""
    from optuna.storages.journal._base import BaseJournalSnapshot

    from studies.store.journal import JournalFile
    from studies.store.storages import open_storage

    assert not issubclass(JournalFile, BaseJournalSnapshot)
    with pytest.raises(InputError, match="cannot be opened"):
        open_storage("redis://127.0.0.1:1")


def test_the_fresh_process_takes_logits_and_no_pickles(tmp_path, mark, monkeypatch):
    """What another process put in the answer's place is not unpickled either."""

    def answer(command, **_):
        with open(command[7], "wb") as file:
            np.savez(file, np.array([Bomb(mark)], dtype=object))
        return type("Ended", (), {"returncode": 0, "stderr": ""})

    monkeypatch.setattr(subprocess, "run", answer)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        fresh_logits("safetensors", tmp_path / "x", [np.zeros(1)])


def test_errors_are_one_line_that_a_terminal_does_not_obey(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["nas", "search", "--space", "\x1b[2Ja\nb.toml"])
    with pytest.raises(SystemExit):
        cli.main()
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "\x1b" not in err


@pytest.mark.parametrize("command", ["export", "score"])
def test_networks_larger_than_memory_are_not_made(tmp_path, capsys, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    stages = "stages = [{layers = 9, width = 65536}]"
    (tmp_path / "huge.toml").write_text(f"base = 'digits9'\n[skeleton]\n{stages}")
    monkeypatch.setattr(sys, "argv", ["nas", command, "add(1)*9", "--space", "huge.toml"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "GiB of memory; at most" in capsys.readouterr().err
