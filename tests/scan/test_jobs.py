from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys

import pytest

from safehold._cli import main
from safehold.errors import ConfigError, MissingExtra
from safehold.scan import one as one_file
from safehold.scan import parallel, scan_path, scan_paths
from safehold.scan.entries import Found
from safehold.scan.one import Settings, scan_found
from safehold.scan.parallel import scan_batch
from tests.bypasses.payloads import named, stream

pytestmark = pytest.mark.extras

EVIL = stream(named("posix", "system"))
GOOD = pickle.dumps([1])


def deadly(batch, settings):
    """Stands in for the scan of a batch: some files end the process that reads them."""
    for one in batch:
        if one.path.endswith("deadly.pkl"):
            os.kill(os.getpid(), signal.SIGKILL)
    return scan_batch(batch, settings)


def test_several_processes_report_the_same_in_the_same_order(tmp_path):
    for number in range(150):
        data = stream(named("posix", "system")) if number % 3 == 0 else pickle.dumps(number)
        (tmp_path / f"{number:03}.pkl").write_bytes(data)
    assert tuple(scan_paths([tmp_path], jobs=2)) == scan_path(tmp_path).files


def test_what_was_looked_up_before_does_not_go_to_the_workers(tmp_path):
    settings = Settings.of(None, None)
    fresh = pickle.dumps(settings)
    (tmp_path / "a.pkl").write_bytes(stream(named("posix", "system")))
    scan_found(Found(str(tmp_path / "a.pkl"), named=True), settings)
    assert pickle.dumps(settings) == fresh


def test_a_worker_that_is_killed_costs_the_file_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "scan_batch", deadly)
    monkeypatch.setattr(parallel, "_MOST_FILES", 4)
    at = 30
    for number in range(60):
        name = f"{number:03}{'deadly' if number == at else ''}.pkl"
        (tmp_path / name).write_bytes(EVIL if number % 3 == 0 else GOOD)
    reports = list(scan_paths([tmp_path], jobs=2))
    assert [one.path for one in reports] == sorted(one.path for one in reports)
    assert len(reports) == 60
    for number, one in enumerate(reports):
        expected = "error" if number == at else "malicious" if number % 3 == 0 else "clean"
        assert one.verdict == expected, one.path
    assert "worker that read it was ended" in reports[at].findings[0].message


def test_a_large_file_that_is_cut_kills_a_worker_and_not_the_scan(tmp_path, monkeypatch):
    """Workers read mappings themselves, without a child of their own."""
    monkeypatch.setattr(parallel, "scan_batch", cutting)
    (tmp_path / "a.pkl").write_bytes(GOOD)
    (tmp_path / "b.pkl").write_bytes(pickle.dumps(bytes(20 * 2**20)))
    (tmp_path / "c.pkl").write_bytes(EVIL)
    found = [str(one.verdict) for one in scan_paths([tmp_path], jobs=2)]
    assert found == ["clean", "suspicious", "malicious"]  # read again, it is empty


def cutting(batch, settings):
    """Cut every large file after it was opened, and touch what is no longer there."""
    real = one_file.scan_data

    def scan_data(data, *arguments, **options):
        if len(data) > 2**24:
            os.truncate(batch[0].path, 0)
        return real(data, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one_file, "scan_data", scan_data)
        return scan_batch(batch, settings)


def test_threads_report_the_same(tmp_path):
    for number in range(70):
        (tmp_path / f"{number:03}.pkl").write_bytes(EVIL if number % 3 == 0 else GOOD)
    (tmp_path / "large.pkl").write_bytes(pickle.dumps(bytes(20 * 2**20)))
    found = tuple(scan_paths([tmp_path], jobs=2, backend="threading"))
    assert found == scan_path(tmp_path).files


def test_a_walk_that_fails_is_not_taken_for_its_end(tmp_path):
    def walk():
        for number in range(200):
            yield Found(str(tmp_path / f"{number}.pkl"), named=True)
        raise KeyError("a defect")

    reports = parallel.scan_in_parallel(walk(), Settings.of(None, None), 2)
    with pytest.raises(KeyError):
        list(reports)


def test_tasks_are_of_like_size(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "_MOST_BYTES", 100)
    sizes = [30, 30, 30, 30, 500, 10, 10, 90, 20]
    found = []
    for number, size in enumerate(sizes):
        (tmp_path / str(number)).write_bytes(bytes(size))
        found.append(Found(str(tmp_path / str(number)), named=True))
    groups = [
        [int(one.path.rsplit("/", 1)[1]) for one in group] for group in parallel.batches(found)
    ]
    assert groups == [[0], [1, 2], [3], [4], [5, 6], [7], [8]]


