"""Libraries whose own code writes files, in bytes that this very program pickled."""

from __future__ import annotations

from tests.guard.ways import ways

_TEXT = r"""
### numpy-save needs=numpy
import numpy
pickle.loads(pickle.dumps(P(numpy.save, (MARK, 1))))
### numpy-savetxt needs=numpy
import numpy
pickle.loads(pickle.dumps(P(numpy.savetxt, (MARK, [1]))))
### numpy-memmap needs=numpy
import numpy
pickle.loads(pickle.dumps(P(numpy.memmap, (MARK, "u1", "w+", 0, (1,)))))
### numpy-tofile needs=numpy
import numpy
pickle.loads(pickle.dumps(P(numpy.ndarray.tofile, (numpy.arange(3), MARK))))
### numpy-f2py needs=numpy
import numpy
pickle.loads(pickle.dumps(P(numpy.ndarray.dump, (numpy.arange(3), MARK))))
### h5py needs=h5py
import h5py
pickle.loads(pickle.dumps(P(h5py.File, (MARK, "w"))))
### h5py-low needs=h5py
import h5py
pickle.loads(pickle.dumps(P(h5py.h5f.create, (MARK.encode(),))))
### pyarrow-file needs=pyarrow
import pyarrow
pickle.loads(pickle.dumps(P(pyarrow.OSFile, (MARK, "w"))))
### pyarrow-memory-map needs=pyarrow
import pyarrow
pickle.loads(pickle.dumps(P(pyarrow.create_memory_map, (MARK, 10))))
### pyarrow-directory needs=pyarrow
from pyarrow import fs
pickle.loads(pickle.dumps(P(fs.LocalFileSystem().create_dir, (MARK,))))
### pyarrow-parquet needs=pyarrow
import pyarrow, pyarrow.parquet
pickle.loads(pickle.dumps(P(pyarrow.parquet.write_table, (pyarrow.table({"a": [1]}), MARK))))
### pyarrow-feather needs=pyarrow
import pyarrow, pyarrow.feather
pickle.loads(pickle.dumps(P(pyarrow.feather.write_feather, (pyarrow.table({"a": [1]}), MARK))))
### pyarrow-csv needs=pyarrow
import pyarrow, pyarrow.csv
pickle.loads(pickle.dumps(P(pyarrow.csv.write_csv, (pyarrow.table({"a": [1]}), MARK))))
### pandas-to-csv needs=pandas
import pandas
pickle.loads(pickle.dumps(P(pandas.DataFrame.to_csv, (pandas.DataFrame({"a": [1]}), MARK))))
### pandas-to-pickle needs=pandas
import pandas
pickle.loads(pickle.dumps(P(pandas.to_pickle, ([1], MARK))))
### pandas-to-parquet needs=pandas,pyarrow
import pandas
pickle.loads(pickle.dumps(P(pandas.DataFrame.to_parquet, (pandas.DataFrame({"a": [1]}), MARK))))
### pandas-to-json needs=pandas
import pandas
pickle.loads(pickle.dumps(P(pandas.DataFrame.to_json, (pandas.DataFrame({"a": [1]}), MARK))))
### sklearn-pipeline needs=sklearn
from sklearn.preprocessing import FunctionTransformer
t = FunctionTransformer(os.mkfifo)
pickle.loads(pickle.dumps(t)).transform(MARK)
### joblib-dump needs=joblib
import joblib
pickle.loads(pickle.dumps(P(joblib.dump, ([1], MARK))))
### safetensors needs=safetensors,numpy
import safetensors.numpy, numpy
pickle.loads(pickle.dumps(P(safetensors.numpy.save_file, ({"a": numpy.arange(3)}, MARK))))
### xgboost-save needs=xgboost
import xgboost, numpy
b = xgboost.train({"nthread": 1}, xgboost.DMatrix(numpy.eye(2), label=[0, 1]), 1)
pickle.loads(pickle.dumps(P(xgboost.Booster.save_model, (b, MARK + ".json"))))
### lightgbm-save needs=lightgbm
import lightgbm, numpy
b = lightgbm.Booster(model_str=lightgbm.train({"verbose": -1, "num_threads": 1, "min_data_in_leaf": 1},
    lightgbm.Dataset(numpy.eye(4), label=[0, 1, 0, 1], params={"verbose": -1}), 1).model_to_string())
pickle.loads(pickle.dumps(P(lightgbm.Booster.save_model, (b, MARK))))
### onnx-save needs=onnx
import onnx
pickle.loads(pickle.dumps(P(onnx.save_model, (onnx.ModelProto(), MARK))))
### scipy-save needs=scipy
import scipy.io
pickle.loads(pickle.dumps(P(scipy.io.savemat, (MARK, {"a": 1}))))
### torch-save needs=torch
import torch
pickle.loads(pickle.dumps(P(torch.save, ([1], MARK))))
### torch-writer needs=torch
import torch
pickle.loads(pickle.dumps(P(torch._C.PyTorchFileWriter, (MARK,))))
### torch-exporter needs=torch
from torch.package import PackageExporter
pickle.loads(pickle.dumps(P(PackageExporter, (MARK,))))
### tables-file needs=tables
import tables
pickle.loads(pickle.dumps(P(tables.open_file, (MARK, "w"))))
### torch-storage needs=torch
import torch
pickle.loads(pickle.dumps(P(torch.UntypedStorage.from_file, (MARK, True, 16))))
### torch-from-file needs=torch
import torch
pickle.loads(pickle.dumps(P(torch.from_file, (MARK, True, 16))))
### cffi needs=cffi
import cffi
f = cffi.FFI(); f.cdef("int mkfifo(const char *, unsigned);")
def libc(): return f.dlopen(None)
import operator
pickle.loads(pickle.dumps(P(operator.call, (P(getattr, (P(libc, ()), "mkfifo")), MARK.encode(), 0o600))))
### yaml-dump needs=yaml
import yaml
pickle.loads(pickle.dumps(P(yaml.unsafe_load, ("!!python/object/apply:os.mkfifo [%s]" % MARK,))))
### sqlalchemy-engine needs=sqlalchemy
import sqlalchemy
pickle.loads(pickle.dumps(P(__import__("sqlite3").dbapi2.connect, (MARK,))))
### fsspec-open needs=fsspec
import fsspec
pickle.loads(pickle.dumps(P(fsspec.filesystem("file").touch, (MARK,))))
### jinja-template needs=jinja2
import jinja2
pickle.loads(pickle.dumps(P(jinja2.Template, ("{{ cycler.__init__.__globals__.os.mkfifo(path) }}",)))).render(path=MARK)
"""

WAYS = ways("natives", _TEXT)
