"""Downloads from a server on this computer: resumed, verified, never half-written as if whole."""

from __future__ import annotations

import errno
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from med2e3.checkpoints import store
from med2e3.checkpoints.download import Connection, RemoteFile, fetch
from med2e3.checkpoints.names import RELEASES, find_release
from med2e3.errors import Cancelled, CheckpointError, DownloadError, ResourceError

WEIGHTS = bytes(range(256)) * 1200  # 307 200 bytes
CONFIG = b'{"model_type": "m3d_clip"}'


@dataclass
class Hub:
    """What the server has and how it misbehaves; what it was asked."""

    files: dict[str, bytes]
    hashes: dict[str, str]
    address: str = ""
    cut_after: int = 0  # bytes after which a connection is closed; 0: never
    cuts_left: int = 0
    ignores_range: bool = False
    revision: str = "rev1"
    status: int = 200  # what it answers instead of files
    elsewhere: str = ""  # where it sends who asks for a file
    page: bytes = b""  # what it answers instead of the list
    tokens: list[str] = field(default_factory=list)
    log: list[tuple[str, str]] = field(default_factory=list)


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.close_connection = True
            hub.log.append((self.path, self.headers.get("Range", "")))
            hub.tokens.append(self.headers.get("Authorization", ""))
            if self.path.startswith("/api/models/") and hub.page:
                self._send(200, hub.page, {})
                return
            if self.path.startswith("/api/models/"):
                self._send(200, json.dumps(_listing(hub)).encode(), {})
                return
            if hub.elsewhere:
                self._send(302, b"", {"Location": hub.elsewhere + self.path})
                return
            if hub.status != 200:
                self._send(hub.status, b"", {})
                return
            name = self.path.split(f"/resolve/{hub.revision}/")[-1]
            if name not in hub.files:
                self._send(404, b"", {})
                return
            body, wanted = hub.files[name], self.headers.get("Range", "")
            if wanted and not hub.ignores_range:
                first = int(wanted.removeprefix("bytes=").rstrip("-"))
                span = f"bytes {first}-{len(body) - 1}/{len(body)}"
                self._send(206, body[first:], {"Content-Range": span})
            else:
                self._send(200, body, {})

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            if hub.cuts_left and len(body) > hub.cut_after:
                hub.cuts_left -= 1
                body = body[: hub.cut_after]
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    return Handler


