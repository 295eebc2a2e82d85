/* The guard's audit hook in C: what is certainly harmless is answered here, all else is asked.
 *
 * hook.py decides. This knows three of its answers: an event that it has no handler for while no
 * contained unpickle is live in the thread, a name of plain data, and a class that it has let this
 * process's own bytes name before. Whatever fails in here refuses.
 *
 * Two things are to be had in C alone: a hook that is called in sub-interpreters too, and
 * PyType_Modified. In a sub-interpreter nothing of the guarded one can be touched, so the events
 * that have a handler are refused there.
 */

#include "_native.h"

#include <string.h>

#ifdef Py_GIL_DISABLED
#error "the guard needs a Python with its global lock"
#endif

#define MOST_HANDLED 16

/* For the life of the process: nothing removes a hook, and it is called to the very end. */
static struct {
    PyInterpreterState *interpreter; /* the guarded one */
    int heard;                       /* the hook has been called */
    int refuses;                     /* mode enforce */
    int strict;
    int handled; /* how many */
    char *names[MOST_HANDLED];
    unsigned char begins[256]; /* first letters of these */
    PyObject *hook, *record;   /* hook.py's */
    PyObject *live;
    PyObject *plain;
    PyObject *minted_names;
    PyObject *minted; /* the grant */
    PyObject *modules;
    PyObject *contained, *unrestricted, *load_stop; /* names */
} guard;

PyObject *
native_live_grant(PyObject *live)
{
    if (PyDict_GET_SIZE(live) == 0) {
        return NULL;
    }
    PyObject *thread = PyLong_FromUnsignedLong(PyThread_get_thread_ident());
    if (thread == NULL) {
        return NULL;
    }
    PyObject *grant = PyDict_GetItemWithError(live, thread);
    Py_DECREF(thread);
    return grant;
}

static int
is_so(PyObject *grant, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(grant, name);
    if (value == NULL) {
        return -1;
    }
    int answer = PyObject_IsTrue(value);
    Py_DECREF(value);
    return answer;
}

/* 1: nothing of a contained unpickle happens in this thread; 0: something does; -1: failed. */
static int
is_free(void)
{
    PyObject *grant = native_live_grant(guard.live);
    if (grant == NULL) {
        return PyErr_Occurred() ? -1 : 1;
    }
    Py_INCREF(grant);
    int contained = is_so(grant, guard.contained);
    Py_DECREF(grant);
    return contained < 0 ? -1 : !contained;
}

/* The three that follow give 1 if hook.py would certainly allow, 0 if it is to be asked, -1. */

