/* exp, tanh and the logistic function for generated C: vm_exp, vm_tanh, vm_logistic take and give a double,
 * vm_expf, vm_tanhf, vm_logisticf a float.
 *
 * Made for two uses at once: a loop over an array, which the compiler turns into SIMD code (every choice a select;
 * no table, no call, no conversion between integer and floating point), and a recurrence h = vm_tanh(w * h + x[t]),
 * where only the longest chain of dependent operations counts (Estrin's scheme, one division, the rest beside it).
 *
 * Largest errors in ulp, the spacing of the type at the exact value, with and without fma; the tests assert them:
 *
 *     vm_exp 1.0     vm_tanh 2.0     vm_logistic 2.0     vm_expf 1.0     vm_tanhf 2.0     vm_logisticf 2.0
 *
 *     vm_exp, vm_expf     inf above ln(max), gradual underflow to 0
 *     vm_tanh, vm_tanhf   odd: -0.0 -> -0.0; denormals give themselves; +-inf -> +-1
 *     vm_logistic(f)      0 below -709 (-88), where the exact value is below 1.3e-308 (6.1e-39); 1 above 709 (88)
 *     all                 nan -> nan
 *
 * gcc makes SIMD code of a loop with -O3 -fno-trapping-math (selects stay branches else), the best with -march=native.
 * Never -ffast-math: it cancels the magic number below and takes inf and nan away.
 *
 * All coefficients are minimax, found with 50 digits or more (Remez' algorithm; Lawson's for the float exp) and then
 * rounded; the degrees are the smallest whose errors, given beside them, vanish beside rounding.
 */
#ifndef RNN_SYMBOLIC_VECTOR_MATH_H
#define RNN_SYMBOLIC_VECTOR_MATH_H

#include <float.h>
#include <math.h> /* fabs, copysign, fma: an instruction or two each, not calls */
#include <stdint.h>
#include <string.h>

#ifdef __FAST_MATH__
#error "vector_math.h needs IEEE arithmetic: compile without -ffast-math"
#endif
#if FLT_EVAL_METHOD == 1 || FLT_EVAL_METHOD == 2
#error "vector_math.h needs each type's own arithmetic: on 32-bit x86 compile with -msse2 -mfpmath=sse"
#endif

/* a b + c, fused only where that is an instruction. On x86 clang defines no __FP_FAST_FMA, but __FMA__. */
#if defined(__FP_FAST_FMA) || defined(__FMA__)
#define VM_FMA(a, b, c) fma(a, b, c)
#define VM_FMAF(a, b, c) fmaf(a, b, c)
#else
#define VM_FMA(a, b, c) ((a) * (b) + (c))
#define VM_FMAF(a, b, c) ((a) * (b) + (c))
#endif

/* x = k ln 2 + r with |r| <= ln(2) / 2. From 1.5 2^52 on the doubles are the integers: t = x / ln 2 + that number is
 * rounded to an integer, and its low bits hold k plus whatever bias was added too; vm_power makes of them the double
 * with that exponent field, so 2^k. k LN2_HIGH is exact: LN2_HIGH ends in 17 zero bits (9 in float). */
#define VM_MAGIC 0x1.8p52
#define VM_LOG2E 1.4426950408889634
#define VM_LN2_HIGH 0x1.62e42fefap-1
#define VM_LN2_LOW 0x1.cf79abc9e3b3ap-40

static inline uint64_t vm_bits(double x) { uint64_t n; memcpy(&n, &x, sizeof n); return n; }
static inline double vm_power(uint64_t n) { double x; n <<= 52; memcpy(&x, &n, sizeof x); return x; }

/* rest + power (e^r - 1 - r) = rest + power r^2 q(r), q of degree 9, relative error of e^r 3.6e-18. Multiplied by the
 * power early and added in two parts, the result is there as soon as q alone would be. */
