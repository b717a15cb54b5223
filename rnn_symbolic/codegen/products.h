/* Products of rows and matrices, in registers of the machine (GNU C vectors). `real` is double or float. */

/* A register of numbers; loads and stores need no alignment. */
#if defined(__AVX512F__)
#define VEC_BYTES 64
#elif defined(__AVX__)
#define VEC_BYTES 32
#else
#define VEC_BYTES 16
#endif
typedef real vec __attribute__((vector_size(VEC_BYTES)));
typedef real half __attribute__((vector_size(VEC_BYTES / 2 < 16 ? 16 : VEC_BYTES / 2)));
enum { SMALL = 64, WIDE = sizeof(vec) / sizeof(real), HALF = sizeof(half) / sizeof(real) };
#define INLINE static inline __attribute__((always_inline))

/* out[r] (+)= in[r] M for each row r, with M of k rows and n columns. A block of columns is kept in registers. */
#define COLUMNS(TYPE, WIDTH, COUNT)                                                          \
    for (; j + (COUNT) * (WIDTH) <= n; j += (COUNT) * (WIDTH)) {                             \
        TYPE sum[COUNT];                                                                     \
        for (int c = 0; c < (COUNT); c++) {                                                  \
            if (adds) memcpy(&sum[c], out + j + c * (WIDTH), sizeof(TYPE));                  \
            else sum[c] = (TYPE){0};                                                         \
        }                                                                                    \
        for (long i = 0; i < k; i++)                                                         \
            for (int c = 0; c < (COUNT); c++) {                                              \
                TYPE row;                                                                    \
                memcpy(&row, M + i * n + j + c * (WIDTH), sizeof(TYPE));                     \
                sum[c] += in[i] * row;                                                       \
            }                                                                                \
        for (int c = 0; c < (COUNT); c++) memcpy(out + j + c * (WIDTH), &sum[c], sizeof(TYPE)); \
    }

#define PRODUCT_ARGUMENTS                                                                              \
    long rows, long k, long n, const real *in, long in_step, const real *M, real *out, long out_step, int adds

/* Of a small matrix, whose sizes the compiler knows: written out where it stands. */
INLINE void small_product(PRODUCT_ARGUMENTS) {
    for (long r = 0; r < rows; r++, in += in_step, out += out_step) {
        long j = 0;
        COLUMNS(vec, WIDE, 1)
        COLUMNS(half, HALF, 1)
        for (; j < n; j++) {
            real sum = adds ? out[j] : 0;
            for (long i = 0; i < k; i++) sum += in[i] * M[i * n + j];
            out[j] = sum;
        }
    }
}

/* Of any other: compiled once. */
static __attribute__((noinline)) void product(PRODUCT_ARGUMENTS) {
    for (long r = 0; r < rows; r++, in += in_step, out += out_step) {
        long j = 0;
        COLUMNS(vec, WIDE, 8)
        COLUMNS(vec, WIDE, 2)
        COLUMNS(half, HALF, 1)
        for (; j < n; j++) {
            real sum = adds ? out[j] : 0;
            for (long i = 0; i < k; i++) sum += in[i] * M[i * n + j];
            out[j] = sum;
        }
    }
}

#define OUTER_ARGUMENTS                                                                                \
    long rows, long m, long n, const real *left, long left_step, const real *right, long right_step,   \
        real *restrict D, int adds

/* D (+)= sum over rows of left[r]^T right[r], with m and n columns; small enough for registers. */
INLINE void small_outer_sum(OUTER_ARGUMENTS) {
    real sum[SMALL];
    if (adds) memcpy(sum, D, sizeof(real) * (size_t)(m * n));
    else memset(sum, 0, sizeof(real) * (size_t)(m * n));
    for (long r = 0; r < rows; r++, left += left_step, right += right_step)
        for (long i = 0; i < m; i++)
            for (long j = 0; j < n; j++) sum[i * n + j] += left[i] * right[j];
    memcpy(D, sum, sizeof(real) * (size_t)(m * n));
}

/* Of any other size. */
static __attribute__((noinline)) void outer_sum(OUTER_ARGUMENTS) {
    if (!adds) memset(D, 0, sizeof(real) * (size_t)(m * n));
    for (long r = 0; r < rows; r++, left += left_step, right += right_step)
        for (long i = 0; i < m; i++) {
            const real factor = left[i];
            real *restrict row = D + i * n;
            for (long j = 0; j < n; j++) row[j] += factor * right[j];
        }
}
