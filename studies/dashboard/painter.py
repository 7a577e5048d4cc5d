"""Pictures and notes for the dashboard, drawn as trials come in."""

from __future__ import annotations

import hashlib
import io
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout
from optuna.artifacts import FileSystemArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.storages import BaseStorage
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial

from nas.architecture.genome import Genome
from nas.architecture.plan import plan
from nas.architecture.skeletons.families import read_skeleton
from nas.architecture.skeletons.skeleton import AnySkeleton
from nas.drawing.svg import plan_svg
from nas.errors import InputError
from nas.files.safe import replacing
from nas.plugins import is_loaded
from studies.dashboard.notes import BESIDE, note_beside, renew_note, search_note
from studies.notebook.study import Study
from studies.store.names import COMMAND, FINALISTS, MEANS, SETTINGS, beside_name
from studies.store.store import Store

Warn = Callable[[str], None]
EVERY_SECONDS = 3.0
"""Between two looks at the storage."""
NOTE_SECONDS = 10.0
"""Least time between two versions of a note."""
RETRY_SECONDS = 30.0
"""After something failed."""
LOST_SECONDS = 0.5
"""Before a lost picture is drawn again."""
BATCH = 50
"""Pictures before the next look, which begins with the newest study."""
PAUSE = 2.0
"""Rest after a write, in times of what it took: a search that writes too goes first."""


class Pictures(FileSystemArtifactStore):
    """Artifacts as files; one that is gone already can be removed, as with its study.

    Names that lead out of the folder are refused by Optuna's class, links by `replacing`.
    """

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        with replacing(self._get_filepath(artifact_id)) as temporary:
            temporary.write_bytes(content_body.read())

    def remove(self, artifact_id: str) -> None:
        with suppress(ArtifactNotFound):
            super().remove(artifact_id)


