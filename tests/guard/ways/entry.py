"""Every way in that `pickle` has, and every spelling of it."""

from __future__ import annotations

from tests.guard.ways import each, ways

_CALLS = each(
    "@",
    {
        "loads": "pickle.loads(EVIL)",
        "load": "pickle.load(io.BytesIO(EVIL))",
        "load-file": "pickle.load(open(file(), 'rb'))",
        "load-unbuffered": "pickle.load(open(file(), 'rb', buffering=0))",
        "load-internal-zone": "pickle.load(open(file(path='models/x.pkl'), 'rb'))",
        "load-internal-zone-any": "pickle.load(open(file(path='cache/x.pkl'), 'rb'))",
        "unpickler": "pickle.Unpickler(io.BytesIO(EVIL)).load()",
        "unpickler-file": "pickle.Unpickler(open(file(), 'rb')).load()",
        "python-unpickler": "pickle._Unpickler(io.BytesIO(EVIL)).load()",
        "python-unpickler-file": "pickle._Unpickler(open(file(), 'rb')).load()",
        "python-load": "pickle._load(io.BytesIO(EVIL))",
        "python-loads": "pickle._loads(EVIL)",
        "c-loads": "import _pickle; _pickle.loads(EVIL)",
        "c-load": "import _pickle; _pickle.load(io.BytesIO(EVIL))",
        "c-unpickler": "import _pickle; _pickle.Unpickler(io.BytesIO(EVIL)).load()",
        "protocol-1": "pickle.loads(raw('posix', 'mkfifo', MARK, proto=1))",
        "protocol-2": "pickle.loads(raw('posix', 'mkfifo', MARK, proto=2))",
        "protocol-3": "pickle.loads(raw('posix', 'mkfifo', MARK, proto=3))",
        "protocol-4": "pickle.loads(raw('posix', 'mkfifo', MARK, proto=4))",
        "protocol-5": "pickle.loads(raw('posix', 'mkfifo', MARK, proto=5))",
        "encoding": "pickle.loads(EVIL, encoding='bytes', errors='ignore')",
        "fix-imports": "pickle.loads(EVIL, fix_imports=False)",
        "buffers": "pickle.loads(EVIL, buffers=[])",
        "load-keyword": "pickle.load(file=io.BytesIO(EVIL), fix_imports=True)",
        "unpickler-keyword": "pickle.Unpickler(file=io.BytesIO(EVIL), encoding='latin1').load()",
        "bytearray": "pickle.loads(bytearray(EVIL))",
        "memoryview": "pickle.loads(memoryview(EVIL))",
        "memoryview-strided": "pickle.loads(memoryview(b''.join(bytes([c, 0]) for c in EVIL))"
        "[::2].tobytes())",
        "array": "import array; pickle.loads(array.array('B', EVIL))",
        "mmap": "import mmap; f = open(file(), 'rb')\n"
        "pickle.loads(mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ))",
        "pickle-buffer": "pickle.loads(pickle.PickleBuffer(EVIL))",
        "bytes-subclass": "pickle.loads(type('B', (bytes,), {})(EVIL))",
        "getattr": "getattr(pickle, 'lo' + 'ads')(EVIL)",
        "vars": "vars(pickle)['loads'](EVIL)",
        "partial": "import functools; functools.partial(pickle.loads, EVIL)()",
        "map": "list(map(pickle.loads, [EVIL]))",
        "sorted": "sorted([EVIL], key=pickle.loads)",
        "import-module": "import importlib; importlib.import_module('pickle').loads(EVIL)",
        "sys-modules": "sys.modules['pickle'].loads(EVIL)",
        "dunder-import": "__import__('_pickle').loads(EVIL)",
        "star": "from pickle import *\nloads(EVIL)",
        "methodcaller": "import operator; operator.methodcaller('loads', EVIL)(pickle)",
        "operator-call": "import operator; operator.methodcaller('__call__', EVIL)(pickle.loads)",
        "exec": "exec('import pickle as p; p.loads(EVIL)')",
        "eval": "eval('__import__(\"pickle\").loads(EVIL)')",
        "dunder-call": "pickle.loads.__call__(EVIL)",
        "type-call": "type.__call__(pickle.Unpickler, io.BytesIO(EVIL)).load()",
        "new-init": "u = pickle.Unpickler.__new__(pickle.Unpickler)\n"
        "u.__init__(io.BytesIO(EVIL)); u.load()",
        "unbound": "pickle.Unpickler.load(pickle.Unpickler(io.BytesIO(EVIL)))",
        "bound-by-get": "u = pickle.Unpickler(io.BytesIO(EVIL))\n"
        "type(u).load.__get__(u, type(u))()",
        "descriptor-of-base": "u = pickle.Unpickler(io.BytesIO(EVIL))\n"
        "for base in type(u).__mro__:\n"
        "    if 'load' in vars(base):\n        vars(base)['load'](u); break",
        "second-of-stream": "f = io.BytesIO(b'N.' + EVIL)\npickle.load(f); pickle.load(f)",
        "second-of-unpickler": "u = pickle.Unpickler(io.BytesIO(b'N.' + EVIL))\n"
        "u.load(); u.load()",
        "after-minted": "f = io.BytesIO(); pickle.dump([1], f); f.write(EVIL); f.seek(0)\n"
        "pickle.load(f); pickle.load(f)",
        "minted-then-changed": "data = pickle.dumps([MARK])\n"
        "pickle.loads(EVIL + data)",
        "minted": "pickle.loads(pickle.dumps(P()))",
        "minted-by-python": "pickle.loads(pickle._dumps(P()))",
        "minted-buffer": "f = io.BytesIO(); pickle.Pickler(f).dump(P())\n"
        "pickle.loads(f.getvalue())",
        "minted-protocol-0": "pickle.loads(pickle.dumps(P(), 0))",
        "minted-optimized": "import pickletools\n"
        "pickle.loads(pickletools.optimize(pickle.dumps(P(), 4)))",
        "base64": "import base64; pickle.loads(base64.b64decode(base64.b64encode(EVIL)))",
        "codec": "import codecs; pickle.loads(codecs.decode(codecs.encode(EVIL, 'zip'), 'zip'))",
        "gzip": "import gzip\n"
        "with gzip.open('e.gz', 'wb') as f: f.write(EVIL)\n"
        "pickle.load(gzip.open('e.gz'))",
        "zip-member": "import zipfile\n"
        "with zipfile.ZipFile('e.zip', 'w') as z: z.writestr('m', EVIL)\n"
        "pickle.load(zipfile.ZipFile('e.zip').open('m'))",
        "spooled": "import tempfile; f = tempfile.SpooledTemporaryFile(); f.write(EVIL)\n"
        "f.seek(0); pickle.load(f)",
        "temporary": "import tempfile; f = tempfile.TemporaryFile(); f.write(EVIL)\n"
        "f.seek(0); pickle.load(f)",
        "duck": "class F:\n    read = io.BytesIO(EVIL).read\n"
        "f = io.BytesIO(EVIL)\nclass F:\n    read, readline = f.read, f.readline\n"
        "pickle.load(F())",
        "readinto": "f = io.BytesIO(EVIL)\n"
        "class F:\n    read, readline, readinto = f.read, f.readline, f.readinto\n"
        "pickle.load(F())",
        "peek": "pickle.load(io.BufferedReader(io.BytesIO(EVIL)))",
        "pipe": "r, w = os.pipe(); os.write(w, EVIL); os.close(w); pickle.load(open(r, 'rb'))",
        "fifo": "import threading; os.mkfifo('pipe')\n"
        "t = threading.Thread(target=lambda: open('pipe', 'wb').write(EVIL)); t.start()\n"
        "pickle.load(open('pipe', 'rb'))",
        "socket": "import socket; a, b = socket.socketpair(); a.sendall(EVIL)\n"
        "pickle.load(b.makefile('rb'))",
        "memfd": "fd = os.memfd_create('x'); os.write(fd, EVIL); os.lseek(fd, 0, 0)\n"
        "pickle.load(open(fd, 'rb'))",
        "proc-path": "f = open(file(), 'rb'); pickle.load(open(f'/proc/self/fd/{f.fileno()}', 'rb'))",
        "file-deleted": "f = open(file(), 'rb'); os.remove('evil.bin'); pickle.load(f)",
        "file-input": "import fileinput\npickle.loads(b''.join(fileinput.input(file(), mode='rb')))",
        "walrus-alias": "(go := pickle.loads)(EVIL)",
        "copy-of-function": "import types\nf = pickle._loads\n"
        "types.FunctionType(f.__code__, f.__globals__, 'f', f.__defaults__)"
        "(EVIL, **f.__kwdefaults__)",
        "find-class": "pickle.Unpickler(io.BytesIO(EVIL)).find_class('posix', 'mkfifo')(MARK)",
        "find-class-python": "pickle._Unpickler(io.BytesIO()).find_class('posix', 'mkfifo')(MARK)",
        "deepcopy": "import copy\nclass C:\n"
        "    def __deepcopy__(self, memo): return pickle.loads(EVIL)\ncopy.deepcopy(C())",
        "setstate": "class C:\n    def __init__(self): self.data = EVIL\n"
        "    def __setstate__(self, state): pickle.loads(state['data'])\n"
        "pickle.loads(pickle.dumps(C()))",
        "reduce-to-loads": "pickle.loads(pickle.dumps(P(pickle.loads, (EVIL,))))",
        "reduce-to-loads-thrice": "inner = pickle.dumps(P(pickle.loads, (EVIL,)))\n"
        "pickle.loads(pickle.dumps(P(pickle.loads, (inner,))))",
        "copyreg-pickle": "import copyreg\nclass C: pass\n"
        "copyreg.pickle(C, lambda c: (os.mkfifo, (MARK,)))\npickle.loads(pickle.dumps(C()))",
        "dispatch-table": "class C: pass\nf = io.BytesIO(); p = pickle.Pickler(f)\n"
        "p.dispatch_table = {C: lambda c: (os.mkfifo, (MARK,))}\np.dump(C())\n"
        "pickle.loads(f.getvalue())",
        "reducer-override": "class K(pickle.Pickler):\n"
        "    def reducer_override(self, obj):\n"
        "        return (os.mkfifo, (MARK,)) if obj is K else NotImplemented\n"
        "f = io.BytesIO(); K(f).dump(K)\npickle.loads(f.getvalue())",
        "run-module": "file(); sys.argv = ['pickle', 'evil.bin']\n"
        "import runpy; runpy.run_module('pickle', run_name='__main__')",
        "trace-results": "import trace; trace.CoverageResults(infile=file())",
        "grammar needs=lib2to3": "from lib2to3.pgen2.grammar import Grammar; Grammar().load(file())",
        "idle-rpc needs=idlelib": "from idlelib.rpc import pickle as p; p.loads(EVIL)",
        "forking-pickler": "from multiprocessing.reduction import ForkingPickler\n"
        "ForkingPickler.loads(EVIL)",
        "connection-pickler": "from multiprocessing import connection\n"
        "connection._ForkingPickler.loads(EVIL)",
        "deep-module": "import logging.handlers; logging.handlers.pickle.loads(EVIL)",
    },
)  # fmt: skip

