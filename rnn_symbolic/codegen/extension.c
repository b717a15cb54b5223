/* The door between Python and `run`: arrays in, (loss, gradients) out, with as little in between as there can be.
 *
 * Everything that does not fit exactly - another type, layout or shape - makes `call` return None; the caller then
 * looks at it at leisure. PARAMS, STATES, OUTPUTS, NAMES, RANKS, DIMS, N_X, N_Y, MATRIX, BATCHED and USES_X are
 * defined before. */

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O1") /* most of the time of a build went into this part */
#endif

static PyObject *names[OUTPUTS];
static PyObject *template; /* a dictionary with the names: copying it is faster than filling one */

/* --- workspace ------------------------------------------------------------------------------------------------ */

struct work { real *memory; long size; };

static int reserve(struct work *work, long size) {
    if (size <= work->size) return 1;
    void *memory = NULL;
    if (posix_memalign(&memory, 64, (size_t)size * sizeof(real))) return 0;
    free(work->memory);
    work->memory = memory;
    work->size = size;
    return 1;
}

static struct work shared;

/* --- a call --------------------------------------------------------------------------------------------------- */

struct problem {
    const real *params[PARAMS + 1], *x, *d, *state[STATES + 1];
    real numbers[PARAMS + STATES + 1]; /* what was given as a Python float */
    int per_sample[STATES + 1];
    long T, B;
    real *gradients[OUTPUTS + 1];
};

static inline int plain(PyObject *object) {
    if (!PyArray_CheckExact(object)) return 0;
    PyArrayObject *array = (PyArrayObject *)object;
    return PyArray_TYPE(array) == NPY_REAL && PyArray_ISCARRAY_RO(array);
}

static inline const real *shaped(PyObject *object, int rank, const npy_intp *dims) {
    if (!plain(object)) return NULL;
    PyArrayObject *array = (PyArrayObject *)object;
    if (PyArray_NDIM(array) != rank) return NULL;
    for (int k = 0; k < rank; k++)
        if (PyArray_DIM(array, k) != dims[k]) return NULL;
    return PyArray_DATA(array);
}

/* A parameter or a shared state: an array of the right shape, or a float where that is a number. */
static inline const real *value(PyObject *object, int k, real *number) {
    if (RANKS[k] == 0 && PyFloat_Check(object)) {
        *number = (real)PyFloat_AS_DOUBLE(object);
        return number;
    }
    return shaped(object, RANKS[k], DIMS[k]);
}

static int read_problem(struct problem *p, PyObject *params, PyObject *x, PyObject *d, PyObject *state) {
    if (!PyDict_CheckExact(params) || PyDict_GET_SIZE(params) != PARAMS || !plain(d)) return 0;
    const int rank = (MATRIX ? 2 : 1) + BATCHED;
    if (PyArray_NDIM((PyArrayObject *)d) != rank) return 0;
    npy_intp over[3];
    for (int k = 0; k < rank; k++) over[k] = PyArray_DIM((PyArrayObject *)d, k);
    p->T = over[0];
    p->B = BATCHED ? over[1] : 1;
    if (p->T < 1 || p->B < 1 || (MATRIX && over[rank - 1] != N_Y)) return 0;
    p->d = PyArray_DATA((PyArrayObject *)d);
    p->x = NULL;
    if (USES_X) {
        if (MATRIX) over[rank - 1] = N_X;
        if (!(p->x = shaped(x, rank, over))) return 0;
    }
    for (int k = 0; k < PARAMS; k++) {
        PyObject *found = PyDict_GetItemWithError(params, names[k]);
        if (!found || !(p->params[k] = value(found, k, &p->numbers[k]))) return 0;
    }
    Py_ssize_t given = 0;
    if (state != Py_None && !PyDict_CheckExact(state)) return 0;
    for (int k = 0; k < STATES; k++) {
        const int place = PARAMS + k;
        p->state[k] = NULL;
        p->per_sample[k] = 0;
        PyObject *found = state == Py_None ? NULL : PyDict_GetItemWithError(state, names[place]);
        if (!found) continue;
        given++;
        if ((p->state[k] = value(found, place, &p->numbers[place]))) continue;
        const npy_intp each[2] = {p->B, DIMS[place][0]};
        if (!BATCHED || !(p->state[k] = shaped(found, 2, each))) return 0;
        p->per_sample[k] = 1;
    }
    return state == Py_None || PyDict_GET_SIZE(state) == given;
}

/* The shape of a result. */
static int result_shape(const struct problem *p, int k, npy_intp *dims) {
    if (k == PARAMS + STATES) { /* x */
        int rank = 0;
        dims[rank++] = p->T;
        if (BATCHED) dims[rank++] = p->B;
        if (MATRIX) dims[rank++] = N_X;
        return rank;
    }
    int rank = 0;
    if (k >= PARAMS && p->per_sample[k - PARAMS]) dims[rank++] = p->B;
    for (int i = 0; i < RANKS[k]; i++) dims[rank++] = DIMS[k][i];
    return rank;
}