static inline double vm_series(double power, double r, double rest) {
    const double r2 = r * r, r4 = r2 * r2, scale = power * r2;
    const double low = VM_FMA(r2, VM_FMA(r, 8.3333333334943434e-3, 4.1666666666530264e-2),
                              VM_FMA(r, 1.6666666666666413e-1, 5.0000000000000111e-1));
    const double high = VM_FMA(r4, VM_FMA(r, 2.5000064441792505e-8, 2.7630234096334749e-7),
                               VM_FMA(r2, VM_FMA(r, 2.7557586290418522e-6, 2.4801493135667897e-5),
                                      VM_FMA(r, 1.9841269506754314e-4, 1.3888888943598247e-3)));
    return VM_FMA(scale * r4, high, VM_FMA(scale, low, rest));
}

/* 2^k in two factors, for k goes from -1075 (denormals) to 1024; twice the bias keeps the shifted bits positive. r in
 * two parts, high exact, so only what is small is rounded. Beyond 710 and -746 k means nothing: constants. */
static inline double vm_exp(double x) {
    const double t = VM_FMA(x, VM_LOG2E, VM_MAGIC + 2046), k = t - (VM_MAGIC + 2046);
    const double high = VM_FMA(k, -VM_LN2_HIGH, x), low = k * -VM_LN2_LOW;
    const uint64_t n = vm_bits(t), half = n >> 1;
    const double power = vm_power(half), rest = vm_series(power, high + low, power * low);
    double y = (power + VM_FMA(power, high, rest)) * vm_power(n - half);
    y = x > 710 ? HUGE_VAL : y;
    return x < -746 ? 0 : y;
}

/* With q = 1 / (1 + e^|x|) this is q for x < 0 and 1 - q for x > 0: c -+ q, where nothing waits for a select and
 * neither sign loses digits. 1 + e^|x| = (1 + 2^k) + 2^k (e^r - 1); what 1 + 2^k loses, all of the 1 from k = 53 on,
 * is known exactly and joins the small terms. */
static inline double vm_logistic(double x) {
    const double a = fabs(x), t = VM_FMA(a, VM_LOG2E, VM_MAGIC + 1023), k = t - (VM_MAGIC + 1023);
    const double r = VM_FMA(k, -VM_LN2_LOW, VM_FMA(k, -VM_LN2_HIGH, a)), power = vm_power(vm_bits(t));
    const double sum = 1 + power, lost = 1 - (sum - power);
    const double d = sum + vm_series(power, r, VM_FMA(power, r, lost));
    const double c = 0.5 + copysign(0.5, x), y = c - copysign(1, x) / d;
    return a > 709 ? c : y;
}

/* A minimax tanh(x / 2) = P / B, P = (x / 2) A(u), B(u) with u = x^2, of degree 6 each, gives by doubling the angle
 *     tanh(x) = 2 P B / D = 1 - (B - P)^2 / D = x - x u V(u) / D,     D = P^2 + B^2.
 * The second form serves above 1; it damps the errors of P and B by 1 / cosh(x), so the fit is weighted with that:
 * error 1.5e-18 up to 19.1. The third serves below 1, V a polynomial of degree 6, error 5.1e-20. Both are
 * min(x, 1) - n / D, so n is the smaller of the two numerators, without waiting for a comparison of x.
 * With A = 1/2 + ra and B = 1 + rb the large parts of B - P and D are exact and added last; ra, rb and V - 1/3 are
 * split into two factors, which rounds less than a sum and is as quick. All coefficients are positive. */