_OPCODES = each(
    "pickle.loads(@)",
    {
        "inst": "b'(X' + len(MARK).to_bytes(4, 'little') + MARK.encode() + b'iposix\\nmkfifo\\n.'",
        "obj": "b'(' + named('posix', 'mkfifo') + part(MARK) + b'o.'",
        "python-2": "called(named('__builtin__', 'eval'),"
        " f\"__import__('os').mkfifo({MARK!r})\") + b'.'",
        "python-2-execfile": "called("
        "named('__builtin__', 'eval'), f\"open({MARK!r}, 'w')\") + b'.'",
        "dotted": "b'\\x80\\x04' + called(named('os', 'path.os.mkfifo', 4), MARK) + b'.'",
        "memo": "b'\\x80\\x02' + named('posix', 'mkfifo') + b'q\\x000' + "
        "b'h\\x00' + part(MARK) + b'\\x85R.'",
        "frame": "b'\\x80\\x04\\x95' + len(EVIL).to_bytes(8, 'little') + EVIL",
        "after-data": "b'(' + b'I1\\n' * 5000 + b'l0' + EVIL",
        "newobj": "b'\\x80\\x02' + named('zipfile', 'ZipFile') + b')\\x81' + b'0' + EVIL",
        "other-alias": "raw('os', 'mkfifo', MARK)",
        "hidden-alias": "raw('shutil', 'os.mkfifo', MARK, proto=4)",
    },
    "opcode-",
)