def _listing(hub: Hub) -> dict[str, Any]:
    siblings = [
        {"rfilename": name, "size": len(body), "lfs": {"sha256": hub.hashes[name]}}
        if name in hub.hashes
        else {"rfilename": name, "size": len(body)}
        for name, body in hub.files.items()
    ]
    return {"sha": hub.revision, "siblings": siblings}


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub on a free port of this computer."""
    state = Hub(
        files={
            "config.json": CONFIG,
            "model.safetensors": WEIGHTS,
            "modeling_m3d_clip.py": b"print('never fetched')",
        },
        hashes={"model.safetensors": hashlib.sha256(WEIGHTS).hexdigest()},
    )
    with _served(state):
        yield state


@contextmanager
def _served(state: Hub) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = False
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No model of this computer's user is seen, and this computer's own servers may be asked."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setenv("MED2E3_MODELS", str(tmp_path / "models"))


def _fetch(hub: Hub, name: str = "m3d-lamed-phi3", **kwargs: Any) -> Path:
    kwargs.setdefault("confirm", lambda terms: True)
    return store.download(name, endpoint=hub.address, **kwargs)


def test_a_download_holds_the_data_files_and_no_code(hub: Hub) -> None:
    folder = _fetch(hub)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert sorted(file.name for file in folder.iterdir()) == [
        "config.json", "download.json", "model.safetensors",
    ]  # fmt: skip
    record = json.loads((folder / "download.json").read_text())
    assert record["revision"] == "rev1"
    assert record["files"]["config.json"]["sha256"] == hashlib.sha256(CONFIG).hexdigest()
    assert not list(folder.parent.glob("*.incomplete*"))


def test_size_and_licence_are_shown_before_any_connection_is_opened(hub: Hub) -> None:
    seen = []

    def refuse(terms: str) -> bool:
        seen.append((terms, list(hub.log)))
        return False

    with pytest.raises(Cancelled):
        _fetch(hub, confirm=refuse)
    terms, asked = seen[0]
    assert "16.2 GB" in terms
    assert "licence: MIT" in terms
    assert asked == []
    assert hub.log == []


def test_what_a_model_needs_is_fetched_with_it(hub: Hub) -> None:
    folder = _fetch(hub, "m3d-clip")
    needed = folder.parents[1] / "bert-base-uncased"
    assert (needed / "config.json").read_bytes() == CONFIG
    assert not (needed / "model.safetensors").exists()


def test_an_interrupted_download_leaves_no_model_and_goes_on_where_it_stopped(hub: Hub) -> None:
    hub.cut_after, hub.cuts_left = 100_000, 1

    def stop_after_the_cut() -> bool:
        return hub.cuts_left == 0 and len(hub.log) > 3

    with pytest.raises(Cancelled):
        _fetch(hub, cancelled=stop_after_the_cut)
    assert store.find_installed("GoodBaiBai88/M3D-LaMed-Phi-3-4B") is None
    assert not any(entry.installed for entry in store.list_models() if entry.name != "demo")
    hub.log.clear()
    folder = _fetch(hub)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    ranges = [wanted for path, wanted in hub.log if path.endswith("model.safetensors")]
    assert ranges == ["bytes=100000-"]
    assert not any(path.endswith("config.json") for path, _ in hub.log)  # it was whole already


def test_a_lost_connection_is_taken_up_again_within_one_download(hub: Hub) -> None:
    hub.cut_after, hub.cuts_left = 90_000, 3
    shown: list[float] = []
    folder = _fetch(hub, progress=lambda fraction, what: shown.append(fraction))
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    ranges = [wanted for path, wanted in hub.log if path.endswith("model.safetensors")]
    assert ranges == ["", "bytes=90000-", "bytes=180000-", "bytes=270000-"]
    assert shown[-1] == 1.0
    assert shown == sorted(shown)


def test_a_server_that_cannot_resume_sends_the_file_again_without_doubling_it(hub: Hub) -> None:
    hub.cut_after, hub.cuts_left, hub.ignores_range = 90_000, 1, True
    shown: list[float] = []
    folder = _fetch(hub, progress=lambda fraction, what: shown.append(fraction))
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert shown[-1] == 1.0


def test_a_connection_that_brings_nothing_more_ends_with_the_way_to_go_on(hub: Hub) -> None:
    hub.cut_after, hub.cuts_left, hub.ignores_range = 90_000, 10**9, True
    with pytest.raises(DownloadError, match=r"90000 of 307200 bytes .* goes on from there"):
        _fetch(hub)
    assert store.find_installed("GoodBaiBai88/M3D-LaMed-Phi-3-4B") is None


def test_a_wrong_hash_is_named_and_the_file_deleted(hub: Hub) -> None:
    hub.hashes["model.safetensors"] = "0" * 64
    with pytest.raises(DownloadError, match=r"SHA-256 .* expected") as caught:
        _fetch(hub)
    assert hashlib.sha256(WEIGHTS).hexdigest() in str(caught.value)
    left = [file.name for file in store.models_folder().rglob("model.safetensors*")]
    assert left == []
    assert store.find_installed("GoodBaiBai88/M3D-LaMed-Phi-3-4B") is None


def test_parts_of_another_revision_are_not_mixed_in(hub: Hub) -> None:
    hub.cut_after, hub.cuts_left, hub.ignores_range = 90_000, 2, True
    with pytest.raises(DownloadError):
        _fetch(hub)
    hub.revision, hub.files["model.safetensors"] = "rev2", WEIGHTS[::-1]
    hub.hashes["model.safetensors"] = hashlib.sha256(WEIGHTS[::-1]).hexdigest()
    hub.cuts_left, hub.ignores_range = 0, False
    folder = _fetch(hub)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS[::-1]


def test_an_installed_model_is_found_without_a_connection(hub: Hub) -> None:
    first = _fetch(hub)
    hub.log.clear()
    assert _fetch(hub, confirm=lambda terms: pytest.fail("asked again")) == first
    assert hub.log == []


def test_a_path_that_leads_out_of_the_folder_is_refused(hub: Hub) -> None:
    hub.files["../../evil.json"] = b"{}"
    with pytest.raises(DownloadError, match="leads out"):
        _fetch(hub)
    assert not (store.models_folder().parent / "evil.json").exists()


def test_a_model_larger_than_listed_is_asked_about_again(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "SURPRISE", 0.0)
    hub.files["more.safetensors"] = bytes(1_200_000)
    asked: list[str] = []

    def only_once(terms: str) -> bool:
        asked.append(terms)
        return len(asked) == 1

    with pytest.raises(Cancelled):
        _fetch(hub, confirm=only_once)
    assert "larger than listed: 1.5 MB" in asked[1]


def test_a_full_disk_is_known_before_anything_is_fetched(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10**9, 10**9, 12 * 10**7))
    with pytest.raises(ResourceError, match=r"16\.2 GB are needed .* 0\.1 GB are free"):
        _fetch(hub)
    assert hub.log == []


def test_a_server_that_is_not_there_is_said_so(hub: Hub) -> None:
    remote = RemoteFile("a.bin", "http://127.0.0.1:9/a.bin", 10)
    with pytest.raises(DownloadError, match="0 of 10 bytes"):
        fetch(remote, store.models_folder() / "a.bin", Connection())


def test_a_withdrawn_file_is_said_so(hub: Hub) -> None:
    remote = RemoteFile("gone.bin", f"{hub.address}/o/n/resolve/rev1/gone.bin", 10)
    with pytest.raises(DownloadError, match="404"):
        fetch(remote, store.models_folder() / "gone.bin", Connection())


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_model_says_how_to_be_let_in(hub: Hub, status: int) -> None:
    hub.status = status
    with pytest.raises(
        DownloadError, match=rf"answers {status}: .* `hf auth login`, or set HF_TOKEN"
    ):
        _fetch(hub)


def test_a_busy_server_is_said_so(hub: Hub) -> None:
    hub.status = 503
    with pytest.raises(DownloadError, match=r"answers 503\. The server is busy"):
        _fetch(hub)


def test_a_login_page_in_place_of_the_hub_is_said_so(hub: Hub) -> None:
    hub.page = b"<html>Welcome to the guests' network</html>"
    with pytest.raises(DownloadError, match="did not answer with JSON"):
        _fetch(hub)


def test_offline_mode_forbids_a_download(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match=r"HF_HUB_OFFLINE .* is set"):
        _fetch(hub)
    assert hub.log == []


def test_a_token_is_not_passed_on_to_where_the_server_sends_us(hub: Hub) -> None:
    other = Hub(files=hub.files, hashes=hub.hashes)
    with _served(other):
        hub.elsewhere = other.address
        remote = RemoteFile("config.json", f"{hub.address}/o/n/resolve/rev1/config.json", 26)
        fetch(remote, store.models_folder() / "config.json", Connection(token="secret"))
    assert hub.tokens == ["Bearer secret"]
    assert other.tokens == [""]


def test_a_disk_that_fills_up_says_so_and_keeps_what_came(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(response: Any, file: Any, connection: Any, most: int) -> None:
        file.write(WEIGHTS[:1000])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("med2e3.checkpoints.download._copy", fill)
    remote = RemoteFile("w.bin", f"{hub.address}/o/n/resolve/rev1/model.safetensors", len(WEIGHTS))
    with pytest.raises(DownloadError, match="Free the missing space"):
        fetch(remote, store.models_folder() / "w.bin", Connection())
    assert (store.models_folder() / "w.bin.part").read_bytes() == WEIGHTS[:1000]


def test_a_download_that_the_version_before_began_goes_on(hub: Hub) -> None:
    """It left parts, whole files and the revision in a folder beside the model's."""
    staging = store.models_folder() / "GoodBaiBai88" / "M3D-LaMed-Phi-3-4B.incomplete"
    staging.mkdir(parents=True)
    (staging / ".revision").write_text("rev1")
    (staging / "config.json").write_bytes(CONFIG)
    (staging / "model.safetensors.part").write_bytes(WEIGHTS[:200_000])
    folder = _fetch(hub)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert [wanted for path, wanted in hub.log if "/resolve/" in path] == ["bytes=200000-"]