class Painter(threading.Thread):
    """Draws what has no picture yet, newest study first, and keeps the notes up to date.

    Names of pictures follow from their trials, and one painter at a time works in a folder, so that
    nothing is drawn twice, however many dashboards there are.
    """

    def __init__(
        self, storage: BaseStorage, pictures: Pictures, folder: Path, url: str, warn: Warn
    ) -> None:
        super().__init__(name="painter", daemon=True)
        self.storage, self.pictures, self.folder, self.url = storage, pictures, folder, url
        self._warn = warn
        self._warned: set[str] = set()
        self._ended = threading.Event()
        self._skeletons: dict[str, AnySkeleton] = {}
        self._noted: dict[int, tuple[float, object]] = {}

    def run(self) -> None:
        lock = FileLock(self.folder / "dashboard.lock")
        while not self._ended.is_set():
            wait = EVERY_SECONDS
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                if not lock.is_locked:
                    lock.acquire(timeout=0)
                if self.look():
                    wait = 0.0
            except Timeout:
                pass  # another dashboard draws for this storage
            except Exception as error:  # a full disk, a locked database: the dashboard goes on
                first = (str(error.__cause__ or error) or type(error).__name__).splitlines()[0]
                self._once(f"pictures and notes cannot be kept ({first})")
                wait = RETRY_SECONDS
            self._ended.wait(wait)
        lock.release()

    def end(self) -> None:
        self._ended.set()
        self.join(timeout=5)

    def look(self) -> bool:
        """Draws up to BATCH pictures and renews notes; True if more pictures are missing."""
        left = BATCH
        studies = self.storage.get_all_studies()
        for study in sorted(studies, key=lambda study: -study._study_id):
            if self._ended.is_set() or not isinstance(study.user_attrs.get(SETTINGS), dict):
                continue
            try:
                trials = self.storage.get_all_trials(study._study_id, deepcopy=False)
                left -= self._draw(study, trials, left)
                self._note(study, trials, studies)
            except InputError as error:
                needs = [name for name in _plugins(study) if not is_loaded(name)]
                why = f"it needs --plugin {needs[0]}" if needs else error
                self._once(f"study {study.study_name}: no pictures and note ({why})")
            except KeyError:
                continue  # deleted meanwhile
            if left <= 0:
                return True
        return False

    def _once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            self._warn(message)

    def _draw(self, study: FrozenStudy, trials: Sequence[FrozenTrial], most: int) -> int:
        record = study.user_attrs[SETTINGS]
        present = set(os.listdir(self.folder))
        attrs, drawn = study.system_attrs, 0
        for trial in trials:
            if drawn >= most or self._ended.is_set():
                break
            if "notation" not in trial.user_attrs:
                continue
            name = picture_name(study.study_name, record, trial)
            key = picture_key(trial, name)
            known = attrs.get(key)
            if known is not None and name not in present and attrs is study.system_attrs:
                # a person who removes one takes the file first, and then says so
                self._ended.wait(LOST_SECONDS)
                attrs = self.storage.get_study_system_attrs(study._study_id)
                known = attrs.get(key, known)
            if known is not None and (name in present or known == "null"):  # null: a person's wish
                continue
            began = time.monotonic()
            self.pictures.write(name, io.BytesIO(self._picture(record, trial).encode()))
            if known is None:
                entry = {
                    "artifact_id": name,
                    "filename": f"trial-{trial.number}.svg",
                    "mimetype": "image/svg+xml",
                    "encoding": None,
                }
                self.storage.set_study_system_attr(study._study_id, key, json.dumps(entry))
            drawn += 1
            self._ended.wait(PAUSE * (time.monotonic() - began))
        return drawn

    def _picture(self, record: Mapping[str, Any], trial: FrozenTrial) -> str:
        """The drawing of a trial's pattern on its study's skeleton."""
        fields = _skeleton(record)
        key = json.dumps(fields)
        if key not in self._skeletons:
            self._skeletons[key] = read_skeleton(fields, "the study's skeleton")
        planned = plan(Genome.parse(trial.user_attrs["notation"]), self._skeletons[key])
        role = trial.user_attrs.get("role", "")
        title = f"trial {trial.number}" + (f": {role}" if role not in ("", "final") else "")
        return plan_svg(planned, title, paper=True)

    def _note(
        self, study: FrozenStudy, trials: Sequence[FrozenTrial], studies: Sequence[FrozenStudy]
    ) -> None:
        ids = {other.study_name: other._study_id for other in studies}
        record, done = study.user_attrs[SETTINGS], sum(t.state.is_finished() for t in trials)
        known = [study.user_attrs.get(key) for key in (COMMAND, MEANS)]
        stamp: object = len(trials), done, known
        finals = ids.get(beside_name(study.study_name, FINALISTS))
        if finals is not None:
            others = self.storage.get_all_trials(finals, deepcopy=False)
            stamp = stamp, len(others), sum(t.state.is_finished() for t in others)
        since, noted = self._noted.get(study._study_id, (-NOTE_SECONDS, None))
        if stamp == noted or time.monotonic() - since < NOTE_SECONDS:
            return
        beside = next((key for key in BESIDE if key in record), None)
        if beside:
            search = ids.get(record[beside])
            address = f"/dashboard/studies/{search}/note" if search is not None else None
            body = note_beside(record, done, len(trials), address)
        elif "space" not in record:
            return  # a study beside a search, such as its knock-outs
        else:
            store = Store.load(self.storage, study.study_name)
            addresses = {
                trial.number: f"/artifacts/{study._study_id}/{trial._trial_id}/"
                + picture_name(study.study_name, record, trial)
                for trial in trials
            }
            body = search_note(Study.read(store, self.url), addresses)
        renew_note(self.storage, study._study_id, body)
        self._noted[study._study_id] = time.monotonic(), stamp


def _plugins(study: FrozenStudy) -> Mapping[str, str]:
    """The recorded plugins of a search or a study beside it."""
    return study.user_attrs[SETTINGS].get("plugins") or {}


def _skeleton(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The recorded skeleton of a search or of its finalists."""
    return record["space"]["skeleton"] if "space" in record else record["skeleton"]


def picture_key(trial: FrozenTrial, name: str) -> str:
    """Of the study's system attribute that says which artifact is the picture of a trial."""
    return f"dashboard:artifacts:{trial._trial_id}:{name}"


def picture_name(study: str, record: Mapping[str, Any], trial: FrozenTrial) -> str:
    """The artifact's name, the same whoever draws it: a function of study, trial and pattern."""
    skeleton = hashlib.blake2b(json.dumps(_skeleton(record)).encode(), digest_size=8).hexdigest()
    words = "skipnas", study, str(trial.number), str(trial.user_attrs.get("notation")), skeleton
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(words)))
