"""Names that lead through xgboost, lightgbm, torch and skops to something else; none may pass."""

from __future__ import annotations

import io
import pickle

import pytest

from safehold import dangers
from safehold.allow import PRESETS, AllowList
from safehold.errors import TypeNotAllowed
from safehold.scan import scan_bytes

# Module and qualified name, as a pickle of protocol 4 spells them.
LISTED = """
torch.hub:load torch.serialization:load torch:load torch.storage:_load_from_bytes torch.jit:load
torch.utils.cpp_extension:load torch.utils.cpp_extension:load_inline torch.utils.cpp_extension:os
torch._inductor.codecache:os.system torch._inductor.config:os.system torch.package:PackageImporter
torch._dynamo:config torch.fx.graph_module:GraphModule torch.fx:Graph torch.ops:load_library
torch.classes:load_library torch.utils.data.datapipes.utils.decoder:basichandlers
torch.distributed.run:main torch.multiprocessing:spawn torch.from_file:x torch:from_file
torch.UntypedStorage:from_file torch.save:x torch.utils.checkpoint:checkpoint
torch._utils:_import_dotted_name torch._tensor:_rebuild_from_type torch.utils._pytree:tree_map
torch:compile torch:os torch:sys.exit torch:_C.import_ir_module torch.nn.functional:torch.hub.load
torch.nn.modules.module:warnings.sys torch:vmap torch.overrides:wrap_torch_function
torch._utils:_set_obj_state
lightgbm.basic:_LIB lightgbm.basic:ctypes lightgbm.basic:ctypes.CDLL lightgbm.basic:json.codecs.open
lightgbm.basic:Dataset lightgbm:Dataset lightgbm.basic:_InnerPredictor lightgbm.engine:CVBooster
lightgbm.libpath:find_lib_path lightgbm.dask:socket lightgbm.plotting:plot_tree
lightgbm.basic:_cfloat64_array_to_numpy lightgbm.basic:register_logger
xgboost.core:_LIB xgboost.core:os xgboost.core:os.system xgboost.core:ctypes xgboost.core:_load_lib
xgboost.core:DMatrix xgboost:DMatrix xgboost.core:QuantileDMatrix xgboost.core:ctypes2numpy
xgboost.core:DataIter xgboost.callback:TrainingCheckPoint xgboost.callback:os
xgboost.callback:pickle.loads xgboost.collective:init xgboost.collective:communicator_print
xgboost.core:Booster.load_model xgboost.core:Booster.save_model xgboost.sklearn:os.system
xgboost.tracker:RabitTracker numpy:load
skops.io:loads skops.io:load skops.hub_utils:download
""".split()
# Known to be nothing worse than unknown; they pass no more than the rest.
UNKNOWN = """
xgboost:Booster lightgbm:Booster xgboost.sklearn:np.load xgboost.core:Booster.predict
xgboost.sklearn:XGBModel.fit lightgbm.sklearn:LGBMModel.fit torch.nn:Linear torch:nn.Linear
torch.nn.modules.linear:Linear.forward torch.nn.modules.linear:torch torch.Tensor:numpy
torch.nn.modules.container:Sequential.append torch.nn.modules.batchnorm:LazyBatchNorm1d
torch._utils:torch.channels_last lightgbm.sklearn:_EvalFunctionWrapper
torch.nn.modules.module:_WrappedHook torch.utils.hooks:RemovableHandle
xgboost.callback:CallbackContainer xgboost.compat:importlib_version
""".split()


def named(name: str) -> bytes:
    module, qualname = name.split(":")
    parts = [b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, qualname)]
    return b"\x80\x04" + b"".join(parts) + b"\x93."


class Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> object:
        return AllowList.of(PRESETS).resolve(module, name)


@pytest.mark.parametrize("name", [*LISTED, *UNKNOWN])
def test_name_is_refused_before_anything_is_imported(name: str) -> None:
    with pytest.raises(TypeNotAllowed):
        Reader(io.BytesIO(named(name))).load()
    assert scan_bytes(named(name), "m.pkl").verdict != "clean"


@pytest.mark.parametrize("name", LISTED)
def test_name_is_no_presets_and_the_dangers_know_it(name: str) -> None:
    module, qualname = name.split(":")
    assert not AllowList.of(PRESETS).permits(module, qualname)
    assert not AllowList.of(["*"]).permits(module, qualname)
    assert dangers.lookup(module, qualname) is not None