def test_an_unknown_name_lists_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(CheckpointError, match="Did you mean m3d-clip"):
        find_release("m3dclip")


def test_the_list_says_what_is_installed_and_what_its_hash_is(hub: Hub) -> None:
    before = {entry.name: entry for entry in store.list_models()}
    assert set(before) >= {release.name for release in RELEASES}
    assert not before["m3d-lamed-phi3"].installed
    assert "about 16.2 GB  not installed" in before["m3d-lamed-phi3"].line()
    assert "SHA-256: unknown" in before["m3d-lamed-phi3"].line()
    folder = _fetch(hub)
    own = store.models_folder() / "mine"
    own.mkdir()
    (own / "config.json").write_text('{"model_type": "med2e3"}')
    after = {entry.name: entry for entry in store.list_models()}
    assert after["m3d-lamed-phi3"].path == str(folder)
    assert hashlib.sha256(WEIGHTS).hexdigest() in after["m3d-lamed-phi3"].sha256
    assert after["mine"].kind == "med2e3"
    assert json.loads(json.dumps(after["mine"].as_dict()))["installed"] is True


def test_a_model_in_the_hub_cache_counts_as_installed(tmp_path: Path) -> None:
    folder = tmp_path / "hub-cache" / "models--GoodBaiBai88--M3D-CLIP"
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    assert store.find_installed("GoodBaiBai88/M3D-CLIP") == folder / "snapshots" / "abc"


@pytest.mark.parametrize("begun", [0, 400])
def test_no_more_than_the_stated_bytes_of_a_longer_body_are_written(
    begun: int, hub: Hub, tmp_path: Path
) -> None:
    target, counts = tmp_path / "model.safetensors", []
    target.with_name("model.safetensors.part").write_bytes(WEIGHTS[:begun])
    remote = RemoteFile("model.safetensors", f"{hub.address}/resolve/rev1/model.safetensors", 1000)
    with pytest.raises(DownloadError, match=r"1001 bytes .* but 1000 bytes"):
        fetch(remote, target, Connection(received=counts.append))
    assert sum(counts) == 1001 - begun
    assert not list(tmp_path.glob("model*"))


def test_an_endless_list_of_files_is_refused(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("med2e3.checkpoints.download.MOST_JSON", 5000)
    hub.page = b"[" + b" " * 300_000
    with pytest.raises(DownloadError, match="more than"):
        _fetch(hub)