def test_a_few_files_are_shared_out_as_well(tmp_path):
    found = [Found(str(tmp_path / str(number)), named=True) for number in range(24)]
    assert [len(group) for group in parallel.batches(found)] == [1, 2, 3, 4, 5, 6, 3]


def test_many_files_make_few_tasks():
    found = [Found(str(number), named=True) for number in range(10_000)]
    groups = list(parallel.batches(found))
    assert max(map(len, groups)) == 64
    assert len(groups) < 200


def test_unknown_backend():
    with pytest.raises(ConfigError, match="loky, threading, dask, ray"):
        list(scan_paths(["x"], jobs=2, backend="cluster"))


@pytest.mark.parametrize(("backend", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_without_the_package_of_a_backend_its_extra_is_named(monkeypatch, backend, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"safehold\[{backend}\]"):
        list(scan_paths(["x"], jobs=2, backend=backend))


def test_the_command_knows_the_backends(capsys):
    with pytest.raises(SystemExit):
        main(["scan", "--help"])
    assert f"{{{','.join(parallel.BACKENDS)}}}" in capsys.readouterr().out


ON_DASK = """
import distributed, sys
from safehold.scan import scan_path, scan_paths

if __name__ == "__main__":
    made = distributed.LocalCluster(2, dashboard_address=None)
    with made as cluster, distributed.Client(cluster):
        found = tuple(scan_paths([sys.argv[1]], jobs=2, backend="dask"))
    assert found == scan_path(sys.argv[1]).files
    print(len(found))
"""


def test_cluster_of_dask(tmp_path):
    """Run it with: pip install distributed; pytest tests/scan/test_jobs.py -k dask."""
    pytest.importorskip("distributed")
    files = tmp_path / "files"
    files.mkdir()
    for number in range(70):
        (files / f"{number:03}.pkl").write_bytes(EVIL if number % 3 == 0 else GOOD)
    (tmp_path / "on_dask.py").write_text(ON_DASK)
    command = [sys.executable, str(tmp_path / "on_dask.py"), str(files)]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout == "70\n"


@pytest.mark.filterwarnings("ignore")
def test_dask_without_a_client_is_an_error(tmp_path):
    pytest.importorskip("distributed")
    with pytest.raises(ConfigError, match="Client"):
        list(scan_paths([tmp_path], jobs=2, backend="dask"))


@pytest.mark.filterwarnings("ignore")
def test_cluster_of_ray(tmp_path):
    """Run it with: pip install ray; pytest tests/scan/test_jobs.py -k ray."""
    ray = pytest.importorskip("ray")
    (tmp_path / "a.pkl").write_bytes(EVIL)
    ray.init(num_cpus=2)
    try:
        found = tuple(scan_paths([tmp_path], jobs=2, backend="ray"))
    finally:
        ray.shutdown()
    assert found == scan_path(tmp_path).files


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_the_second_reader_is_asked_in_workers_too(tmp_path, backend):
    # Harmless, and more objects than the loader may have memory for.
    (tmp_path / "many.pkl").write_bytes(b"\x80\x02(" + b"}" * 5_000_000 + b"l.")
    (tmp_path / "few.pkl").write_bytes(GOOD)

    def found(*, paranoid):
        reports = scan_paths([tmp_path], jobs=2, backend=backend, paranoid=paranoid)
        return {one.path[-8:]: [f.rule.id for f in one.findings] for one in reports}

    assert found(paranoid=False) == {"/few.pkl": [], "many.pkl": []}
    assert found(paranoid=True) == {"/few.pkl": [], "many.pkl": ["SH105"]}


def test_workers_that_are_kept_read_from_where_the_scan_is_started(tmp_path, monkeypatch):
    for folder, data in (("a", GOOD), ("b", EVIL)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.pkl").write_bytes(data)
        (tmp_path / folder / "n.pkl").write_bytes(data)
    for folder, verdict in (("a", "clean"), ("b", "malicious")):
        monkeypatch.chdir(tmp_path / folder)
        found = [(one.path, str(one.verdict)) for one in scan_paths(["."], jobs=2)]
        assert found == [("./m.pkl", verdict), ("./n.pkl", verdict)]
