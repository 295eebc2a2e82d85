"""SH160: torch.load and torch.save, whose files are zip archives with a pickle in them."""

from __future__ import annotations

from safehold.findings import Rule, Severity
from safehold.source.row import Argument, Example, Library, SourceRule

RULE = Rule(
    id="SH160",
    name="torch",
    title="torch reads or writes files that run as code",
    why="A checkpoint is a pickle: with weights_only=False, the default before torch 2.6, whoever "
    "can write the file runs any command in the service; with weights_only=True a file from "
    "elsewhere still takes the place of yours unseen.",
    remedy="Run `safehold migrate PATH --write`: torch.load and torch.save get the names of "
    "safehold.compat.torch, which loads sealed files and allowed types alone.",
    severity=Severity.CRITICAL,
    cwe=502,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H",
    score=10.0,
    fix="safe",
    references=(
        "https://docs.pytorch.org/docs/stable/generated/torch.load.html",
        "https://nvd.nist.gov/vuln/detail/CVE-2025-32434",
    ),
)

LIBRARY = Library(
    name="torch",
    modules=("torch",),
    facade="safehold.compat.torch",
    reads={"load": Argument(0, ("f",))},
    writes={"save": Argument(1, ("f",))},
    value=Argument(0, ("obj",)),
    beyond=frozenset(
        {
            "jit.load",
            "hub.load",
            "hub.load_state_dict_from_url",
            "package.PackageImporter",
            "serialization._load",
            "serialization._legacy_load",
        }
    ),
    same={"serialization.load": "load", "serialization.save": "save"},
    by_use=True,
)

TORCH = SourceRule(
    rule=RULE,
    names=("torch",),
    library=LIBRARY,
    bad=(
        Example(
            "import torch\nfrom torch import nn\n\nnet = nn.Linear(2, 1)\n"
            "torch.save(net.state_dict(), 'models/net.pt')\n"
            "net.load_state_dict(torch.load('models/net.pt', map_location='cpu'))\n",
            (5, 6),
            "import torch, safehold.compat.torch as safehold_torch\nfrom torch import nn\n\n"
            "net = nn.Linear(2, 1)\n"
            "safehold_torch.save(net.state_dict(), 'models/net.pt')\n"
            "net.load_state_dict(safehold_torch.load('models/net.pt', map_location='cpu'))\n",
        ),
        Example(
            "from torch import Tensor, load\n\n\n"
            "def read(path) -> Tensor:\n    return load(path)\n",
            (5,),
            "from safehold.compat.torch import Tensor, load\n\n\n"
            "def read(path) -> Tensor:\n    return load(path)\n",
        ),
        Example(
            "def read(path):\n    import torch as t\n    loader = t.load\n"
            "    return loader(path)\n",
            (4,),
            "def read(path):\n    import torch as t, safehold.compat.torch as safehold_torch\n"
            "    loader = safehold_torch.load\n    return loader(path)\n",
        ),
        Example(
            "import torch.nn\n\n\nclass Reader:\n    load = staticmethod(torch.load)\n",
            (5,),
            "import torch.nn, safehold.compat.torch as safehold_torch\n\n\nclass Reader:\n"
            "    load = staticmethod(safehold_torch.load)\n",
        ),
        Example(
            "import torch\n\nread = getattr(torch, 'load')\nprint(read('models/net.pt'))\n",
            (4,),
            "import torch, safehold.compat.torch as safehold_torch\n\n"
            "read = safehold_torch.load\nprint(read('models/net.pt'))\n",
        ),
        Example(
            "import torch\n\n\ndef read(path, backend=torch):\n    return backend.load(path)\n",
            (5,),
        ),
        Example(
            "import torch\n\n\ndef read(path):\n    return torch.serialization.load(path)\n",
            (5,),
            "import torch, safehold.compat.torch as safehold_torch\n\n\n"
            "def read(path):\n    return safehold_torch.load(path)\n",
        ),
        Example(
            "import torch\n\n\nclass Reader:\n    def __init__(self):\n"
            "        self.torch = torch\n\n    def read(self, path):\n"
            "        return self.torch.load(path)\n",
            (9,),
        ),
        Example("import torch\n\nnet = torch.jit.load('models/net.pt')\n", (3,)),
        Example("import torch\n\nsafehold_torch = None\nnet = torch.load('models/net.pt')\n", (4,)),
    ),
    good=(
        Example("import torch\n\nprint(torch.zeros(2).sum())\n"),
        Example("from torch.utils.data import DataLoader\n\nDataLoader([1])\n"),
        Example("import torch\n\n\ndef to_numpy(backend=torch):\n    return backend.ones(1)\n"),
        Example("from .torch import load\n\nload('models/net.pt')\n"),
        Example("import torch\n\nnet = {}\nnet['load'] = torch.nn.Linear(1, 1).load_state_dict\n"),
    ),
)
