"""The rows of the table: powers, CWE, why, source, names."""

from __future__ import annotations

from safehold.dangers._libraries import LIBRARY_ROWS
from safehold.dangers._powers import Power

_RUN, _PROC, _FILE, _NET = Power.RUN_CODE, Power.PROCESS, Power.FILE, Power.NETWORK
_INT, _IMP, _DES, _ATTR = Power.INTERPRETER, Power.IMPORT, Power.DESERIALIZE, Power.ATTRIBUTE

_EXEC = "runs text or code objects as Python"
_START = "starts programs"
_IMPORT = "imports what its arguments name"
_CALL = "calls, reads or sets what its arguments name"
_OPEN = "opens, writes or removes files"
_NEST = "loads another serialized payload"
_STDLIB = "Python library reference"
_READ = "library source"

# (powers, CWE, why, source, names). An advisory stands with the names that it made known.
# The formatter would double the length of the table.
# fmt: off
ROWS: tuple[tuple[Power, int, str, str, str], ...] = (
    # Python as text or code objects
    (_RUN, 95, _EXEC, _STDLIB, """
        builtins.eval builtins.exec builtins.execfile builtins.compile codeop types.CodeType
        builtins.code builtins.function types.FunctionType types.LambdaType types.new_class
        types.coroutine typing.get_type_hints typing.eval_type typing.ForwardRef
        typing.evaluate_forward_ref annotationlib bdb pdb cgitb
        code.InteractiveConsole"""),
    (_RUN, 95, _EXEC, _READ, """
        dataclasses.create_fn dataclasses.FuncBuilder dataclasses.make_dataclass gettext.c2py
        rlcompleter optparse.Values cgi.test turtle pstats tracemalloc.Snapshot modulefinder
        testcapi testinternalcapi tkinter.Tk tkinter.Tcl tkinter.tkapp"""),
    (_RUN, 95, _EXEC, "GHSA-cj3c-v495-4xqh", "code.interact code.InteractiveInterpreter"),
    (_RUN, 95, _EXEC, "GHSA-49gj-c84q-6qm9, GHSA-p523-jq9w-64x9", "cProfile lsprof"),
    (_RUN, 95, _EXEC, "GHSA-x696-vm39-cp64, GHSA-6vqj-c2q5-j97w", """
        profile.run profile.runctx profile.Profile profile.main"""),
    (_RUN, 95, _EXEC, "GHSA-5qwp-399c-mjwf, GHSA-g344-hcph-8vgg", "trace.Trace trace.main"),
    (_RUN, 95, _EXEC, "GHSA-v7x6-rv5q-mhwc", "timeit"),
    (_RUN, 95, _EXEC, "GHSA-6ggj-6f2q-f7mx", """
        interpreters interpqueues interpchannels xxsubinterpreters concurrent.interpreters"""),
    (_RUN, 95, _EXEC, "GHSA-fqq6-7vqf-w3fg", "doctest"),
    (_RUN, 95, _EXEC, "GHSA-3gf5-cxq9-w223, GHSA-m869-42cg-3xwr, GHSA-9xph-j2h6-g47v", "idlelib"),
    (_RUN | _DES, 95, _EXEC, "GHSA-f54q-57x4-jg88, GHSA-p9w7-82w4-7q8m", "lib2to3"),
    (_RUN, 95, _EXEC, "CVE-2025-1716, GHSA-xp4f-hrf8-rxw7", "pip ensurepip venv"),
    (_RUN | _FILE, 95, "builds and runs other code", "GHSA-m273-6v24-x4m4", "distutils setuptools"),
    # processes
    (_PROC, 78, _START, _STDLIB, """
        os posix nt subprocess popen2 commands.getoutput commands.getstatus commands.getstatusoutput
        commands.mkarg winapi multiprocessing webbrowser antigravity pipes mailcap"""),
    (_PROC, 78, _START, "GHSA-r7v6-mfhq-g3m2, GHSA-vqmv-47xg-9wpr", "pty pexpect"),
    (_PROC, 78, _START, "GHSA-m6fh-58r7-x697", "posixsubprocess bootsubprocess"),
    (_PROC, 78, _START, "GHSA-q77w-mwjj-7mqx", "asyncio"),
    (_PROC | _IMP, 78, _START, "GHSA-84r2-jw7c-4r5q, GHSA-5hvc-6wx8-mvv4", "pydoc"),
    (_PROC, 78, _START, "GHSA-g38g-8gr9-h9xp", """
        aix_support osx_support pyrepl imaplib.IMAP4_stream test.support test.libregrtest uuid.popen
        uuid.get_command_stdout uuid.arp_getnode uuid.ip_getnode uuid.ifconfig_getnode
        uuid.netstat_getnode uuid.lanscan_getnode uuid.unix_getnode uuid.getnode"""),
    (_PROC, 78, _START, _READ, """
        platform.popen platform.syscmd_ver platform.syscmd_file platform.Processor
        platform.mac_ver_xml platform.architecture platform.processor platform.platform
        platform.uname ctypes.util ctypes.macholib"""),
    # the import system
    (_IMP, 470, _IMPORT, _STDLIB, """
        builtins.__import__ builtins.reload imp zipimport zipapp unittest logging.config pyclbr
        py_compile compileall warnings.getcategory sysconfig.init_posix
        sysconfig.import_from_directory xml.sax.make_parser
        xml.sax.create_parser xml.dom.domreg xml.dom.getDOMImplementation encodings.search_function
        frozen_importlib frozen_importlib_external"""),
    (_IMP | _RUN, 470, _IMPORT, "GHSA-q5qq-mvfm-j35x", "importlib"),
    (_IMP, 470, _IMPORT, "GHSA-vvpj-8cmc-gx39", "pkgutil"),
    (_IMP | _RUN, 470, "runs a file or module as a program", "GHSA-wfq2-52f7-7qvj", "runpy"),
    (_IMP | _RUN, 470, "runs the lines of a .pth file", "GHSA-m6fh-58r7-x697", """
        site.addsitedir site.addpackage site.addsitepackages site.addusersitepackages
        site.execsitecustomize site.execusercustomize site.venv site.main"""),
    # attributes and calls
    (_ATTR, 470, _CALL, _STDLIB, """
        builtins.getattr builtins.setattr builtins.delattr builtins.vars builtins.globals
        builtins.locals builtins.dir builtins.hasattr builtins.apply builtins.map builtins.filter
        builtins.super builtins.property builtins.classmethod builtins.staticmethod inspect
        functools.partial functools.partialmethod functools.reduce functools.singledispatch
        functools.cached_property itertools.starmap itertools.accumulate itertools.filterfalse
        itertools.takewhile itertools.dropwhile itertools.groupby types.MethodType builtins.method
        types.DynamicClassAttribute string.Formatter contextlib.ExitStack contextlib.AsyncExitStack
        contextvars sched copyreg.add_extension copyreg.remove_extension copyreg.pickle
        copyreg.constructor weakref.finalize"""),
    (_ATTR, 470, _CALL, "GHSA-955r-x9j8-7rhh, GHSA-84r2-jw7c-4r5q", """
        operator.attrgetter operator.methodcaller operator.itemgetter operator.call operator.setitem
        operator.delitem operator.getitem"""),
    # files
    (_FILE, 73, _OPEN, _STDLIB, """
        builtins.open builtins.file io.open io.open_code io.FileIO pyio codecs.open shutil tempfile
        fileinput linecache tarfile zipfile gzip.open gzip.GzipFile bz2.open bz2.BZ2File lzma.open
        lzma.LZMAFile compression.zstd.open compression.zstd.ZstdFile compression.zstd.zstdfile
        glob.glob glob.iglob glob.glob0 glob.glob1 mmap sqlite3 dbm shelve filecmp
        pathlib.Path pathlib.PosixPath pathlib.WindowsPath pathlib.local mailbox netrc
        configparser.RawConfigParser.read configparser.ConfigParser.read logging.FileHandler
        logging.handlers logging.basicConfig tokenize.open ntpath.realpath posixpath.realpath uu
        aifc sunau wave.open wave.Wave_read wave.Wave_write ossaudiodev pkg_resources
        xml.etree.ElementTree.parse xml.etree.ElementTree.iterparse readline
        bz2.builtin_open tokenize.builtin_open imghdr
        sndhdr mimetypes.read_mime_types mimetypes.init mimetypes.MimeTypes tabnanny
        sysconfig.parse_makefile sysconfig.parse_config_h xml.sax.parse xml.dom.minidom.parse
        xml.dom.pulldom.parse xml.dom.expatbuilder.parse xml.etree.ElementInclude
        xml.etree.ElementTree.ElementTree xml.sax.saxutils.prepare_input_source
        trace.CoverageResults trace.find_strings trace.find_executable_linenos"""),
    # network
    (_NET, 918, "connects to or listens on the network", _STDLIB, """
        socket ssl socketserver http.client http.server http.cookiejar urllib.request
        urllib.robotparser urllib.urlopen urllib.urlretrieve urllib2 httplib ftplib smtplib smtpd
        telnetlib poplib nntplib imaplib xmlrpc xmlrpclib wsgiref asyncore asynchat select selectors
        syslog requests.api requests.sessions requests.get requests.post requests.request
        requests.Session aiohttp httpx urllib3 paramiko pycurl websocket boto3 botocore"""),
    # interpreter
    (_INT, 94, "changes, blocks or stops the running interpreter", _STDLIB, """
        sys builtins.breakpoint builtins.input builtins.raw_input builtins.exit builtins.quit
        builtins.help builtins.license builtins.credits builtins.copyright sitebuiltins
        types.ModuleType types.CellType types.FrameType types.TracebackType builtins.module
        builtins.cell
        builtins.frame builtins.traceback remote_debugging site.register_readline gc signal
        threading thread
        concurrent.futures resource.setrlimit resource.prlimit warnings.simplefilter
        warnings.filterwarnings warnings.resetwarnings locale.setlocale decimal.setcontext"""),
    (_INT | _ATTR, 94, "calls its arguments at exit", "GHSA-m6fh-58r7-x697", "atexit"),
    (_INT | _RUN, 94, "calls machine code or reads memory by address", "GHSA-4675-36f9-wf6r", """
        ctypes cffi cffi_backend faulthandler"""),
    (_INT, 94, "changes what safehold refuses", _READ, """
        safehold.guard safehold.dangers safehold.allow safehold.context safehold.observe"""),
    # nested payloads
    (_DES, 502, _NEST, _STDLIB, """
        pickle cPickle pickletools jsonpickle dill zodbpickle pickle5 hickle klepto
        pandas.read_pickle pandas.io.pickle pandas.compat.pickle_compat pandas.to_pickle joblib.load
        joblib.dump joblib.numpy_pickle.load joblib.numpy_pickle.load_temporary_memmap
        joblib.numpy_pickle.unpickle joblib.numpy_pickle.NumpyUnpickler joblib.numpy_pickle.dump
        joblib.numpy_pickle_compat joblib.Memory joblib.memory joblib.store_backends
        joblib.externals joblib.testing joblib.memmapping_reducer skops.io"""),
    (_DES | _PROC, 502, "starts workers that load what they are sent", _READ, """
        joblib.externals.loky joblib.pool"""),
    (_DES | _IMP, 470, _IMPORT, _READ, "skops.io.utils"),
    (_IMP | _ATTR, 470, "returns what its arguments name", _READ, """
        cloudpickle.cloudpickle.getattribute joblib.externals.cloudpickle.cloudpickle.getattribute
        narwhals.utils narwhals.dependencies.get_imported_module pluggy.manager.instance_dict
        pydantic.internal.namespace_utils sklearn.utils.validation.check_response_method
        sklearn.feature_selection.base.get_feature_importances torch.utils.try_import
        torch.utils.get_obj_state torch.jit_internal.get_closure
        torch.ao.quantization.utils.getattr_from_fqn torch.ao.quantization.fuse_modules.get_module
        torch.export.unflatten.get_submodule"""),
    (_DES | _RUN, 502, _NEST, "GHSA-565g-hwwr-4pp3", "marshal"),
    (_RUN | _DES, 502, "builds functions from code objects", "cloudpickle source", "cloudpickle"),
    (_DES | _RUN, 502, _NEST, "PyYAML documentation", """
        yaml.load yaml.load_all yaml.unsafe_load yaml.unsafe_load_all yaml.full_load yaml.loader
        yaml.constructor yaml.Loader yaml.UnsafeLoader yaml.CLoader yaml.CUnsafeLoader yaml.cyaml
        ruamel.yaml"""),
    # numpy
    (_IMP | _ATTR, 470, "imports any module and returns any attribute of it", "numpy source", """
        numpy.core.ufunc_reconstruct numpy.core.function_base.add_newdoc numpy.lib.utils_impl
        numpy.lib.utils numpy.lib.add_newdoc numpy.add_newdoc numpy.core.multiarray_tests"""),
    (_RUN, 95, _EXEC, "GHSA-r8g5-cgf2-4m4m", "numpy.f2py numpy.distutils"),
    (_RUN, 95, _EXEC, "numpy source", "numpy.testing numpy.pytesttester"),
    (_INT, 94, "loads shared libraries", "numpy reference", "numpy.ctypeslib"),
    (_DES | _FILE, 502, _NEST, "CVE-2019-6446", """
        numpy.load numpy.lib.npyio numpy.lib.npyio_impl numpy.lib.format numpy.lib.format_impl"""),
    (_FILE, 73, _OPEN, "numpy reference", """
        numpy.memmap numpy.core.memmap numpy.fromfile numpy.core.multiarray.fromfile
        numpy.core.multiarray_umath.fromfile numpy.core.records.fromfile numpy.rec.fromfile
        numpy.ma.mrecords.openfile numpy.ma.mrecords.fromtextfile
        numpy.save numpy.savez numpy.savez_compressed numpy.savetxt numpy.loadtxt numpy.genfromtxt
        numpy.fromregex numpy.DataSource numpy.lib.datasource numpy.core.methods.dump
        numpy.open_memmap"""),
    # pandas, scipy, scikit-learn
    (_RUN, 95, _EXEC, "pandas reference", """
        pandas.eval pandas.core.computation pandas.testing pandas.test pandas.util.tester"""),
    (_FILE | _NET | _PROC, 73, "reads and writes files and addresses", "pandas reference", """
        pandas.io pandas.read_csv pandas.read_table pandas.read_json pandas.read_html
        pandas.read_hdf pandas.read_parquet pandas.read_feather pandas.read_excel pandas.read_sql
        pandas.read_sql_query pandas.read_sql_table pandas.read_sas pandas.read_spss
        pandas.read_stata pandas.read_orc pandas.read_xml pandas.read_fwf pandas.read_clipboard
        pandas.HDFStore pandas.ExcelFile pandas.ExcelWriter pandas.config.localization"""),
    (_IMP, 470, _IMPORT, "pandas source", """
        pandas.compat.optional pandas.plotting.core.load_backend"""),
    (_RUN, 95, "runs text from its state as Python", "scipy source", """
        scipy.stats.distn_infrastructure.rv_generic scipy.stats.distn_infrastructure.rv_continuous
        scipy.stats.distn_infrastructure.rv_discrete scipy.stats.distn_infrastructure.rv_sample
        scipy.stats.rv_continuous scipy.stats.rv_discrete scipy.stats.rv_histogram
        scipy.stats.continuous_distns.rv_histogram scipy.lib.bunch
        scipy.optimize.nonlin.nonlin_wrapper scipy.weave scipy.signal.signaltools.timeit_fast
        scipy.special.precompute scipy.lib.cobyqa.utils.versions scipy.test"""),
    (_IMP, 470, _IMPORT, "scipy source", """
        scipy.lib.uarray.backend.unpickle_function scipy.lib.uarray.unpickle_function
        scipy.lib.array_api_compat.internal.clone_module scipy.lib.testutils
        scipy.lib.deprecation.sub_module_deprecation scipy.optimize.show_options
        scipy.optimize.optimize.show_options"""),
    (_FILE | _NET | _DES, 73, _OPEN, "scipy reference", """
        scipy.io scipy.datasets scipy.misc.face scipy.sparse.load_npz scipy.sparse.save_npz
        scipy.sparse.matrix_io scipy.lib.tmpdirs"""),
    (_IMP | _PROC | _DES, 470, _IMPORT, "scikit-learn source", """
        sklearn.utils.discovery sklearn.utils.testing sklearn.utils.estimator_checks
        sklearn.utils.joblib sklearn.utils.set_output.check_library_installed sklearn.externals
        sklearn.callback sklearn.show_versions sklearn.utils.show_versions"""),
    (_FILE | _NET | _DES, 73, _OPEN, "scikit-learn reference", """
        sklearn.datasets.base.load_files sklearn.datasets.load_files
        sklearn.datasets.svmlight_format sklearn.datasets.svmlight_format_io
        sklearn.datasets.load_svmlight_file sklearn.datasets.load_svmlight_files
        sklearn.datasets.dump_svmlight_file
        sklearn.datasets.openml
        sklearn.datasets.california_housing sklearn.datasets.covtype sklearn.datasets.kddcup99
        sklearn.datasets.lfw sklearn.datasets.rcv1 sklearn.datasets.olivetti_faces
        sklearn.datasets.species_distributions sklearn.datasets.twenty_newsgroups
        sklearn.datasets.get_data_home sklearn.datasets.clear_data_home
        sklearn.datasets.base.get_data_home sklearn.datasets.base.clear_data_home
        sklearn.datasets.base.fetch_remote joblib.disk joblib.logger"""),
    # xgboost, lightgbm, skops
    (_INT | _FILE, 763, "frees memory at an address of its state, and opens any path", _READ, """
        xgboost.core.DMatrix xgboost.DMatrix xgboost.core.QuantileDMatrix xgboost.QuantileDMatrix
        xgboost.core.ExtMemQuantileDMatrix xgboost.ExtMemQuantileDMatrix xgboost.core.ProxyDMatrix
        xgboost.core.DeviceQuantileDMatrix xgboost.core.DataIter xgboost.DataIter xgboost.data
        lightgbm.basic.Dataset lightgbm.Dataset lightgbm.basic.InnerPredictor"""),
    (_INT | _RUN, 94, "calls machine code or reads memory by address", _READ, """
        xgboost.core.LIB xgboost.core.load_lib xgboost.core.ctypes2numpy xgboost.core.ctypes2buffer
        xgboost.libpath lightgbm.basic.LIB lightgbm.libpath
        lightgbm.basic.cfloat32_array_to_numpy lightgbm.basic.cfloat64_array_to_numpy
        lightgbm.basic.cint32_array_to_numpy lightgbm.basic.cint64_array_to_numpy"""),
    (_FILE | _PROC, 73, _OPEN, _READ, """
        xgboost.callback.TrainingCheckPoint xgboost.core.Booster.load_model
        xgboost.core.Booster.save_model xgboost.core.Booster.dump_model xgboost.Booster.load_model
        xgboost.plotting xgboost.testing lightgbm.plotting lightgbm.basic.TempFile
        lightgbm.basic.Booster.save_model lightgbm.Booster.save_model"""),
    (_NET | _PROC, 918, "connects to or listens on the network", _READ, """
        xgboost.tracker xgboost.dask xgboost.spark xgboost.rabit xgboost.federated lightgbm.dask
        skops.hub_utils"""),
    (_ATTR, 470, _CALL, _READ, """
        lightgbm.engine.CVBooster lightgbm.CVBooster lightgbm.register_logger
        lightgbm.basic.register_logger"""),
    # torch
    (_DES, 502, _NEST, "CVE-2025-32434", """
        torch.load torch.serialization.load torch.serialization.legacy_load torch.jit.load
        torch.storage.load_from_bytes torch.export.pt2_archive torch.utils.model_dump
        torch.multiprocessing torch.functorch.compilers torch.fx.graph_pickler
        torch.utils.serialization torch.cuda.memory_viz torch.distributed.distributed_c10d
        torch.distributed.nn torch.distributed.argparse_util"""),
    (_DES | _FILE, 502, _NEST, "torch reference", "torch.package"),
    (_DES | _PROC | _NET, 502, "starts or connects to workers", _READ, """
        torch.distributed.elastic torch.distributed.rpc torch.distributed.run
        torch.distributed.launch torch.distributed.launcher torch.C.distributed_c10d.TCPStore
        torch.C.distributed_c10d.FileStore torch.distributed.TCPStore
        torch.distributed.FileStore"""),
    (_DES, 502, _NEST, "GHSA-vv6j-3g6g-2pvj", "torch.utils.config_module"),
    (_DES, 502, _NEST, "GHSA-h3qp-7fh3-f8h4", "torch.utils.data.datapipes.utils.decoder"),
    (_RUN, 95, _EXEC, "GHSA-86cj-95qr-2p4f", "torch.dynamo"),
    (_RUN, 95, _EXEC, "GHSA-f4x7-rfwp-v3xw", "torch.fx.experimental"),
    (_RUN, 95, _EXEC, "GHSA-vr7h-p6mm-wpmh", "torch.jit.unsupported_tensor_ops"),
    (_RUN, 95, _EXEC, "GHSA-4r9r-ch6f-vxmx, GHSA-4whj-rm5r-c2v8", "torch.utils.bottleneck"),
    (_PROC, 78, _START, "GHSA-f745-w6jp-hpxx, GHSA-jhph-76pp-mggw", "torch.utils.collect_env"),
    (_PROC | _RUN, 78, _START, "torch source", "torch.inductor"),
    (_RUN | _IMP, 95, _EXEC, "CVE-2022-45907", "torch.jit.annotations torch.jit.frontend"),
    (_NET | _RUN, 918, "fetches and runs code", "torch reference", "torch.hub"),
    (_RUN | _IMP | _PROC, 95, _EXEC, "torch source", """
        torch.compile torch.ops torch.classes torch.precompile torch.guards torch.export.unlift
        torch.higher_order_ops torch.library.infer_schema torch.fx.graph_module torch.fx.Graph
        torch.fx.operator_schemas torch.jit.CompilationUnit torch.jit.script torch.strobelight
        torch.utils.strobelight torch.utils.cpp_extension torch.utils.traceback
        torch.utils.benchmark torch.utils.import_dotted_name torch.import_dotted_name
        torch.utils.pytree torch.backends.xeon torch.testing torch.C.import_ir_module torch.vendor
        torch.functorch torch.utils.get_clean_triton torch.utils.cpp_backtrace torch.jit.trace
        torch.export.load torch.compiler torch.onnx torch.fx.Interpreter torch.fx.Tracer"""),
    (_ATTR, 470, _CALL, _READ, """
        torch.utils.checkpoint torch.utils.data.DataLoader torch.utils.data.dataloader
        torch.utils.data.datapipes torch.autograd.functional torch.autograd.gradcheck
        torch.func torch.vmap torch.overrides torch.utils.set_obj_state
        torch.tensor.rebuild_from_type torch.nn.modules.module.register_module_forward_hook"""),
    (_FILE | _NET | _PROC, 73, _OPEN, _READ, """
        torch.save torch.serialization.save torch.serialization.legacy_save torch.from_file
        torch.serialization.open_file torch.serialization.open_zipfile_writer
        torch.storage.UntypedStorage.from_file torch.UntypedStorage.from_file
        torch.storage.TypedStorage.from_file torch.C.PyTorchFileReader torch.C.PyTorchFileWriter
        torch.PyTorchFileReader torch.PyTorchFileWriter
        torch.C.StorageBase torch.utils.tensorboard torch.profiler torch.autograd.profiler
        torch.cuda.memory torch.utils.viz torch.utils.bundled_inputs torch.storage.share_memory_lock
        torch.serialization.mkdtemp"""),
    *LIBRARY_ROWS,
)
# fmt: on