static int all_finite(const real *values, long count) {
    real sum = 0; /* 0 * nan and 0 * inf are nan */
    for (long i = 0; i < count; i++) sum += values[i] * 0;
    return sum == 0;
}

/* Runs; 0 where something is not finite. */
static int execute(struct problem *p, struct work *work, real *loss) {
    run(p->params, p->x, p->d, p->state, p->per_sample, p->T, p->B, work->memory, p->gradients, loss);
    if (!MATRIX && !WITH_X) {
        real sum = *loss * 0;
        for (int k = 0; k < OUTPUTS; k++) sum += *p->gradients[k] * 0;
        return sum == 0;
    }
    if (!all_finite(loss, 1)) return 0;
    for (int k = 0; k < OUTPUTS; k++) {
        npy_intp dims[3];
        const int rank = result_shape(p, k, dims);
        long count = 1;
        for (int i = 0; i < rank; i++) count *= dims[i];
        if (!all_finite(p->gradients[k], count)) return 0;
    }
    return 1;
}

/* Whether a result would be written over what is still to be read, or over another result. */
static int shared_memory(const struct problem *p, int k, npy_intp bytes) {
    const char *begin = (const char *)p->gradients[k], *end = begin + bytes;
    for (int i = 0; i < PARAMS + STATES; i++) {
        const char *other = (const char *)(i < PARAMS ? p->params[i] : p->state[i - PARAMS]);
        npy_intp size = sizeof(real) * (i >= PARAMS && p->per_sample[i - PARAMS] ? p->B : 1);
        for (int j = 0; j < RANKS[i]; j++) size *= DIMS[i][j];
        if (other && begin < other + size && other < end) return 1;
    }
    const npy_intp rows = p->T * p->B * (npy_intp)sizeof(real);
    if (p->x && begin < (const char *)p->x + rows * N_X && (const char *)p->x < end) return 1;
    if (begin < (const char *)p->d + rows * N_Y && (const char *)p->d < end) return 1;
    for (int i = 0; i < k; i++)
        if ((const char *)p->gradients[i] >= begin && (const char *)p->gradients[i] < end) return 1;
    return 0;
}

/* Arrays for the results: those of `out`, or new ones. */
static PyObject *results(struct problem *p, PyObject *out) {
    if (out != Py_None) {
        if (!PyDict_CheckExact(out) || PyDict_GET_SIZE(out) != OUTPUTS) return NULL;
        for (int k = 0; k < OUTPUTS; k++) {
            npy_intp dims[3];
            const int rank = result_shape(p, k, dims);
            PyObject *found = PyDict_GetItemWithError(out, names[k]);
            if (!found || !shaped(found, rank, dims) || !PyArray_ISWRITEABLE((PyArrayObject *)found)) return NULL;
            p->gradients[k] = PyArray_DATA((PyArrayObject *)found);
            if (shared_memory(p, k, PyArray_NBYTES((PyArrayObject *)found))) return NULL;
        }
        Py_INCREF(out);
        return out;
    }
    PyObject *found = PyDict_Copy(template);
    for (int k = 0; found && k < OUTPUTS; k++) {
        npy_intp dims[3];
        const int rank = result_shape(p, k, dims);
        PyObject *array = PyArray_SimpleNew(rank, dims, NPY_REAL);
        if (!array || PyDict_SetItem(found, names[k], array) < 0) Py_CLEAR(found);
        else p->gradients[k] = PyArray_DATA((PyArrayObject *)array);
        Py_XDECREF(array);
    }
    return found;
}

static PyObject *with_loss(real loss, PyObject *gradients) {
    PyObject *number = PyFloat_FromDouble((double)loss);
    if (!number) { Py_DECREF(gradients); return NULL; }
    PyObject *pair = PyTuple_New(2);
    if (!pair) { Py_DECREF(number); Py_DECREF(gradients); return NULL; }
    PyTuple_SET_ITEM(pair, 0, number);
    PyTuple_SET_ITEM(pair, 1, gradients);
    return pair;
}

/* Numbers in, numbers out: no arrays are made. */
static PyObject *numbers(struct problem *p) {
    real found[OUTPUTS + 1], loss;
    for (int k = 0; k < OUTPUTS; k++) p->gradients[k] = found + k;
    if (!execute(p, &shared, &loss)) Py_RETURN_FALSE;
    PyObject *gradients = PyDict_Copy(template);
    for (int k = 0; gradients && k < OUTPUTS; k++) {
        PyObject *number = NEW_NUMBER;
        if (number) SET_NUMBER(number, found[k]);
        if (!number || PyDict_SetItem(gradients, names[k], number) < 0) Py_CLEAR(gradients);
        Py_XDECREF(number);
    }
    return gradients ? with_loss(loss, gradients) : NULL;
}

