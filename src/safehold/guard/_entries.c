/* `pickle.loads` and `dumps` where the answer is certain; all else goes to entries.py.
 *
 * Its tags are CPython's hash of bytes, as the bytes object has it. minted.py says of what.
 */

#include "_native.h"

#include <string.h>

/* Tags: tag -> -1, 0 or 1, of the latest so many. As a dictionary from which the oldest go, but
 * without an object for each. */

typedef struct {
    Py_hash_t tag;
    signed char state;
    char used;
} Slot;

typedef struct {
    PyObject_HEAD
    Slot *slots;      /* found by linear probing; at most half of them are used */
    Py_hash_t *order; /* a ring */
    size_t mask, most, count, next;
} Tags;

static Slot *
find(const Tags *self, Py_hash_t tag)
{
    size_t at = (size_t)tag & self->mask;
    while (self->slots[at].used && self->slots[at].tag != tag) {
        at = (at + 1) & self->mask;
    }
    return &self->slots[at];
}

/* Moves what stands behind a removed one to where a search that begins at its home passes. */
static void
forget(Tags *self, Py_hash_t tag)
{
    Slot *gone = find(self, tag);
    size_t gap = (size_t)(gone - self->slots), at = gap, mask = self->mask;
    while (self->slots[at = (at + 1) & mask].used) {
        size_t home = (size_t)self->slots[at].tag & mask;
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            self->slots[gap] = self->slots[at];
            gap = at;
        }
    }
    self->slots[gap].used = 0;
}

static void
remember(Tags *self, Py_hash_t tag)
{
    Slot *slot = find(self, tag);
    if (slot->used) {
        return;
    }
    if (self->count == self->most) {
        forget(self, self->order[self->next]);
        slot = find(self, tag);
    }
    else {
        self->count++;
    }
    self->order[self->next] = tag;
    self->next = (self->next + 1) % self->most;
    *slot = (Slot){.tag = tag, .state = 0, .used = 1};
}

