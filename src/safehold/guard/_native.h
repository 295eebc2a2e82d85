/* What the parts of the extension share. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* The grant of this thread's unpickle in a dictionary of grants: borrowed; NULL if there is none,
 * and if that cannot be found out, which is an exception. */
PyObject *native_live_grant(PyObject *live);

/* Adds the type Tags and the function entries. */
int native_add_entries(PyObject *module);