static int reserve_for(struct work *work, const struct problem *p) {
    if (p->T > 1000000000L / p->B || !reserve(work, run_space(p->T, p->B))) { PyErr_NoMemory(); return 0; }
    return 1;
}

static PyObject *call(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    (void)self;
    struct problem p;
    if (count != 5) { PyErr_SetString(PyExc_TypeError, "five arguments are expected"); return NULL; }
    if (!read_problem(&p, args[0], args[1], args[2], args[3])) {
        if (PyErr_Occurred()) return NULL;
        Py_RETURN_NONE;
    }
    if (!reserve_for(&shared, &p)) return NULL;
    if (!MATRIX && !WITH_X && args[4] == Py_None) return numbers(&p);
    PyObject *gradients = results(&p, args[4]);
    if (!gradients) {
        if (PyErr_Occurred()) return NULL;
        Py_RETURN_NONE;
    }
    real loss;
    if (!execute(&p, &shared, &loss)) { Py_DECREF(gradients); Py_RETURN_FALSE; }
    return with_loss(loss, gradients);
}

/* --- a call with its buffers bound ---------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    struct problem p;
    struct work work;
    PyObject *kept, *gradients, *explain, *pair;
} Bound;

static void release(PyObject *object) {
    Bound *self = (Bound *)object;
    free(self->work.memory);
    Py_XDECREF(self->kept);
    Py_XDECREF(self->gradients);
    Py_XDECREF(self->explain);
    Py_XDECREF(self->pair);
    Py_TYPE(object)->tp_free(object);
}

static PyTypeObject BoundType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "rnn_symbolic_kernel.Bound",
    .tp_basicsize = sizeof(Bound),
    .tp_dealloc = release,
    .tp_flags = Py_TPFLAGS_DEFAULT,
};

static PyObject *call_bound(PyObject *object, PyObject *unused) {
    (void)unused;
    Bound *self = (Bound *)object;
    real loss;
    if (!execute(&self->p, &self->work, &loss)) return PyObject_CallNoArgs(self->explain); /* which raises */
    if (self->pair && Py_REFCNT(self->pair) == 1) { /* nobody holds the last result: it can be used again */
        PyObject *number = PyFloat_FromDouble((double)loss);
        if (!number) return NULL;
        Py_SETREF(((PyTupleObject *)self->pair)->ob_item[0], number);
        Py_INCREF(self->pair);
        return self->pair;
    }
    Py_INCREF(self->gradients);
    PyObject *pair = with_loss(loss, self->gradients);
    Py_XINCREF(pair);
    Py_XSETREF(self->pair, pair);
    return pair;
}

static PyMethodDef bound_method = {"bound", call_bound, METH_NOARGS, "(loss, gradients) of the bound arrays."};

/* All arrays, inputs and results: the dictionaries may lose them while their memory is still used here. */
static PyObject *everything(PyObject *const *args, PyObject *gradients) {
    PyObject *found = PyList_New(0);
    PyObject *const dictionaries[3] = {args[0], args[3], gradients};
    for (int k = 0; found && k < 3; k++) {
        if (dictionaries[k] == Py_None) continue;
        PyObject *values = PyDict_Values(dictionaries[k]);
        if (!values || PyList_Append(found, values) < 0) Py_CLEAR(found);
        Py_XDECREF(values);
    }
    if (found && (PyList_Append(found, args[1]) < 0 || PyList_Append(found, args[2]) < 0)) Py_CLEAR(found);
    return found;
}

static PyObject *bind(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    (void)self;
    if (count != 6) { PyErr_SetString(PyExc_TypeError, "six arguments are expected"); return NULL; }
    Bound *b = (Bound *)PyType_GenericAlloc(&BoundType, 0); /* all zero */
    if (!b) return NULL;
    PyObject *function = NULL;
    if (!read_problem(&b->p, args[0], args[1], args[2], args[3]) || !(b->gradients = results(&b->p, args[4]))) {
        if (!PyErr_Occurred()) { function = Py_None; Py_INCREF(function); }
    } else if (reserve_for(&b->work, &b->p) && (b->kept = everything(args, b->gradients))) {
        Py_INCREF(args[5]);
        b->explain = args[5]; /* called where something is not finite */
        function = PyCFunction_New(&bound_method, (PyObject *)b);
    }
    Py_DECREF(b);
    return function;
}

/* --- many networks at once: scalar form over a grid ------------------------------------------------------------ */

