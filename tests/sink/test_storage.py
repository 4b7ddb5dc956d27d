import threading

import pytest

from beam_pipelines.sink import storage


@pytest.fixture
def folder(lake):
    return f"{lake}/a folder" if "bucket:" in lake else f"{lake}/a [1] * folder?"  # locally a name is no pattern


def put(path, content=b"x"):
    with storage.create(path) as file:
        file.write(content)


def test_files_are_listed_at_any_depth_and_only_below_their_folder(folder):
    assert storage.list_below(folder) == []
    assert not storage.any_file_below(folder)
    for name in ("b", "a/b/c", "a/b d"):
        put(f"{folder}/{name}")
    put(f"{folder}2/b")
    assert storage.list_below(folder) == [f"{folder}/{name}" for name in ("a/b d", "a/b/c", "b")]
    assert storage.any_file_below(folder)


def test_a_file_is_written_only_where_there_is_none(lake):
    scratch = f"{lake}/tmp"
    assert storage.write_if_absent(f"{lake}/a", b"1", scratch)
    assert not storage.write_if_absent(f"{lake}/a", b"2", scratch)
    assert storage.read(f"{lake}/a") == b"1"
    storage.write(f"{lake}/a", b"3", scratch)
    assert storage.read(f"{lake}/a") == b"3"
    assert storage.list_below(scratch) == []
    assert storage.read(f"{lake}/b") is None


def test_a_file_is_published_only_under_a_free_name(lake):
    put(f"{lake}/plan", b"1")
    put(f"{lake}/other", b"2")
    assert storage.publish(f"{lake}/plan", f"{lake}/manifest")
    assert not storage.publish(f"{lake}/other", f"{lake}/manifest")
    assert storage.read(f"{lake}/manifest") == b"1"
    with pytest.raises(FileNotFoundError):
        storage.publish(f"{lake}/missing", f"{lake}/free")


def test_a_local_file_system_without_hard_links_is_served_as_well(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    put(f"{tmp_path}/plan", b"1")
    assert storage.publish(f"{tmp_path}/plan", f"{tmp_path}/manifest")
    assert not storage.publish(f"{tmp_path}/plan", f"{tmp_path}/manifest")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest", "plan"]


def test_moves_pass_over_what_is_moved_and_fail_for_what_is_gone(lake):
    pairs = [(f"{lake}/tmp/{name}", f"{lake}/rows/{name}") for name in ("x=1/a", "x=2/b", "c")]
    for source, _ in pairs:
        put(source)
    assert list(storage.move(pairs[:1]))[-1] == 1
    assert list(storage.move(pairs))[-1] == 3
    assert list(storage.move(pairs))[-1] == 3
    assert storage.list_below(lake) == sorted(path for _, path in pairs)
    with pytest.raises(FileNotFoundError):
        list(storage.move([(f"{lake}/tmp/gone", f"{lake}/rows/gone")]))


def test_deleting_and_renaming_what_is_not_there_is_no_error(lake):
    storage.delete(f"{lake}/missing")
    storage.discard(f"{lake}/missing")
    storage.delete_below(f"{lake}/missing")
    assert not storage.rename(f"{lake}/missing", f"{lake}/b")
    put(f"{lake}/a")
    assert storage.rename(f"{lake}/a", f"{lake}/b")
    assert storage.list_below(lake) == [f"{lake}/b"]
    storage.delete_below(lake)
    assert storage.list_below(lake) == []


def test_a_held_folder_is_held_by_one(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "LOCK_SECONDS", 0.2)
    failed = []

    def ask():
        try:
            with storage.alone(str(tmp_path / "run")):
                failed.append(None)
        except TimeoutError as error:
            failed.append(error)

    with storage.alone(str(tmp_path / "run")):
        other = threading.Thread(target=ask)
        other.start()
        other.join()
    ask()
    assert "another process is publishing the same run" in str(failed[0])
    assert failed[1] is None


def test_a_root_has_one_form(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert storage.root_of("lake/") == f"{tmp_path}/lake"
    assert storage.root_of(f"file://{tmp_path}/lake") == f"{tmp_path}/lake"
    assert storage.root_of("gs://bucket/") == "gs://bucket"
    assert storage.root_of(storage.root_of("lake")) == storage.root_of("lake")
