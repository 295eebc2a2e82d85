"""Rows of the table for libraries that models do not hold, yet that are installed beside them.

Whole packages stand here only where no artifact names any of their classes: tools of testing, of
templates and of packaging.
"""

from __future__ import annotations

from safehold.dangers._powers import Power

_RUN = Power.RUN_CODE | Power.DESERIALIZE | Power.IMPORT
_DO = Power.PROCESS | Power.FILE | Power.NETWORK

Row = tuple[Power, int, str, str, str]

# fmt: off
LIBRARY_ROWS: tuple[Row, ...] = (
    (_RUN, 95, "runs, imports or loads what its arguments hold", "library source", """
        keras.utils.func_load keras.src.utils.python_utils.func_load
        keras.utils.generic_utils.func_load tensorflow.keras.utils.func_load keras.layers.Lambda
        keras.src.layers.core.lambda_layer tensorflow.python.keras.utils.generic_utils.func_load
        keras.saving.load_model keras.models.load_model keras.src.saving
        keras.saving.deserialize_keras_object keras.config.enable_unsafe_deserialization
        tensorflow.keras.models.load_model tensorflow.keras.layers.Lambda
        tensorflow.python.ops.script_ops tensorflow.py_function tensorflow.numpy_function
        tensorflow.compat.v1.py_func tensorflow.saved_model.load tensorflow.load_op_library
        tensorflow.load_library tensorflow.python.saved_model.load
        tensorflow.python.framework.load_library
        transformers.dynamic_module_utils transformers.pipeline transformers.pipelines.pipeline
        transformers.utils.import_utils transformers.testing_utils transformers.exporters
        transformers.integrations.hub_kernels transformers.models.rag.retrieval_rag
        mlflow.pyfunc.load_model mlflow.sklearn.load_model mlflow.sklearn.load_pyfunc
        mlflow.pyfunc.load_pyfunc mlflow.run mlflow.projects mlflow.recipes
        numba.core.serialize numba.core.dispatcher numba.pycc numba.jit numba.njit numba.cfunc
        dask.utils.methodcaller dask.utils.import_required dask.utils.apply dask.tokenize
        dask.array.slicing.expander dask.compatibility dask.delayed dask.compute dask.base.compute
        dask.local dask.threaded dask.multiprocessing dask.core.get dask.get
        dask.optimization.SubgraphCallable dask.task_spec distributed
        pyspark.serializers pyspark.cloudpickle pyspark.worker pyspark.daemon pyspark.java_gateway
        ray.cloudpickle ray.init ray.remote ray.serialization ray.util ray.get
        sympy.sympify sympy.parsing sympy.core.sympify.sympify sympy.lambdify sympy.S
        sympy.utilities.lambdify sympy.external.importtools sympy.utilities.autowrap
        sympy.printing.preview sympy.utilities.source sympy.testing sympy.preview sympy.test
        numexpr.evaluate numexpr.necompiler patsy.eval patsy.highlevel patsy.dmatrix
        patsy.dmatrices patsy.build patsy.state formulaic.model_matrix formulaic.parser
        statsmodels.tsa.x13 statsmodels.iolib.smpickle statsmodels.formula
        statsmodels.tools.print_version
        statsmodels.base.model.Model.from_formula nltk.data.load gensim.utils.unpickle
        gensim.models.word2vec.Word2Vec.load gensim.models.keyedvectors.KeyedVectors.load
        spacy.load spacy.util.load_model spacy.util.import_file spacy.cli srsly.pickle_loads
        xgboost.collective langchain.load langchain_core.load evaluate.load
        hydra.utils hydra.internal omegaconf.OmegaConf.register_new_resolver
        mmcv.Config.fromfile mmengine.config detectron2.config.lazy detectron2.config.LazyConfig
        fire.Fire fire.core typer.run
        django.utils.module_loading django.core.management django.template.engine
        werkzeug.utils.import_string werkzeug.debug flask.render_template_string flask.templating
        flask.cli flask.config jinja2 mako chameleon tornado.template bottle.SimpleTemplate
        bottle.template IPython ipykernel nose execnet pytest hypothesis nox tox py.code
        six.exec_ past.builtins.misc.execfile future.utils.exec_ pygments.plugin
        pygments.lexers.load_lexer_from_file pygments.formatters.load_formatter_from_file
        cffi.setuptools_ext Cython cython.inline pyximport
        attr.make.compile_and_eval attr.make.linecache_and_compile attr.make_class
        attr.make.make_class attrs.make_class
        networkx.utils.decorators.argmap networkx.utils.backends networkx.lazy_imports
        pydantic.internal.validators.import_string pydantic.utils.import_string
        pydantic.v1.utils.import_string uvicorn.importer traitlets.utils.importstring
        traitlets.import_item traitlets.config.loader zope.dottedname distlib.util.resolve
        kombu.utils.imports celery.utils.imports scrapy.utils.misc.load_object
        airflow.utils.module_loading airflow.operators
        sqlalchemy.util.langhelpers PIL.ImageMath onnx.hub onnx.reference
        torchvision.datasets.folder.pil_loader bentoml.import_model
        pyarrow.PyExtensionType pyarrow.lib.PyExtensionType pyarrow.serialization
        pyarrow.deserialize pyarrow.lib.deserialize pyarrow.cffi pyarrow.jvm pyarrow.flight
        pandas_ta sktime.base.load catboost.widget importlib_metadata.EntryPoint.load"""),
    (_DO, 78, "starts programs, opens files or connects", "library source", """
        huggingface_hub.hf_hub_download huggingface_hub.snapshot_download
        huggingface_hub.file_download datasets.load_dataset datasets.load
        nltk.download nltk.downloader invoke fabric sh plumbum click.edit click.launch
        click.open_file click.utils click.termui psutil.Popen py.io py.process py.path
        fsspec smart_open s3fs gcsfs adlfs h5py.File h5py.hl.files.File h5py.h5f h5py.h5pl
        tables.open_file tables.File tables.file
        zarr.open
        zarr.save zarr.load zarr.storage netCDF4.Dataset xarray.open_dataset xarray.open_mfdataset
        xarray.open_zarr xarray.backends onnx.save onnx.save_model onnx.load onnx.load_model
        onnx.external_data_helper onnxruntime.InferenceSession
        networkx.readwrite networkx.write_edgelist networkx.write_weighted_edgelist
        networkx.write_adjlist networkx.write_multiline_adjlist networkx.write_gexf
        networkx.write_gml networkx.write_graphml networkx.write_graph6 networkx.write_sparse6
        networkx.write_pajek networkx.read_edgelist networkx.read_adjlist networkx.read_gml
        networkx.read_graphml networkx.read_gpickle networkx.write_gpickle
        igraph.Graph.Read_Pickle graphviz pydot pydotplus
        pyarrow.OSFile pyarrow.memory_map pyarrow.create_memory_map pyarrow.input_stream
        pyarrow.output_stream pyarrow.fs pyarrow.parquet pyarrow.csv pyarrow.feather pyarrow.orc
        pyarrow.dataset pyarrow.hdfs pyarrow.lib.OSFile pyarrow.lib.memory_map
        pyarrow.lib.create_memory_map pyarrow.lib.input_stream pyarrow.lib.output_stream
        tensorflow.io.read_file tensorflow.io.write_file tensorflow.io.gfile
        tensorflow.python.lib.io tensorflow.keras.utils.get_file keras.utils.get_file
        keras.src.utils.file_utils torchvision.datasets.utils torchvision.io torchaudio.load
        torchaudio.save torchaudio.backend safetensors.numpy.save_file safetensors.torch.save_file
        safetensors.numpy.load_file safetensors.torch.load_file safetensors.safe_open
        seaborn.load_dataset statsmodels.datasets geopandas.read_file
        PIL.Image.open PIL.ImageShow PIL.ImageGrab PIL.ImageFile cv2.imread cv2.imwrite
        cv2.VideoWriter cv2.VideoCapture cv2.FileStorage imageio matplotlib.texmanager
        matplotlib.animation matplotlib.testing matplotlib.style matplotlib.pyplot.savefig
        matplotlib.pyplot.imsave matplotlib.image.imsave matplotlib.cbook.get_sample_data
        polars.read_csv polars.read_parquet polars.read_json polars.read_ipc polars.read_excel
        polars.read_database polars.scan_csv polars.scan_parquet polars.scan_ipc
        polars.scan_ndjson polars.io
        redis.Redis redis.client pymongo psycopg2 psycopg pymysql MySQLdb docker zmq kubernetes
        sqlalchemy.create_engine sqlalchemy.engine.create elasticsearch pika
        wandb comet_ml neptune.init mlflow.artifacts mlflow.tracking mlflow.start_run
        mlflow.log_artifact
        filelock diskcache requests_toolbelt websockets grpc
        winreg msvcrt win32api win32com win32process pythoncom wmi
        twisted.internet trio.run_process anyio.run_process anyio.to_process tornado.process
        gevent.subprocess eventlet.green billiard loky papermill nbconvert
        nbclient jupyter_client git.cmd git.Git git.Repo virtualenv wheel nodeenv pre_commit mkdocs
        conda ffmpeg moviepy sox pyautogui pynput keyboard h2o.init h2o.load_model cpuinfo
        alembic.command gunicorn uvicorn.main uvicorn.run uvicorn.supervisors"""),
)
# fmt: on