#if !MATRIX
/* values: (PARAMS + STATES, G); x, d: (T, G) or (T, 1); out: (OUTPUTS without x, G); loss: (G,); dx: (T, G) or None. */
static PyObject *call_grid(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    (void)self;
    if (count != 6) { PyErr_SetString(PyExc_TypeError, "six arguments are expected"); return NULL; }
    for (int k = 0; k < 6; k++)
        if (!plain(args[k])) { PyErr_SetString(PyExc_TypeError, "plain arrays are expected"); return NULL; }
    PyArrayObject *const *a = (PyArrayObject *const *)args;
    const real *values = PyArray_DATA(a[0]), *x = PyArray_DATA(a[1]), *d = PyArray_DATA(a[2]);
    real *out = PyArray_DATA(a[3]), *losses = PyArray_DATA(a[4]), *dx = PyArray_DATA(a[5]);
    const long G = PyArray_DIM(a[4], 0), T = PyArray_DIM(a[2], 0);
    const long x_step = PyArray_DIM(a[1], 1), d_step = PyArray_DIM(a[2], 1);
    const long space = run_lanes_space(T, 1);
    if (!reserve(&shared, space + SPACE(2 * T * LANES) + SPACE(T * LANES) + 3 * LANES * (OUTPUTS + PARAMS + STATES + 1)))
        return PyErr_NoMemory();
    real *xs = shared.memory + space, *ds = xs + T * LANES, *dxs = ds + T * LANES, *in = dxs + T * LANES;
    real *results_at = in + LANES * (PARAMS + STATES + 1), *loss = results_at + LANES * (OUTPUTS + 1);
    const int shared_states[STATES + 1] = {0};
    for (long g = 0; g < G; g += LANES) {
        const real *params[PARAMS + 1], *state[STATES + 1];
        real *gradients[OUTPUTS + 1];
        for (int k = 0; k < PARAMS + STATES; k++) {
            for (long i = 0; i < LANES; i++) in[k * LANES + i] = values[k * G + (g + i < G ? g + i : G - 1)];
            if (k < PARAMS) params[k] = in + k * LANES;
            else state[k - PARAMS] = in + k * LANES;
        }
        for (long t = 0; t < T; t++)
            for (long i = 0; i < LANES; i++) {
                const long at = g + i < G ? g + i : G - 1;
                if (USES_X) xs[t * LANES + i] = x[t * x_step + (x_step > 1 ? at : 0)];
                ds[t * LANES + i] = d[t * d_step + (d_step > 1 ? at : 0)];
            }
        for (int k = 0; k < OUTPUTS; k++) gradients[k] = k == PARAMS + STATES ? dxs : results_at + k * LANES;
        run_lanes(params, xs, ds, state, shared_states, T, 1, shared.memory, gradients, loss);
        for (long i = 0; i < LANES && g + i < G; i++) {
            losses[g + i] = loss[i];
            for (int k = 0; k < PARAMS + STATES; k++) out[k * G + g + i] = results_at[k * LANES + i];
            if (WITH_X)
                for (long t = 0; t < T; t++) dx[t * G + g + i] = dxs[t * LANES + i];
        }
    }
    Py_RETURN_NONE;
}
#endif

/* --- the module ----------------------------------------------------------------------------------------------- */

static PyObject *set_blas(PyObject *self, PyObject *args) {
    (void)self;
    unsigned long long address;
    int wide;
    if (!PyArg_ParseTuple(args, "Kp", &address, &wide)) return NULL;
    blas_wide = wide ? (blas_wide_type)(uintptr_t)address : NULL;
    blas_narrow = wide ? NULL : (blas_narrow_type)(uintptr_t)address;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"call", (PyCFunction)(void (*)(void))call, METH_FASTCALL, "(loss, gradients); None: unfit, False: not finite."},
    {"bind", (PyCFunction)(void (*)(void))bind, METH_FASTCALL, "A function without arguments; None: unfit."},
#if !MATRIX
    {"call_grid", (PyCFunction)(void (*)(void))call_grid, METH_FASTCALL, "Many networks at once."},
#endif
    {"set_blas", set_blas, METH_VARARGS, "The address of cblas_?gemm, and whether its integers have 64 bits."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "rnn_symbolic_kernel", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_rnn_symbolic_kernel(void) {
    import_array();
    for (int k = 0; k < OUTPUTS; k++)
        if (!(names[k] = PyUnicode_InternFromString(NAMES[k]))) return NULL;
    if (!(template = PyDict_New()) || PyType_Ready(&BoundType) < 0) return NULL;
    for (int k = 0; k < OUTPUTS; k++)
        if (PyDict_SetItem(template, names[k], Py_None) < 0) return NULL;
    return PyModule_Create(&module);
}