static inline double vm_tanh(double x) {
    const double a = fabs(x), u = x * x, u2 = u * u, half = 0.5 * a;
    const double a1 = VM_FMA(u2, VM_FMA(u, 1.358357432873874e-8, 3.5111739917481265e-5), 1.8244710913642326e-2 * u);
    const double a2 = VM_FMA(u2, VM_FMA(u, 7.643445361720026e-10, 1.3067238186600135e-5),
                             VM_FMA(u, 6.839222572123352e-3, 1));
    const double b1 = VM_FMA(u2, VM_FMA(u, 4.896470624778668e-7, 6.350025026537405e-4), 1.1982275516061797e-1 * u);
    const double b2 = VM_FMA(u2, VM_FMA(u, 4.283908643107901e-9, 2.0434067591722703e-5),
                             VM_FMA(u, 1.1155448029710236e-2, 1));
    const double v1 = VM_FMA(u2, VM_FMA(u, 8.438859709340761e-7, 1.2618536393716953e-4), 2.9881836773745212e-2 * u);
    const double v2 = VM_FMA(u2, VM_FMA(u, 9.848432230325973e-7, 2.529850872745983e-4),
                             VM_FMA(u, 2.4692405517014827e-2, 1));
    const double ra = a1 * a2, rb = b1 * b2, p = VM_FMA(a, ra, half);
    const double d = 1 + VM_FMA(p, p, rb * VM_FMA(b1, b2, 2)); /* B^2 = 1 + rb (2 + rb) */
    const double m = (1 - half) + VM_FMA(-a, ra, rb);          /* B - P */
    const double above = m * m, below = a * u * VM_FMA(v1, v2, 0.3333333333333333);
    const double n = above < below ? above : below, c = a < 1 ? a : 1;
    const double y = a > 19.0625 ? 1 : c - n / d; /* tanh(19.0625) rounds to 1 */
    return copysign(y, x);
}

/* The same in float: q of degree 4, error 3.1e-9; A, B, V of degrees 2, 3, 3, errors 7.6e-9 up to 9.1 and 1.9e-11. */
static inline uint32_t vm_bitsf(float x) { uint32_t n; memcpy(&n, &x, sizeof n); return n; }
static inline float vm_powerf(uint32_t n) { float x; n <<= 23; memcpy(&x, &n, sizeof x); return x; }

static inline float vm_seriesf(float power, float r, float rest) {
    const float r2 = r * r, low = VM_FMAF(r, 0.166665211f, 0.49999994f);
    const float high = VM_FMAF(r2, 0.00138146128f, VM_FMAF(r, 0.00836871006f, 0.041668389f));
    return VM_FMAF(power * r2, VM_FMAF(r2, high, low), rest);
}

static inline float vm_expf(float x) {
    const float t = VM_FMAF(x, 1.44269504f, 0x1.8p23f + 254), k = t - (0x1.8p23f + 254);
    const float high = VM_FMAF(k, -0.693145752f, x), low = k * -1.42860677e-6f;
    const uint32_t n = vm_bitsf(t), half = n >> 1;
    const float power = vm_powerf(half), rest = vm_seriesf(power, high + low, power * low);
    float y = (power + VM_FMAF(power, high, rest)) * vm_powerf(n - half);
    y = x > 89 ? HUGE_VALF : y;
    return x < -104 ? 0 : y;
}

static inline float vm_logisticf(float x) {
    const float a = fabsf(x), t = VM_FMAF(a, 1.44269504f, 0x1.8p23f + 127), k = t - (0x1.8p23f + 127);
    const float r = VM_FMAF(k, -1.42860677e-6f, VM_FMAF(k, -0.693145752f, a)), power = vm_powerf(vm_bitsf(t));
    const float sum = 1 + power, lost = 1 - (sum - power);
    const float d = sum + vm_seriesf(power, r, VM_FMAF(power, r, lost));
    const float c = 0.5f + copysignf(0.5f, x), y = c - copysignf(1, x) / d;
    return a > 88 ? c : y;
}

static inline float vm_tanhf(float x) {
    const float a = fabsf(x), u = x * x, u2 = u * u, half = 0.5f * a;
    const float ra = VM_FMAF(u2, 5.71262681e-5f, 1.48868775e-2f * u), p = VM_FMAF(a, ra, half);
    const float rb = VM_FMAF(u2, VM_FMAF(u, 1.2289654e-6f, 1.20654376e-3f), 1.13107055e-1f * u);
    const float v = VM_FMAF(u2, VM_FMAF(u, 3.26947838e-6f, 5.0407782e-4f), VM_FMAF(u, 2.54047103e-2f, 0.333333343f));
    const float d = 1 + VM_FMAF(p, p, rb * (2 + rb)), m = (1 - half) + VM_FMAF(-a, ra, rb);
    const float above = m * m, below = a * u * v, n = above < below ? above : below, c = a < 1 ? a : 1;
    const float y = a > 9.015625f ? 1 : c - n / d; /* tanh(9.015625) rounds to 1 */
    return copysignf(y, x);
}

#endif
