"""What is wrong in the input of any command is one line on standard error, and exit code 2."""

import socket
from functools import lru_cache

import numpy as np
import optuna
import pytest
from PIL import Image

import nas.data.load
from studies.store.names import search_names
from studies.store.storages import open_storage
from tests.helpers import refused


def make_pictures(folder, classes=2, broken=False):
    for name in range(classes):
        (folder / str(name)).mkdir(parents=True)
        for index in range(8):
            Image.new("L", (9, 9), 100 * name + index).save(folder / str(name) / f"{index}.png")
    if broken:
        (folder / "0" / "3.png").write_bytes(b"\x89PNG")
    return folder


CASES = [
    (["search", "--space", "digits8"], "did you mean digits9"),
    (["search", "--data", "fashion"], "did you mean fashion-mnist"),
    (["search", "--strategy", "regularised"], "did you mean regularized"),
    (["search", "--device", "gpu"], "unknown device 'gpu'"),
    (["search", "--device", "cuda:99"], "cuda:99"),
    (["search", "--objectives", "accuracy,param"], "did you mean params"),
    (["search", "--objectives", "accuracy,params"], "has one objective"),
    (["search", "--strategy", "nsga2", "--objectives", "params"], "accuracy or loss comes first"),
    (["search", "--evaluations", "0"], "--evaluations 0: it must be at least 1"),
    (["search", "--seed", "-1"], "--seed -1: it must be at least 0"),
    (["search", "--picture", "best.gif"], "pictures end in"),
    (["search", "--picture", "no/best.png"], "there is no folder"),
    (["search", "--config", "fraction.toml"], "lag must be a whole number"),
    (["search", "--config", "bool.toml"], "seed must be a whole number"),
    (["search", "--evaluations", "many"], "'many' is not a valid integer"),
    (["search", "--workers", "9"], "--workers 9 is more than --lag 8"),
    (["search", "--max-seconds", "-1"], "--max-seconds -1: it must be at least 0"),
    (["search", "--time-limit", "0"], "--time-limit 0: it must be above 0 seconds"),
    (["search", "--memory-limit", "many"], "'many' is not a size: a number and a unit"),
    (["search", "--memory-limit", "0GB"], "--memory-limit 0: it must be above 0 bytes"),
    (["search", "--evaluations", "1" + "0" * 12], "it must be at most 1e+07"),
    (["search", "--workers", "roy"], "'roy' is neither a number of processes nor ray"),
    (["search", "--space", "resnet50"], "name a folder of pictures by class with --data"),
    (["search", "--max-params", "10"], "--max-params 10 is below the plain pattern's"),
    (["search", "--evalutions", "3"], "--evaluations"),
    (["search", "--config", "keys.toml"], "did you mean evaluations"),
    (["search", "--config", "types.toml"], "evaluations"),
    (["search", "--config", "syntax.toml"], "line 1"),
    (["search", "--config", "pareot"], "did you mean pareto"),
    (["search", "--screen", "synflow"], "SCORE:N with N candidates from 2 to 64"),
    (["search", "--pruner", "medain"], "did you mean median"),
    (["search", "--strategy", "tpe", "--inherit"], "those of regularized, mu-plus-lambda"),
    (["search", "--strategy", "nsga2", "--pruner", "median"], "it judges by accuracy alone"),
    (["search", "--config", "none.toml"], "none.toml"),
    (["search", "--space", "space.toml"], "did you mean epochs"),
    (["search", "--space", "none.toml"], "none.toml"),
    (["search", "--storage", "sqlite:///foreign.db"], "cannot be opened"),
    (["search", "--storage", "sqlite:///text.db"], "cannot be opened"),
    (["search", "--storage", "sqlite:///no/a.db"], "cannot be opened"),
    (["search", "--storage", "nonsense"], "cannot be opened"),
    (["search", "--storage", "text.db.log"], "cannot be opened"),
    (["search", "--data", "one.npz"], "data with 1 class"),
    (["search", "--data", "single"], "single is pictures without classes"),
    (["search", "--data", "corrupt"], "3.png: not a readable image"),
    (["search", "--data", "small.npz"], "the least side is 3"),
    (["search", "--plugin", "none.py"], "none.py"),
    (["show", "add(1"], "column 1: 'add(1' is not a layer"),
    (["show", "add(1) add(9)"], "at most 2 here"),
    (["show", "add(1)*8", "--space", "digits9"], "the genome has 8 layers, the skeleton 9"),
    (["show", "add(1)*9", "--out", "a.gif"], "pictures end in .png, .svg, .pdf"),
    (["show", "add(1)*9", "--out", "no/such/a.png"], "no/such/a.png"),
    (["show", "ad(1)"], "did you mean add"),
    (["spaces", "digits8"], "did you mean digits9"),
    (["baseline", "show", "resnet-57"], "resnet-56"),
    (["baseline", "run", "exercise-6"], "did you mean exercise-"),
    (["baseline", "run", "all", "--profile", "quik"], "did you mean quick"),
    (["baseline", "run", "exercise-4", "--data", "digits"], "the least side is 17"),
    (["baseline", "run", "all", "--data", "digits", "--device", "cuda:77"], "cuda:77"),
    (["serch"], "search"),
    (["show"], "NOTATION"),
    (["train", "best:x{study}"], "unknown study 'x{study}': did you mean {study}"),
    (["train", "best:{study}", "--storage", "sqlite:///none.db"], "there is no file none.db"),
    (["train", "trial:{study}/99"], "has no trial 99; it has 0 to 11"),
    (["train", "trial:{study}"], "write trial:STUDY/NUMBER"),
    (["train", "best:{study}-finalists"], "holds the finalists of study"),
    (["train", "best:{study}", "--space", "digits9"], "a study has its skeleton"),
    (["train", "add(1)*9"], "the skeleton of 'add(1)*9' is missing"),
    (["train", "add(1)*8", "--space", "digits9"], "8 layers, the skeleton 9"),
    (["train", "add(1)*9", "--space", "digits"], "did you mean digits9"),
    (["train"], "a pattern is needed"),
    (["train", "--baseline", "resnet-56"], "name the data with --data"),
    (["train", "-*9", "--space", "digits9", "--baseline", "resnet-56"], "one of them"),
    (["train", "best:{study}", "--data", "fashion"], "did you mean fashion-mnist"),
    (["train", "best:{study}", "--split-seed", "1"], "split 1 (fingerprint"),
    (["train", "best:{study}", "--resolution", "9"], "resolution 9 is larger"),
    (["train", "best:{study}", "--augment", "flip"], "did you mean crop-flip"),
    (["train", "best:{study}", "--threads", "0"], "threads is 0"),
    (["train", "best:{study}", "--seed", "-1"], "--seed -1"),
    (["train", "best:{study}", "--epochs", "0"], "epochs is 0"),
    (
        ["train", "best:{study}", "--epochs", "1", "--device", "cpu", "--out", "nas.db"],
        "--out nas.db",
    ),
    (["export", "add(1)*9"], "the skeleton of 'add(1)*9' is missing"),
    (["export", "best:{study}"], "nas train best:"),
    (["export", "nowhere"], "no such folder or file, nor the notation"),
    (["export", "nas.db"], "not a readable safetensors file"),
    (["export", "."], "no .safetensors file in this folder"),
    (["export", "-*9", "--space", "digits9", "--format", "onyx"], "did you mean onnx"),
    (["score"], "a GENOME is needed"),
    (["score", "add(1)*8"], "the genome has 8 layers, the skeleton 27"),
    (["score", "add(1"], "column 1: 'add(1' is not a layer"),
    (["score", "add(1)*9", "--score", "sinflow"], "did you mean synflow"),
    (["score", "add(1)*9", "--seed", "-1"], "-1 is not in the range"),
    (["score", "add(1)*9", "--space", "resnet50"], "did you mean|name a folder of pictures"),
    (["score", "add(1)*9", "--study", "a"], "its trials have their space and seed"),
    (["score", "--study", "a", "--storage", "sqlite:///none.db"], "there is no file none.db"),
    (
        ["dashboard", "--storage", "sqlite:///nsa.db"],
        "there is no file nsa.db; nas search --storage",
    ),
    (["dashboard", "--storage", "nsa.log"], "there is no file nsa.log"),
    (["dashboard", "--storage", "sqlite:///no/nas.db"], "there is no folder no"),
    (["dashboard", "--storage", "sqlite:///text.db"], "file is not a database"),
    (["dashboard", "--storage", "sqlite:///empty.db"], "no Optuna studies in this database"),
    (["dashboard", "--storage", "text.log"], "cannot be opened"),
    (["dashboard", "--storage", "mine.db"], "an example is sqlite:///mine.db"),
    (["dashboard", "--storage", "sqlite://"], "in memory"),
    (
        ["dashboard", "--storage", "postgresql+psycopg://me:secret@127.0.0.1:1/x"],
        "me:***@127.0.0.1",
    ),
    (["dashboard", "--port", "65536"], "65536"),
    (["dashboard", "--host", "no.such.host.invalid"], "--host no.such.host.invalid"),
    (["dashboard", "--plugin", "none.py"], "none.py"),
    (["dashboard", "--prot", "1"], "--port"),
    (["report", "none", "--storage", "sqlite:///nas.db"], "unknown study 'none': allowed: {study}"),
    (
        ["report", "{study}-finalists", "--storage", "sqlite:///nas.db"],
        "holds the finalists of study '{study}'",
    ),
    (["report", "theirs", "--storage", "sqlite:///theirs.db"], "was not made by nas search"),
    (["report", "--storage", "sqlite:///theirs.db"], "it has no search"),
    (["report", "x", "--storage", "sqlite:///no.db"], "there is no file"),
    (["report", "x", "--storage", "no.log"], "there is no file"),
    (["report", "x", "--storage", "sqlite:///text.db"], "cannot be opened"),
    (["report", "made", "--storage", "empty.log"], "has no trials yet"),
    (["report", "made", "--storage", "empty.log", "--format", "csv"], "has no trials yet"),
    (
        ["report", "{study}", "--storage", "sqlite:///nas.db", "--format", "htm"],
        "did you mean html",
    ),
    (
        ["report", "{study}", "--storage", "sqlite:///nas.db", "--out", "no/a.html"],
        "there is no folder no",
    ),
    (["report", "{study}", "--storage", "sqlite:///nas.db", "--out", "."], "it is a folder"),
    (["report", "{study}", "--storage", "sqlite:///nas.db", "--plugin", "none.py"], "none.py"),
    (
        ["report", "{study}", "--storage", "sqlite:///nas.db", "--knock-out", "--device", "gpu"],
        "unknown device",
    ),
    (["dashboard", "--port", "{port}"], "port {port} on 127.0.0.1 is in use; --port {next}"),
    (
        ["search", "--storage", "sqlite:///theirs.db", "--study", "theirs", "--device", "cpu"],
        "was not made by nas search",
    ),
]
"""Arguments, and what the line says; {study} is the name of the only search in nas.db."""