_EXTENSIONS = each(
    """
import copyreg
copyreg.add_extension("posix", "mkfifo", @
""",
    {
        "1": "7)\npickle.loads(b'\\x80\\x02\\x82\\x07' + called(Part(b''), MARK) + b'.')",
        "2": "700)\npickle.loads(b'\\x80\\x02\\x83\\xbc\\x02' + called(Part(b''), MARK) + b'.')",
        "4": "70000)\npickle.loads(b'\\x80\\x02\\x84' + (70000).to_bytes(4, 'little')"
        " + called(Part(b''), MARK) + b'.')",
        "python": "7)\npickle._loads(b'\\x80\\x02\\x82\\x07' + called(Part(b''), MARK) + b'.')",
        "cached": "7)\ncopyreg._extension_cache[7] = os.mkfifo\n"
        "pickle.loads(b'\\x80\\x02\\x82\\x07' + called(Part(b''), MARK) + b'.')",
        "cached-python": "7)\ncopyreg._extension_cache[7] = os.mkfifo\n"
        "pickle._loads(b'\\x80\\x02\\x82\\x07' + called(Part(b''), MARK) + b'.')",
        "cached-of-module": "7)\npickle._extension_cache[7] = os.mkfifo\n"
        "pickle._Unpickler(io.BytesIO(b'\\x80\\x02\\x82\\x07' + called(Part(b''), MARK)"
        " + b'.')).load()",
        "twice": "7)\nfor _ in 1, 2:\n    try: pickle.loads(b'\\x80\\x02\\x82\\x07'"
        " + called(Part(b''), MARK) + b'.')\n    except Exception as e: print(e)",
        "minted": "7)\npickle.loads(pickle.dumps(P(), 2))",
        "registry": "7)\ncopyreg._extension_registry['posix', 'mkdir'] = 8\n"
        "copyreg._inverted_registry[8] = 'posix', 'mkdir'\n"
        "pickle.loads(b'\\x80\\x02\\x82\\x08' + called(Part(b''), MARK) + b'.')",
    },
    "extension-",
)  # fmt: skip

WAYS = ways("entry", "\n".join((_CALLS, _OPCODES, _EXTENSIONS)))