# (package, powers, CWE, why, source, methods): of whatever class of the package they are.
METHODS: tuple[tuple[str, Power, int, str, str, str], ...] = (
    ("pandas", Power.FILE | Power.NETWORK, 73, "writes files", "pandas reference", """
        to_csv to_pickle to_json to_html to_parquet to_feather to_stata to_excel to_hdf to_sql
        to_orc to_xml to_latex to_string to_markdown to_clipboard to_gbq to_iceberg"""),
    ("pandas", Power.RUN_CODE, 95, "runs text or code objects as Python", "pandas reference", """
        eval query"""),
    ("numpy", Power.FILE, 73, "writes files", "numpy reference", "tofile dump"),
    ("polars", Power.FILE | Power.NETWORK, 73, "writes files", "polars reference", """
        write_csv write_parquet write_json write_ndjson write_ipc write_excel write_database
        write_avro write_delta sink_csv sink_parquet sink_ipc sink_ndjson"""),
    ("xgboost", Power.FILE, 73, "opens, writes or removes files", "library source", """
        save_model load_model dump_model load_config"""),
    ("lightgbm", Power.FILE, 73, "opens, writes or removes files", "library source", """
        save_model save_binary"""),
    ("catboost", Power.FILE, 73, "opens, writes or removes files", "library source", """
        save_model load_model save_borders"""),
    ("matplotlib", Power.FILE, 73, "writes files", "matplotlib reference", "savefig"),
    ("keras", Power.FILE | Power.RUN_CODE, 73, "reads and writes models", "Keras reference", """
        save save_weights load_weights load_model"""),
    ("torch", Power.FILE, 73, "opens, writes or removes files", "library source", """
        from_file load_state_dict_from_url share_memory_ save_to_file"""),
    *(
        (package, Power.NETWORK | Power.FILE | Power.DESERIALIZE, 502,
         "fetches and loads what its arguments name", "library source",
         "from_pretrained save_pretrained push_to_hub")
        for package in ("transformers", "peft", "diffusers", "sentence_transformers",
                        "huggingface_hub", "timm", "tokenizers", "setfit", "accelerate")
    ),
)  # fmt: skip