@pytest.fixture(scope="module")
def place(searched, tmp_path_factory):
    """A folder with a study, an empty one, one of another program, and files of every wrong kind."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "nas.db").write_bytes(searched.read_bytes())
    (folder / "mine.db").write_bytes(searched.read_bytes())
    theirs = optuna.create_study(study_name="theirs", storage=f"sqlite:///{folder}/theirs.db")
    theirs.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    (folder / "keys.toml").write_text("evalutions = 3")
    (folder / "types.toml").write_text("evaluations = 'many'")
    (folder / "fraction.toml").write_text("lag = 2.5")
    (folder / "bool.toml").write_text("seed = true")
    (folder / "syntax.toml").write_text("a = = 1")
    (folder / "space.toml").write_text("base = 'digits9'\n[proxy]\nepoch = 3")
    (folder / "foreign.db").write_bytes(b"SQLite format 3\0 but not really" * 100)
    (folder / "text.db").write_text("hello\n" * 1000)
    (folder / "empty.db").touch()
    for name in ("text.log", "text.db.log"):
        (folder / name).write_text("hello\n" * 9)
    np.savez(folder / "one.npz", images=np.zeros((9, 8, 8), np.uint8), labels=np.zeros(9))
    small = np.arange(60, dtype=np.uint8).reshape(60, 1, 1).repeat(2, 1).repeat(2, 2)
    np.savez(folder / "small.npz", images=small, labels=np.arange(60) % 2)
    make_pictures(folder / "single", classes=1)
    make_pictures(folder / "corrupt", broken=True)
    record = optuna.load_study(
        study_name=search_names(open_storage(f"sqlite:///{folder}/nas.db"))[0],
        storage=f"sqlite:///{folder}/nas.db",
    ).user_attrs
    empty = optuna.create_study(study_name="made", storage=open_storage(f"{folder}/empty.log"))
    for key, value in record.items():
        empty.set_user_attr(key, value)
    with pytest.MonkeyPatch.context() as patch, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for source in ("digits", "fashion-mnist"):  # read once for all cases
            patch.setitem(nas.data.load.SOURCES, source, lru_cache(nas.data.load.SOURCES[source]))
        name = search_names(open_storage(f"sqlite:///{folder}/nas.db"))[0]
        yield folder, {"study": name, "port": port, "next": port + 1}


@pytest.mark.parametrize(
    ("arguments", "message"), CASES, ids=[" ".join(arguments)[:60] for arguments, _ in CASES]
)
def test_bad_input_is_one_line_and_exit_code_2(place, capsys, monkeypatch, arguments, message):
    folder, names = place
    monkeypatch.chdir(folder)

    def filled(text):
        for name, value in names.items():
            text = text.replace(f"{{{name}}}", str(value))
        return text

    before = {path.name: path.stat().st_size for path in folder.iterdir()}
    said = refused(capsys, *map(filled, arguments))
    assert any(filled(one) in said for one in message.split("|")), said
    assert "secret" not in said
    assert {path.name: path.stat().st_size for path in folder.iterdir()} == before