static int
is_known_minted(PyObject *args)
{
    PyObject *known = PyDict_GetItemWithError(guard.minted_names, args);
    if (known == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    PyObject *module = PyDict_GetItemWithError(guard.modules, PyTuple_GET_ITEM(args, 0));
    if (module == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    if (!PyModule_CheckExact(module)) {
        return 0;
    }
    PyObject *found = PyDict_GetItemWithError(PyModule_GetDict(module), PyTuple_GET_ITEM(args, 1));
    if (found == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    return found == known;
}

static int
is_allowed_name(PyObject *args)
{
    if (PyTuple_GET_SIZE(args) != 2 || !PyUnicode_CheckExact(PyTuple_GET_ITEM(args, 0)) ||
        !PyUnicode_CheckExact(PyTuple_GET_ITEM(args, 1))) {
        return 0;
    }
    if (!guard.strict) {
        int plain = PySet_Contains(guard.plain, args);
        if (plain != 0) {
            return plain;
        }
    }
    PyObject *grant = native_live_grant(guard.live);
    if (grant == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    if (grant == guard.minted) {
        return is_known_minted(args);
    }
    Py_INCREF(grant);
    int answer = is_so(grant, guard.unrestricted);
    Py_DECREF(grant);
    return answer;
}

/* A copy of pickle's unpickler has a class whose code names one of its methods. */
static int
is_allowed_code(PyObject *args)
{
    if (PyTuple_GET_SIZE(args) < 1 || !PyCode_Check(PyTuple_GET_ITEM(args, 0))) {
        return 0;
    }
    PyObject *parts = ((PyCodeObject *)PyTuple_GET_ITEM(args, 0))->co_consts;
    if (!PyTuple_CheckExact(parts)) {
        return 0;
    }
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(parts); at++) {
        PyObject *part = PyTuple_GET_ITEM(parts, at);
        if (!PyCode_Check(part)) {
            continue;
        }
        int found = PySequence_Contains(((PyCodeObject *)part)->co_names, guard.load_stop);
        if (found != 0) {
            return found < 0 ? -1 : 0;
        }
    }
    return is_free();
}

static int
is_allowed(const char *event, PyObject *args)
{
    if (strcmp(event, "pickle.find_class") == 0) {
        return is_allowed_name(args);
    }
    if (strcmp(event, "exec") == 0) {
        return is_allowed_code(args);
    }
    if (strcmp(event, "import") == 0) {
        /* With a file, it is of a C module, and may be another copy of one. */
        int file = PyTuple_GET_SIZE(args) >= 2 && PyTuple_GET_ITEM(args, 1) != Py_None;
        return file ? 0 : is_free();
    }
    return 0;
}

static int
is_handled(const char *event)
{
    for (int at = 0; at < guard.handled; at++) {
        if (strcmp(guard.names[at], event) == 0) {
            return 1;
        }
    }
    return 0;
}

/* As the interpreter calls a hook in Python: without the program's trace function. */
static int
ask(const char *event, PyObject *args)
{
    PyObject *name = PyUnicode_FromString(event);
    if (name == NULL) {
        return -1;
    }
    PyThreadState *thread = PyThreadState_Get();
    PyObject *both[] = {name, args};
    PyThreadState_EnterTracing(thread);
    PyObject *answer = PyObject_Vectorcall(guard.hook, both, 2, NULL);
    PyThreadState_LeaveTracing(thread);
    Py_DECREF(name);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

/* Has the guarded interpreter record a refusal; it is one whatever becomes of this. */
static void
record_elsewhere(const char *event)
{
    PyThreadState *there = PyThreadState_New(guard.interpreter);
    if (there == NULL) {
        return;
    }
    PyThreadState *here = PyThreadState_Swap(there); /* with the lock of the other, since 3.12 */
    PyObject *done = PyObject_CallFunction(guard.record, "s", event);
    Py_XDECREF(done);
    PyErr_Clear(); /* in mode enforce it raises what it has recorded */
    PyThreadState_Clear(there);
    PyThreadState_Swap(here);
    PyThreadState_Delete(there);
}

static int
elsewhere(const char *event)
{
    if (guard.interpreter == NULL) {
        guard.heard = 1;
        return 0;
    }
    if (!guard.refuses || !is_handled(event)) {
        return 0;
    }
    record_elsewhere(event);
    PyErr_Format(PyExc_RuntimeError,
                 "%s: a sub-interpreter is not guarded, so nothing is loaded there; use a process",
                 event);
    return -1;
}

/* A pending exception has been put aside by the interpreter. */
static int
on_event(const char *event, PyObject *args, void *Py_UNUSED(data))
{
    if (PyInterpreterState_Get() != guard.interpreter) {
        return elsewhere(event);
    }
    int allowed = 1;
    if (guard.begins[(unsigned char)event[0]] && is_handled(event)) {
        allowed = is_allowed(event, args);
    }
    else if (PyDict_GET_SIZE(guard.live) != 0) {
        allowed = is_free();
    }
    if (allowed == 0) {
        return ask(event, args);
    }
    return allowed < 0 ? -1 : 0;
}

static int
keep_names(PyObject *handled)
{
    if (PyTuple_GET_SIZE(handled) > MOST_HANDLED) {
        PyErr_SetString(PyExc_ValueError, "more events than there is room for");
        return -1;
    }
    for (int at = 0; at < PyTuple_GET_SIZE(handled); at++) {
        const char *name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(handled, at));
        if (name == NULL) {
            return -1;
        }
        guard.names[at] = strdup(name);
        if (guard.names[at] == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        guard.begins[(unsigned char)name[0]] = 1;
        guard.handled = at + 1;
    }
    return 0;
}

static PyObject *
add_hook(PyObject *Py_UNUSED(module), PyObject *args, PyObject *options)
{
    static char *keywords[] = {"hook", "record", "handled", "live", "plain", "minted_names", "minted",
                               "modules", "strict", "refuses", NULL};
    PyObject *hook, *record, *handled, *live, *plain, *minted_names, *minted, *modules;
    int strict, refuses;
    if (!PyArg_ParseTupleAndKeywords(
            args, options, "OOO!O!O!O!OO!pp:add_hook", keywords, &hook, &record, &PyTuple_Type, &handled,
            &PyDict_Type, &live, &PySet_Type, &plain, &PyDict_Type, &minted_names, &minted,
            &PyDict_Type, &modules, &strict, &refuses)) {
        return NULL;
    }
    if (guard.heard) {
        PyErr_SetString(PyExc_RuntimeError, "the hook is there already");
        return NULL;
    }
    if (keep_names(handled) < 0) {
        return NULL;
    }
    if ((guard.contained = PyUnicode_InternFromString("contained")) == NULL ||
        (guard.unrestricted = PyUnicode_InternFromString("unrestricted")) == NULL ||
        (guard.load_stop = PyUnicode_InternFromString("load_stop")) == NULL) {
        return NULL;
    }
    if (PySys_AddAuditHook(on_event, NULL) < 0 || PySys_Audit("safehold.guard", NULL) < 0) {
        return NULL;
    }
    if (!guard.heard) { /* a hook from before forbids others; the interpreter tells nobody */
        PyErr_SetString(PyExc_RuntimeError, "an audit hook of this process keeps others away");
        return NULL;
    }
    guard.hook = Py_NewRef(hook);
    guard.record = Py_NewRef(record);
    guard.live = Py_NewRef(live);
    guard.plain = Py_NewRef(plain);
    guard.minted_names = Py_NewRef(minted_names);
    guard.minted = Py_NewRef(minted);
    guard.modules = Py_NewRef(modules);
    guard.strict = strict;
    guard.refuses = refuses;
    guard.interpreter = PyInterpreterState_Get();
    Py_RETURN_NONE;
}

static PyObject *
type_modified(PyObject *Py_UNUSED(module), PyObject *type)
{
    if (!PyType_Check(type)) {
        PyErr_SetString(PyExc_TypeError, "a type is needed");
        return NULL;
    }
    PyType_Modified((PyTypeObject *)type);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"add_hook", (PyCFunction)(void (*)(void))add_hook, METH_VARARGS | METH_KEYWORDS,
     "Add the audit hook to this process, for good."},
    {"type_modified", type_modified, METH_O,
     "Make the interpreter look the attributes of a type up anew."},
    {NULL, NULL, 0, NULL},
};

static int
fill(PyObject *module)
{
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "a sub-interpreter cannot have it");
        return -1;
    }
    if (native_add_entries(module) < 0) {
        return -1;
    }
    return PyModule_AddIntConstant(module, "REVISION", 3);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, fill},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "safehold.guard._native",
    .m_doc = "The parts of the guard that are in C.",
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__native(void)
{
    return PyModuleDef_Init(&definition);
}