static PyObject *
tags_new(PyTypeObject *type, PyObject *args, PyObject *options)
{
    static char *keywords[] = {"most", NULL};
    Py_ssize_t most;
    if (!PyArg_ParseTupleAndKeywords(args, options, "n", keywords, &most)) {
        return NULL;
    }
    if (most < 1 || most > (1 << 24)) {
        PyErr_SetString(PyExc_ValueError, "from 1 to 2**24 tags");
        return NULL;
    }
    Tags *self = (Tags *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    size_t slots = 2;
    while (slots < 2 * (size_t)most) {
        slots *= 2;
    }
    self->mask = slots - 1;
    self->most = (size_t)most;
    self->slots = PyMem_RawCalloc(slots, sizeof(Slot));
    self->order = PyMem_RawCalloc((size_t)most, sizeof(Py_hash_t));
    if (self->slots == NULL || self->order == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void
tags_dealloc(Tags *self)
{
    PyMem_RawFree(self->slots);
    PyMem_RawFree(self->order);
    Py_TYPE(self)->tp_free(self);
}

static Py_ssize_t
tags_length(Tags *self)
{
    return (Py_ssize_t)self->count;
}

static int
tags_contains(Tags *self, PyObject *key)
{
    Py_hash_t tag = PyLong_AsSsize_t(key);
    return tag == -1 && PyErr_Occurred() ? -1 : find(self, tag)->used;
}

static int
tags_set(Tags *self, PyObject *key, PyObject *value)
{
    if (value == NULL) {
        PyErr_SetString(PyExc_TypeError, "the oldest go by themselves");
        return -1;
    }
    Py_hash_t tag = PyLong_AsSsize_t(key);
    long state = tag == -1 && PyErr_Occurred() ? -1 : PyLong_AsLong(value);
    if (PyErr_Occurred()) {
        return -1;
    }
    if (state < -1 || state > 1) {
        PyErr_SetString(PyExc_ValueError, "-1, 0 or 1");
        return -1;
    }
    remember(self, tag);
    find(self, tag)->state = (signed char)state;
    return 0;
}

static PyObject *
tags_get(Tags *self, PyObject *key)
{
    Py_hash_t tag = PyLong_AsSsize_t(key);
    if (tag == -1 && PyErr_Occurred()) {
        return NULL;
    }
    Slot *slot = find(self, tag);
    if (slot->used) {
        return PyLong_FromLong(slot->state);
    }
    Py_RETURN_NONE;
}

static PyMethodDef tags_methods[] = {
    {"get", (PyCFunction)tags_get, METH_O, "Return what is known of a tag, or None."},
    {NULL, NULL, 0, NULL},
};
static PyMappingMethods tags_mapping = {
    .mp_length = (lenfunc)tags_length,
    .mp_ass_subscript = (objobjargproc)tags_set,
};
static PySequenceMethods tags_sequence = {.sq_contains = (objobjproc)tags_contains};
static PyTypeObject tags_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "safehold.guard._native.Tags",
    .tp_doc = "Tags of bytes, and what is known of each; the oldest go by themselves.",
    .tp_basicsize = sizeof(Tags),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .tp_new = tags_new,
    .tp_dealloc = (destructor)tags_dealloc,
    .tp_methods = tags_methods,
    .tp_as_mapping = &tags_mapping,
    .tp_as_sequence = &tags_sequence,
};

/* The entry points. */

static struct {
    int strict;
    Tags *known;
    PyObject *live, *minted;
    PyObject *codes;         /* of who may read a channel */
    PyObject *caches[2];     /* extension codes of copyreg */
    PyObject *magic;         /* of a sealed artifact */
    PyObject *raw_loads, *raw_dumps;
    PyObject *loads;         /* of entries.py */
    PyObject *begin;         /* calls raw_loads, in a frame by which containment knows it */
    PyMethodDef methods[2];
} entry;

static void
forget_codes(void)
{
    for (int at = 0; at < 2; at++) {
        if (PyDict_GET_SIZE(entry.caches[at]) != 0) {
            PyDict_Clear(entry.caches[at]);
        }
    }
}

/* As `under` of entries.py, with the grant of bytes of the process's own making. */
static PyObject *
load_minted(PyObject *data)
{
    PyObject *thread = PyLong_FromUnsignedLong(PyThread_get_thread_ident());
    if (thread == NULL || PyDict_SetItem(entry.live, thread, entry.minted) < 0) {
        Py_XDECREF(thread);
        return NULL;
    }
    PyObject *value = PyObject_CallOneArg(entry.begin, data);
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    forget_codes();
    if (PyDict_DelItem(entry.live, thread) < 0) {
        PyErr_Clear(); /* it is gone already */
    }
    PyErr_Restore(type, error, trace);
    Py_DECREF(thread);
    return value;
}

static int
is_sealed(PyObject *data)
{
    Py_ssize_t size = PyBytes_GET_SIZE(entry.magic);
    return PyBytes_GET_SIZE(data) >= size &&
           memcmp(PyBytes_AS_STRING(data), PyBytes_AS_STRING(entry.magic), (size_t)size) == 0;
}

/* A load of plain bytes by default options, not within another load. */
static int
is_simple(PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (count != 1 || names != NULL || !PyBytes_CheckExact(args[0]) || is_sealed(args[0])) {
        return 0;
    }
    return native_live_grant(entry.live) == NULL;
}

/* Whether the code that calls may read a channel, as channels.py knows it; -1 is an error. */
static int
may_be_channel(void)
{
    if (PySet_GET_SIZE(entry.codes) == 0) {
        return 0;
    }
    PyFrameObject *frame = PyThreadState_GetFrame(PyThreadState_Get());
    if (frame == NULL) {
        return 0;
    }
    PyCodeObject *code = PyFrame_GetCode(frame);
    Py_DECREF(frame);
    int answer = -1;
    PyObject *key = PyLong_FromVoidPtr(code);
    PyObject *boot = PyLong_FromLong(0); /* a worker of loky: code of some module */
    if (key != NULL && boot != NULL) {
        answer = PySet_Contains(entry.codes, key);
        if (answer == 0 && PyUnicode_CompareWithASCIIString(code->co_name, "<module>") == 0) {
            answer = PySet_Contains(entry.codes, boot);
        }
    }
    Py_XDECREF(key);
    Py_XDECREF(boot);
    Py_DECREF(code);
    return answer;
}

static PyObject *
loads(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (is_simple(args, count, names)) {
        forget_codes();
        Slot *known = find(entry.known, PyObject_Hash(args[0]));
        if (known->used && known->state > 0) {
            return load_minted(args[0]);
        }
        /* Without a grant the hook holds what is named to plain data. */
        if (!known->used && !entry.strict && may_be_channel() == 0) {
            return PyObject_Vectorcall(entry.raw_loads, args, 1, NULL);
        }
    }
    if (PyErr_Occurred()) {
        return NULL;
    }
    return PyObject_Vectorcall(entry.loads, args, (size_t)count, names);
}

static PyObject *
dumps(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *data = PyObject_Vectorcall(entry.raw_dumps, args, (size_t)count, names);
    if (data != NULL && PyBytes_CheckExact(data)) {
        remember(entry.known, PyObject_Hash(data));
    }
    return data;
}

/* A function with the name and the signature of the one that it replaces. */
static PyObject *
in_place_of(PyObject *raw, PyMethodDef *method, _PyCFunctionFastWithKeywords function)
{
    const PyMethodDef *of_raw = ((PyCFunctionObject *)raw)->m_ml;
    *method = (PyMethodDef){of_raw->ml_name, (PyCFunction)(void (*)(void))function,
                            METH_FASTCALL | METH_KEYWORDS, of_raw->ml_doc};
    PyCFunctionObject *there = (PyCFunctionObject *)raw;
    return PyCFunction_NewEx(method, there->m_self, there->m_module);
}

static PyObject *
entries(PyObject *Py_UNUSED(module), PyObject *args, PyObject *options)
{
    static char *keywords[] = {"raw_loads", "raw_dumps", "loads", "begin",  "known", "live",
                               "minted",    "codes",     "cache", "spare", "magic", "strict", NULL};
    PyObject *raw_loads, *raw_dumps, *to_loads, *begin, *known, *live, *minted, *codes, *cache;
    PyObject *spare, *magic;
    int strict;
    if (!PyArg_ParseTupleAndKeywords(
            args, options, "O!O!OOO!O!OO!O!O!Sp:entries", keywords, &PyCFunction_Type, &raw_loads,
            &PyCFunction_Type, &raw_dumps, &to_loads, &begin, &tags_type, &known, &PyDict_Type,
            &live, &minted, &PySet_Type, &codes, &PyDict_Type, &cache, &PyDict_Type, &spare,
            &magic, &strict)) {
        return NULL;
    }
    if (entry.known != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the entry points are made already");
        return NULL;
    }
    entry.strict = strict;
    entry.known = (Tags *)Py_NewRef(known);
    entry.live = Py_NewRef(live);
    entry.minted = Py_NewRef(minted);
    entry.codes = Py_NewRef(codes);
    entry.caches[0] = Py_NewRef(cache);
    entry.caches[1] = Py_NewRef(spare);
    entry.magic = Py_NewRef(magic);
    entry.raw_loads = Py_NewRef(raw_loads);
    entry.raw_dumps = Py_NewRef(raw_dumps);
    entry.loads = Py_NewRef(to_loads);
    entry.begin = Py_NewRef(begin);
    return Py_BuildValue("NN", in_place_of(raw_loads, &entry.methods[0], loads),
                         in_place_of(raw_dumps, &entry.methods[1], dumps));
}

static PyMethodDef functions[] = {
    {"entries", (PyCFunction)(void (*)(void))entries, METH_VARARGS | METH_KEYWORDS,
     "Return what takes the place of loads and dumps."},
    {NULL, NULL, 0, NULL},
};

int
native_add_entries(PyObject *module)
{
    if (PyModule_AddFunctions(module, functions) < 0) {
        return -1;
    }
    return PyModule_AddType(module, &tags_type);
}
