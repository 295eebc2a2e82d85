"""SH154: joblib, whose files are pickles with arrays between the opcodes."""

from __future__ import annotations

from safehold.findings import Rule, Severity
from safehold.source.row import Argument, Example, Library, SourceRule

RULE = Rule(
    id="SH154",
    name="joblib",
    title="joblib reads or writes files that run as code",
    why="joblib.load and joblib.Memory unpickle what they find in a file or cache directory; "
    "whoever can write there runs any command in the service.",
    remedy="Run `safehold migrate PATH --write`: the import is pointed at "
    "safehold.compat.joblib, which loads sealed files and allowed types alone; the calls stay.",
    severity=Severity.CRITICAL,
    cwe=502,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H",
    score=10.0,
    fix="safe",
    references=("https://joblib.readthedocs.io/en/latest/persistence.html",),
)

# hash() pickles in memory and reads nothing back; Parallel starts processes of the same code.
LIBRARY = Library(
    name="joblib",
    modules=("joblib", "sklearn.externals.joblib"),
    facade="safehold.compat.joblib",
    reads={
        "load": Argument(0, ("filename",)),
        "Memory": Argument(0, ("location",)),
    },
    writes={"dump": Argument(1, ("filename",))},
    value=Argument(0, ("value",)),
    beyond=frozenset(
        {
            "numpy_pickle",
            "numpy_pickle_compat",
            "numpy_pickle_utils",
            "memory",
            "_store_backends",
            "externals.cloudpickle",
        }
    ),
    same={
        "numpy_pickle.load": "load",
        "numpy_pickle.dump": "dump",
        "memory.Memory": "Memory",
    },
)

JOBLIB = SourceRule(
    rule=RULE,
    names=("joblib",),
    harmless=(
        "Parallel",
        "cpu_count",
        "delayed",
        "effective_n_jobs",
        "parallel_backend",
        "parallel_config",
    ),
    library=LIBRARY,
    bad=(
        Example(
            "import joblib\n\nmodel = joblib.load('models/m.joblib')\n",
            (3,),
            "import safehold.compat.joblib as joblib\n\nmodel = joblib.load('models/m.joblib')\n",
        ),
        Example(
            "from joblib import Parallel, delayed, dump, load\n\n"
            "dump(load('models/a.joblib'), 'models/b.joblib')\n",
            (3, 3),
            "from safehold.compat.joblib import Parallel, delayed, dump, load\n\n"
            "dump(load('models/a.joblib'), 'models/b.joblib')\n",
        ),
        Example(
            "import joblib.parallel\n\njoblib.load('models/m.joblib')\n",
            (3,),
            "import joblib.parallel, safehold.compat.joblib as joblib\n\n"
            "joblib.load('models/m.joblib')\n",
        ),
        Example(
            "from joblib.numpy_pickle import load\n\nload('models/m.joblib')\n",
            (3,),
            "from safehold.compat.joblib import load\n\nload('models/m.joblib')\n",
        ),
        Example(
            "from sklearn.externals import joblib\n\njoblib.load('models/m.joblib')\n",
            (3,),
            "from safehold.compat import joblib as joblib\n\njoblib.load('models/m.joblib')\n",
        ),
        Example(
            "import joblib\n\nmemory = joblib.Memory('cache')\n\n\n@memory.cache\n"
            "def slow(x):\n    return x\n",
            (3,),
            "import safehold.compat.joblib as joblib\n\nmemory = joblib.Memory('cache')\n\n\n"
            "@memory.cache\ndef slow(x):\n    return x\n",
        ),
        Example("import joblib\n\njoblib.numpy_pickle.load('models/m.joblib')\n", (3,)),
        Example("from joblib import numpy_pickle\n\nnumpy_pickle.load('models/m.joblib')\n", (3,)),
    ),
    good=(
        Example("from joblib import Parallel, delayed\n\nParallel(2)([delayed(abs)(1)])\n"),
        Example("import joblib\n\nprint(joblib.__version__, joblib.cpu_count(), joblib.hash(1))\n"),
        Example("import joblib.parallel\n\njoblib.parallel.cpu_count()\n"),
        Example("joblib = object()\nprint(joblib)\n"),
        Example("from .joblib import load\n\nload('models/m.joblib')\n"),
        Example("MESSAGE = 'pip install joblib, then joblib.load(path)'\n"),
        Example(
            "try:\n    import joblib\nexcept ImportError:\n    joblib = None\n\n"
            "HAVE = joblib is not None\n"
        ),
    ),
)
