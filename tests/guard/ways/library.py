"""Libraries that unpickle for the program."""

from __future__ import annotations

from tests.guard.ways import ways

_TEXT = r"""
### shelve
import dbm.dumb
with dbm.dumb.open("d", "n") as d: d[b"k"] = EVIL
import shelve; shelve.open("d")["k"]
### shelve-dictionary
import shelve; shelve.Shelf({b"k": EVIL})["k"]
### shelve-values
import shelve; list(shelve.Shelf({b"k": EVIL}).values())
### shelve-writeback
import shelve; shelve.Shelf({b"k": EVIL}, writeback=True).get("k")
### shelve-bsd
import shelve
class D(dict):
    def first(self): return b"k", EVIL
shelve.BsdDbShelf(D()).first()
### shelve-internal-zone
import dbm.dumb
with dbm.dumb.open("cache/d", "n") as d: d[b"k"] = EVIL
import shelve; shelve.open("cache/d")["k"]
### dill needs=dill
import dill; dill.loads(EVIL)
### dill-file needs=dill
import dill; dill.load(open(file(), "rb"))
### dill-unpickler needs=dill
import dill; dill.Unpickler(io.BytesIO(EVIL)).load()
### dill-minted needs=dill
import dill; dill.loads(dill.dumps(P()))
### dill-copy needs=dill
import dill; dill.copy(P())
### dill-ignore needs=dill
import dill; dill.loads(EVIL, ignore=True)
### dill-pickles needs=dill
import dill; dill.pickles(P())
### dill-temporary needs=dill
import dill.temp
class F: name = file()
dill.temp.load(F)
### cloudpickle needs=cloudpickle
import cloudpickle; cloudpickle.loads(EVIL)
### cloudpickle-file needs=cloudpickle
import cloudpickle; cloudpickle.load(open(file(), "rb"))
### cloudpickle-code-untrusted needs=cloudpickle
import cloudpickle
if not (pid := os.fork()):
    go = eval("lambda m: __import__('os').mkfifo(m)")
    class Q:
        def __reduce__(self): return go, (MARK,)
    file(cloudpickle.dumps(Q())); os._exit(0)
os.waitpid(pid, 0)
cloudpickle.loads(open("evil.bin", "rb").read())
### joblib needs=joblib
import joblib; joblib.load(file())
### joblib-handle needs=joblib
import joblib; joblib.load(open(file(), "rb"))
### joblib-buffer needs=joblib
import joblib; joblib.load(io.BytesIO(EVIL))
### joblib-compressed needs=joblib
import joblib, zlib; joblib.load(file(zlib.compress(EVIL)))
### joblib-gzip needs=joblib
import joblib, gzip; joblib.load(file(gzip.compress(EVIL)))
### joblib-xz needs=joblib
import joblib, lzma; joblib.load(file(lzma.compress(EVIL)))
### joblib-mmap needs=joblib
import joblib; joblib.load(file(), mmap_mode="r")
### joblib-internal-zone needs=joblib
import joblib; joblib.load(file(path="models/m.joblib"))
### joblib-unpickler needs=joblib
import inspect
from joblib.numpy_pickle import NumpyUnpickler
f = open(file(), "rb")
extra = (False,) if "ensure_native_byte_order" in inspect.signature(NumpyUnpickler).parameters else ()
NumpyUnpickler("evil.bin", f, *extra).load()
### joblib-array-wrapper needs=joblib,numpy
import joblib, numpy
from joblib.numpy_pickle import NumpyArrayWrapper
head = pickle.dumps(NumpyArrayWrapper(numpy.ndarray, (1,), "C", numpy.dtype("O")), 2)
file(head[:-1] + EVIL + b".")
joblib.load("evil.bin")
### joblib-compatibility needs=joblib
from joblib.numpy_pickle_compat import load_compatibility
import zlib
load_compatibility(file(b"ZF" + hex(len(EVIL)).ljust(19).encode() + zlib.compress(EVIL)))
### joblib-memory needs=joblib
import joblib
m = joblib.Memory("cache/out", verbose=0)
@m.cache
def f(x): return x
import glob
r = f.call_and_shelve(1)
os.rename("cache/out", "out"); r.store_backend.location = os.path.abspath("out/joblib")
with open(glob.glob("out/joblib/**/output.pkl", recursive=True)[0], "wb") as o: o.write(EVIL)
r.get()
### joblib-memory-internal-zone needs=joblib
import joblib
m = joblib.Memory("cache/out", verbose=0)
@m.cache
def f(x): return x
import glob
r = f.call_and_shelve(1)
with open(glob.glob("cache/out/joblib/**/output.pkl", recursive=True)[0], "wb") as o: o.write(EVIL)
r.get()
### joblib-temporary-memmap needs=joblib
import joblib.numpy_pickle as n
n.load_temporary_memmap(file(), "r", False)
### numpy-npy needs=numpy
import numpy
with open("e.npy", "wb") as f:
    numpy.lib.format.write_array_header_1_0(f, {"descr": "|O", "fortran_order": False, "shape": (1,)}); f.write(EVIL)
numpy.load("e.npy", allow_pickle=True)
### numpy-npz needs=numpy
import numpy, zipfile
with open("e.npy", "wb") as f:
    numpy.lib.format.write_array_header_1_0(f, {"descr": "|O", "fortran_order": False, "shape": (1,)}); f.write(EVIL)
with zipfile.ZipFile("e.npz", "w") as z: z.write("e.npy", "a.npy")
numpy.load("e.npz", allow_pickle=True)["a"]
### numpy-pickle needs=numpy
import numpy; numpy.load(file(), allow_pickle=True)
### numpy-buffer needs=numpy
import numpy; numpy.load(io.BytesIO(EVIL), allow_pickle=True)
### numpy-read-array needs=numpy
import numpy
f = io.BytesIO()
numpy.lib.format.write_array_header_1_0(f, {"descr": "|O", "fortran_order": False, "shape": (1,)}); f.write(EVIL)
f.seek(0); numpy.lib.format.read_array(f, allow_pickle=True)
### numpy-internal-zone needs=numpy
import numpy
with open("models/e.npy", "wb") as f:
    numpy.lib.format.write_array_header_1_0(f, {"descr": "|O", "fortran_order": False, "shape": (1,)}); f.write(EVIL)
numpy.load("models/e.npy", allow_pickle=True)
### numpy-minted-object needs=numpy
import numpy
pickle.loads(pickle.dumps(numpy.array([P()], object)))
### numpy-save-load needs=numpy
import numpy
f = io.BytesIO(); numpy.save(f, numpy.array([P()], object)); f.seek(0)
numpy.load(f, allow_pickle=True)
### pandas needs=pandas
import pandas; pandas.read_pickle(file())
### pandas-buffer needs=pandas
import pandas; pandas.read_pickle(io.BytesIO(EVIL))
### pandas-gzip needs=pandas
import pandas, gzip; pandas.read_pickle(file(gzip.compress(EVIL), "e.pkl.gz"))
### pandas-internal-zone needs=pandas
import pandas; pandas.read_pickle(file(path="models/m.pkl"))
### pandas-compat needs=pandas
from pandas.compat import pickle_compat as c
c.Unpickler(io.BytesIO(EVIL)).load()
### pandas-hdf needs=pandas,tables
import pandas, tables
with tables.open_file("e.h5", "w") as f:
    a = f.create_vlarray("/", "x", tables.ObjectAtom()); a.append(P())
with tables.open_file("e.h5") as f: f.root.x[0]
### pandas-hdf-attribute needs=pandas,tables
import pandas, tables
with tables.open_file("e.h5", "w") as f:
    import numpy
    f.root._v_attrs.x = P()
with tables.open_file("e.h5") as f: f.root._v_attrs.x
### pandas-hdf-fixed needs=pandas,tables
import pandas, tables
pandas.DataFrame({"a": [[1]]}).to_hdf("e.h5", key="k")
with tables.open_file("e.h5", "a") as f:
    for n in f.walk_nodes("/", "VLArray"):
        name, parent = n._v_name, n._v_parent
        f.remove_node(n); f.create_vlarray(parent, name, tables.ObjectAtom()).append(P())
        break
pandas.read_hdf("e.h5", "k")
### pytables-dumped-by-other needs=tables
import tables
if not (pid := os.fork()):
    with tables.open_file("e.h5", "w") as f: f.root._v_attrs.x = P()
    os._exit(0)
os.waitpid(pid, 0)
with tables.open_file("e.h5") as f: f.root._v_attrs.x
### torch needs=torch
import torch, zipfile
with zipfile.ZipFile("e.pt", "w") as z:
    z.writestr("a/data.pkl", raw("posix", "mkfifo", MARK, proto=2)); z.writestr("a/version", "3\n")
torch.load("e.pt", weights_only=False)
### torch-legacy needs=torch
import torch
magic = pickle.dumps(0x1950a86a20f9469cfc6c, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
torch.load(file(magic + EVIL), weights_only=False)
### torch-legacy-first needs=torch
import torch
torch.load(file(raw("posix", "mkfifo", MARK, proto=2)), weights_only=False)
### torch-buffer needs=torch
import torch
magic = pickle.dumps(0x1950a86a20f9469cfc6c, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
torch.load(io.BytesIO(magic + EVIL), weights_only=False)
### torch-pickle-module needs=torch
import torch, types
own = types.ModuleType("own")
class U(pickle.Unpickler):
    def find_class(self, m, n): return getattr(sys.modules[m], n)
vars(own).update(vars(pickle)); own.Unpickler = U; own.load = lambda f, **k: U(f, **k).load()
magic = pickle.dumps(0x1950a86a20f9469cfc6c, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
torch.load(file(magic + EVIL), pickle_module=own, weights_only=False)
### torch-safe-globals needs=torch
import torch, zipfile
torch.serialization.add_safe_globals([io.FileIO])
with zipfile.ZipFile("e.pt", "w") as z:
    z.writestr("a/data.pkl", raw("_io", "FileIO", MARK, "w", proto=2)); z.writestr("a/version", "3\n")
torch.load("e.pt", weights_only=True)
### torch-package needs=torch
from torch.package import PackageExporter, PackageImporter
with PackageExporter("p.pt") as e:
    e.save_source_string("mod", f"open({MARK!r}, 'w').close()", dependencies=False)
PackageImporter("p.pt").import_module("mod")
### dask-task-of-a-stranger needs=dask
import dask.local
dask.local.execute_task("key", EVIL, pickle.dumps, pickle.loads, os.getpid, lambda *_: b"")
### torch-hub needs=torch outside=it runs a Python file that the program names, as an import does
import torch
os.mkdir("repo"); open("repo/hubconf.py", "w").write(f"import os\ndef m(): os.mkfifo({MARK!r})")
torch.hub.load("repo", "m", source="local")
### torch-multiprocessing needs=torch
import torch.multiprocessing.reductions, multiprocessing.reduction as r
r.ForkingPickler.loads(EVIL)
### torch-tensor-minted needs=torch
import torch
class T(P): pass
f = io.BytesIO(); torch.save({"w": torch.ones(1), "x": P()}, f); f.seek(0)
torch.load(f, weights_only=False)
"""
WAYS = ways("library", _TEXT)
