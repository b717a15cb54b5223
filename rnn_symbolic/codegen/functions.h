/* Functions of an entry and of a row; sums of rows. `real` is double or float, f_exp and the like its functions. */

static inline real square(real z) { return z * z; }
static inline real cube(real z) { return z * z * z; }

static inline void transpose(long m, long n, const real *restrict in, real *restrict out, long out_step) {
    for (long i = 0; i < m; i++)
        for (long j = 0; j < n; j++) out[j * out_step + i] = in[i * n + j];
}

static inline real f_tanh_slope(real z) { const real h = f_tanh(z); return 1 - h * h; }
static inline real f_logistic_slope(real z) { return f_logistic(z) * f_logistic(-z); }
static inline real f_relu(real z) { return z > 0 ? z : (z <= 0 ? 0 : z); } /* nan stays nan */
static inline real f_relu_slope(real z) { return z > 0 ? 1 : 0; }
static inline real f_softplus(real z) { return (z > 0 ? z : 0) + f_log1p(f_exp(-f_abs(z))); }

static inline real row_max(long n, const real *z) {
    real found = z[0];
    for (long i = 1; i < n; i++) found = z[i] > found ? z[i] : found;
    return found;
}

static inline void softmax_row(long n, const real *z, real *p) {
    const real greatest = row_max(n, z);
    real sum = 0;
    for (long i = 0; i < n; i++) p[i] = f_exp(z[i] - greatest);
    for (long i = 0; i < n; i++) sum += p[i];
    for (long i = 0; i < n; i++) p[i] /= sum;
}

static inline real logsumexp_row(long n, const real *z) {
    const real greatest = row_max(n, z);
    real sum = 0;
    for (long i = 0; i < n; i++) sum += f_exp(z[i] - greatest);
    return greatest + f_log(sum);
}

/* The sum of m rows of n entries. */
static inline void row_sum(long m, long n, const real *restrict rows, real *restrict out) {
    memset(out, 0, sizeof(real) * (size_t)n);
    for (long b = 0; b < m; b++)
        for (long i = 0; i < n; i++) out[i] += rows[b * n + i];
}
