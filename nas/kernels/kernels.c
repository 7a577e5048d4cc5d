/* Convolutions, norms and merges of small networks on one core, forward and backward.

   Maps lie as [y][x][image][channel]: the images at one pixel are the rows of a matrix, so a
   convolution is one matrix product per pixel and tap, without borders to fill and without copies
   (batch-reduced products, as in Georganas et al. 2020, "Harnessing deep learning via a single
   building block"). Numbers are fp32, or bf16 with sums in fp32. Weights lie as
   [channel out][tap y][tap x][channel in], PyTorch's channels_last.

   A program is a list of steps, made once for a network (see program.py), that is run for any number
   of images up to what its buffers hold. Channels are a multiple of LANES, those of the pictures
   excepted; program.py checks that, and all shapes. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#define LANES 16
#else
#define LANES 8
#endif
#define MAX_TAPS 512 /* taps of a convolution times its inputs */
#define CACHE_BYTES (1 << 19)

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4)));
typedef double wide __attribute__((vector_size(8 * LANES), aligned(8)));
typedef int32_t ints __attribute__((vector_size(4 * LANES), aligned(4)));
typedef uint16_t half __attribute__((vector_size(2 * LANES), aligned(2)));
typedef uint32_t whole __attribute__((vector_size(4 * LANES), aligned(4)));
typedef uint32_t unit; /* an fp32 number, or two bf16 numbers that are multiplied and added at once */

#define INLINE static inline __attribute__((always_inline))
#define EXPORT __attribute__((visibility("default")))

/* ---- Numbers ---- */

INLINE float read_one(const int bf, const void *from, long at) {
  if (!bf) return ((const float *)from)[at];
  uint32_t bits = (uint32_t)((const uint16_t *)from)[at] << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

INLINE vec read_vec(const int bf, const void *from, long at) {
  if (!bf) return *(const vec *)((const float *)from + at);
  half bits = *(const half *)((const uint16_t *)from + at);
  return (vec)(__builtin_convertvector(bits, whole) << 16);
}

/* Rounds to the nearest bf16, ties to even; not-a-number stays one. */
INLINE half rounded(vec value) {
  whole bits = (whole)value;
  whole nearest = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  whole odd = (whole)(value != value);
  return __builtin_convertvector((nearest & ~odd) | (odd & 0x7fc0), half);
}

INLINE void write_vec(const int bf, void *to, long at, vec value) {
  if (bf) *(half *)((uint16_t *)to + at) = rounded(value);
  else *(vec *)((float *)to + at) = value;
}

/* Negative numbers become zero; not-a-number stays, so that a divergence is seen. */
INLINE vec positive(vec value) { return (vec)((ints)value & ~(value < 0.0f)); }

INLINE double added(vec value) {
  double sum = 0;
  for (int i = 0; i < LANES; i++) sum += value[i];
  return sum;
}

INLINE long bytes(const int bf) { return bf ? 2 : 4; }

/* ---- Matrix products ---- */

/* sums[i][j] += over t and d: a[t][i * ai + d * ad] * b[t][d * bd + j], for LANES * nv columns j.
   Strides are in units. */
INLINE void product(const int p, const int nv, const int bf, long taps, const unit *const *a,
                    long ai, long ad, const unit *const *b, long bd, long depth,
                    vec sums[p][nv]) {
  for (long t = 0; t < taps; t++) {
    const unit *at = a[t], *bt = b[t];
    for (long d = 0; d < depth; d++, at += ad, bt += bd) {
      vec right[nv];
      for (int j = 0; j < nv; j++) right[j] = *(const vec *)(bt + LANES * j);
      for (int i = 0; i < p; i++) {
#if defined(__AVX512BF16__)
        if (bf) {
          __m512bh left = (__m512bh)_mm512_set1_epi32((int)at[i * ai]);
          for (int j = 0; j < nv; j++)
            sums[i][j] = (vec)_mm512_dpbf16_ps((__m512)sums[i][j], left, (__m512bh)right[j]);
          continue;
        }
#endif
        float left;
        memcpy(&left, at + i * ai, 4);
        for (int j = 0; j < nv; j++) sums[i][j] += left * right[j];
      }
    }
  }
}

typedef struct {
  void *to;
  long stride; /* between rows, in numbers */
  const float *bias;
  int relu, add; /* add: to what is there */
} Rows;

INLINE void product_rows(const int p, const int nv, const int bf, const int out_bf, long taps,
                         const unit **a, long ad, const unit *const *b, long bd, long depth,
                         Rows *rows) {
  vec sums[p][nv];
  for (int j = 0; j < nv; j++) {
    vec start = rows->bias ? *(const vec *)(rows->bias + LANES * j) : (vec){0};
    for (int i = 0; i < p; i++) sums[i][j] = start;
  }
  product(p, nv, bf, taps, a, ad, 1, b, bd, depth, sums);
  for (int i = 0; i < p; i++)
    for (int j = 0; j < nv; j++) {
      const long place = i * rows->stride + LANES * j;
      if (rows->add) sums[i][j] += read_vec(out_bf, rows->to, place);
      write_vec(out_bf, rows->to, place, rows->relu ? positive(sums[i][j]) : sums[i][j]);
    }
  for (long t = 0; t < taps; t++) a[t] += p * ad;
  rows->to = (char *)rows->to + p * rows->stride * bytes(out_bf);
}

/* All n rows of one block of columns. */
INLINE void product_block(const int nv, const int bf, const int out_bf, long n, long taps,
                          const unit **a, long ad, const unit *const *b, long bd, long depth,
                          Rows rows) {
  const int most = LANES / nv;
  for (; n >= most; n -= most)
    product_rows(most, nv, bf, out_bf, taps, a, ad, b, bd, depth, &rows);
  for (; n >= 4; n -= 4) product_rows(4, nv, bf, out_bf, taps, a, ad, b, bd, depth, &rows);
  for (; n; n--) product_rows(1, nv, bf, out_bf, taps, a, ad, b, bd, depth, &rows);
}

/* to (n, columns) = over t: a[t] (n, ad) times b[t] (ad, columns). */
INLINE void products(const int bf, const int out_bf, long n, long taps, const unit *const *a, long ad,
                     const unit *const *b, long bd, long columns, char *to, const float *bias,
                     int relu, int add) {
  const unit *left[MAX_TAPS], *right[MAX_TAPS];
  for (long k = 0; k < columns;) {
    for (long t = 0; t < taps; t++) left[t] = a[t], right[t] = b[t] + k;
    Rows rows = {to + k * bytes(out_bf), columns, bias ? bias + k : NULL, relu, add};
    if (columns - k >= 2 * LANES) {
      product_block(2, bf, out_bf, n, taps, left, ad, right, bd, ad, rows);
      k += 2 * LANES;
    } else {
      product_block(1, bf, out_bf, n, taps, left, ad, right, bd, ad, rows);
      k += LANES;
    }
  }
}

/* ---- Convolutions ---- */

typedef struct {
  long images, height, width; /* of the input */
  long parts, channels;       /* inputs side by side (a concatenation), and channels of each */
  long out, side, stride;     /* channels of the output; side of the kernel */
} Conv;

static long out_of(long side, long stride) { return (side + stride - 1) / stride; }

static void *scratch(int which, size_t size) {
  static _Thread_local void *held[7];
  static _Thread_local size_t sizes[7];
  if (sizes[which] < size) {
    free(held[which]);
    held[which] = aligned_alloc(64, (size + 63) & ~(size_t)63);
    if (!held[which]) abort();
    sizes[which] = size;
  }
  return held[which];
}

/* [k][i] -> [i][k], in units. */
static void transposed(const unit *from, unit *to, long k, long i) {
  for (long block = 0; block < k; block += LANES)
    for (long column = 0; column < i; column++)
      for (long row = block; row < block + LANES; row++) to[column * k + row] = from[row * i + column];
}

/* Two rows of 16-bit numbers as one row of pairs; a missing second row is zeros. */
static void paired(const uint16_t *first, const uint16_t *second, unit *to, long n) {
  if (second)
    for (long i = 0; i < n; i++) to[i] = first[i] | (uint32_t)second[i] << 16;
  else
    for (long i = 0; i < n; i++) to[i] = first[i];
}

/* Where tap (ty, tx) of the output pixel (y, x) reads; -1 outside. */
INLINE long source(const Conv *c, long y, long x, long ty, long tx) {
  long iy = y * c->stride + ty - c->side / 2, ix = x * c->stride + tx - c->side / 2;
  return iy < 0 || ix < 0 || iy >= c->height || ix >= c->width ? -1 : iy * c->width + ix;
}

INLINE void forward(const int bf, const int out_bf, const Conv *c, const void *const *inputs,
                    const void *weight, const float *bias, char *to, int relu) {
  const long per = bf ? 2 : 1, depth = c->channels / per;
  const long rows = c->side * c->side * c->parts * depth;
  unit *packed = scratch(0, 4 * rows * c->out);
  transposed(weight, packed, c->out, rows);
  const long height = out_of(c->height, c->stride), width = out_of(c->width, c->stride);
  for (long y = 0; y < height; y++)
    for (long x = 0; x < width; x++) {
      const unit *a[MAX_TAPS], *b[MAX_TAPS];
      long taps = 0;
      for (long ty = 0; ty < c->side; ty++)
        for (long tx = 0; tx < c->side; tx++) {
          long pixel = source(c, y, x, ty, tx);
          if (pixel < 0) continue;
          for (long part = 0; part < c->parts; part++, taps++) {
            a[taps] = (const unit *)inputs[part] + pixel * c->images * depth;
            b[taps] = packed + ((ty * c->side + tx) * c->parts + part) * depth * c->out;
          }
        }
      products(bf, out_bf, c->images, taps, a, depth, b, c->out, c->out,
               to + (y * width + x) * c->images * c->out * bytes(out_bf), bias, relu, 0);
    }
}

/* The gradient with respect to one input. */
INLINE void backward_input(const int bf, const Conv *c, const void *gradient, const void *weight,
                           long part, char *to, int add) {
  const long row = c->side * c->side * c->parts * c->channels; /* numbers of an output channel */
  const unit *packed = weight;
  if (bf) {
    unit *pairs = scratch(0, 4 * row * (c->out / 2));
    for (long k = 0; k < c->out; k += 2)
      paired((const uint16_t *)weight + k * row, (const uint16_t *)weight + (k + 1) * row,
             pairs + k / 2 * row, row);
    packed = pairs;
  }
  const long depth = c->out / (bf ? 2 : 1);
  const long height = out_of(c->height, c->stride), width = out_of(c->width, c->stride);
  for (long iy = 0; iy < c->height; iy++)
    for (long ix = 0; ix < c->width; ix++) {
      const unit *a[MAX_TAPS], *b[MAX_TAPS];
      long taps = 0;
      for (long ty = 0; ty < c->side; ty++)
        for (long tx = 0; tx < c->side; tx++) {
          long y = iy + c->side / 2 - ty, x = ix + c->side / 2 - tx;
          if (y < 0 || x < 0 || y % c->stride || x % c->stride) continue;
          y /= c->stride, x /= c->stride;
          if (y >= height || x >= width) continue;
          a[taps] = (const unit *)gradient + (y * width + x) * c->images * depth;
          b[taps++] = packed + ((ty * c->side + tx) * c->parts + part) * c->channels;
        }
      char *place = to + (iy * c->width + ix) * c->images * c->channels * bytes(bf);
      products(bf, bf, c->images, taps, a, depth, b, row, c->channels, place, NULL, 0, add);
    }
}

/* to[i * stride + j] += over taps and images: a[i] * b[j], for p values i and LANES * nv values j. */
INLINE void outer(const int p, const int nv, const int bf, long taps, const unit *const *a, long ad,
                  const unit *const *b, long bd, long depth, float *to, long stride) {
  vec sums[p][nv];
  for (int i = 0; i < p; i++)
    for (int j = 0; j < nv; j++) sums[i][j] = *(const vec *)(to + i * stride + LANES * j);
  product(p, nv, bf, taps, a, 1, ad, b, bd, depth, sums);
  for (int i = 0; i < p; i++)
    for (int j = 0; j < nv; j++) *(vec *)(to + i * stride + LANES * j) = sums[i][j];
}

/* to (left, right) += over taps: transposed a (depth, left) times b (depth, right). */
INLINE void outers(const int bf, long taps, const unit *const *a, long left, const unit *const *b,
                   long right, long depth, float *to, long stride, const unit **moved) {
  const unit **x = moved, **y = moved + taps;
  for (long j = 0; j < right;) {
    const int two = right - j >= 2 * LANES;
    for (long i = 0; i < left;) {
      for (long t = 0; t < taps; t++) x[t] = a[t] + i, y[t] = b[t] + j;
      float *place = to + i * stride + j;
      if (two && left - i >= LANES / 2) {
        outer(LANES / 2, 2, bf, taps, x, left, y, right, depth, place, stride);
        i += LANES / 2;
      } else if (!two && left - i >= LANES) {
        outer(LANES, 1, bf, taps, x, left, y, right, depth, place, stride);
        i += LANES;
      } else {
        if (two) outer(1, 2, bf, taps, x, left, y, right, depth, place, stride);
        else outer(1, 1, bf, taps, x, left, y, right, depth, place, stride);
        i++;
      }
    }
    j += two ? 2 * LANES : LANES;
  }
}

/* [pixel][image][channel] in bf16 -> [pixel][pair of images][channel] in units. */
static const unit *image_pairs(int which, const uint16_t *from, long pixels, long images,
                               long channels) {
  const long pairs = (images + 1) / 2;
  unit *to = scratch(which, 4 * pixels * pairs * channels);
  for (long pixel = 0; pixel < pixels; pixel++)
    for (long n = 0; n < images; n += 2) {
      const uint16_t *first = from + (pixel * images + n) * channels;
      paired(first, n + 1 < images ? first + channels : NULL,
             to + (pixel * pairs + n / 2) * channels, channels);
    }
  return to;
}

/* The gradient with respect to the weights of one input, fp32, into its place among the parts. */
INLINE void backward_weight(const int bf, const Conv *c, const void *input, const void *gradient,
                            long part, float *to) {
  const long height = out_of(c->height, c->stride), width = out_of(c->width, c->stride);
  const long all = height * width, taps = c->side * c->side, row = taps * c->parts * c->channels;
  const unit *x = input, *g = gradient;
  const long depth = bf ? (c->images + 1) / 2 : c->images;
  if (bf) {
    x = image_pairs(1, input, c->height * c->width, c->images, c->channels);
    g = image_pairs(2, gradient, all, c->images, c->out);
  }
  /* Vectors run over the input's channels, or, where those are few, over the output's. */
  const int few = c->channels % LANES != 0;
  float *sums = few ? scratch(0, 4 * taps * c->channels * c->out) : to;
  if (few) memset(sums, 0, 4 * taps * c->channels * c->out);
  const unit **pointers = scratch(3, 4 * all * sizeof(unit *));
  const unit **xs = pointers, **gs = pointers + all, **moved = pointers + 2 * all;
  long chunk = CACHE_BYTES / (4 * depth * (c->channels + c->out));
  if (chunk < width) chunk = width;
  for (long first = 0; first < all; first += chunk)
    for (long tap = 0; tap < taps; tap++) {
      long n = 0;
      for (long pixel = first; pixel < first + chunk && pixel < all; pixel++) {
        long from = source(c, pixel / width, pixel % width, tap / c->side, tap % c->side);
        if (from < 0) continue;
        xs[n] = x + from * depth * c->channels;
        gs[n++] = g + pixel * depth * c->out;
      }
      if (few)
        outers(bf, n, xs, c->channels, gs, c->out, depth, sums + tap * c->channels * c->out, c->out,
               moved);
      else
        outers(bf, n, gs, c->out, xs, c->channels, depth,
               to + (tap * c->parts + part) * c->channels, row, moved);
    }
  if (few)
    for (long tap = 0; tap < taps; tap++)
      for (long i = 0; i < c->channels; i++)
        for (long k = 0; k < c->out; k++)
          to[k * row + (tap * c->parts + part) * c->channels + i] =
              sums[(tap * c->channels + i) * c->out + k];
}

/* ---- Batch norm, with or without ReLU after it ---- */

#define PARALLEL 8  /* sums that are carried on side by side */
#define BLOCK 1024  /* rows that are summed in fp32 before they are added in fp64 */

/* Mean and 1 / standard deviation of every column, and running statistics if there are any. */
INLINE void moments(const int bf, const void *z, long n, long columns, float eps, float *mean,
                    float *rstd, float *running_mean, float *running_var, float momentum) {
  for (long k = 0; k < columns; k += LANES) {
    vec shift = read_vec(bf, z, k); /* near the mean, so that squares do not cancel */
    wide total = {0}, squares = {0};
    for (long first = 0; first < n; first += BLOCK) {
      const long last = first + BLOCK < n ? first + BLOCK : n;
      vec s[PARALLEL] = {{0}}, q[PARALLEL] = {{0}};
      long row = first;
      for (; row + PARALLEL <= last; row += PARALLEL)
        for (int i = 0; i < PARALLEL; i++) {
          vec value = read_vec(bf, z, (row + i) * columns + k) - shift;
          s[i] += value, q[i] += value * value;
        }
      for (; row < last; row++) {
        vec value = read_vec(bf, z, row * columns + k) - shift;
        s[0] += value, q[0] += value * value;
      }
      for (int i = 0; i < PARALLEL; i++) {
        total += __builtin_convertvector(s[i], wide);
        squares += __builtin_convertvector(q[i], wide);
      }
    }
    wide offset = total / (double)n, variance = squares / (double)n - offset * offset;
    for (int i = 0; i < LANES; i++) {
      double var = variance[i] < 0 ? 0 : variance[i], middle = shift[i] + offset[i];
      mean[k + i] = (float)middle;
      rstd[k + i] = (float)(1 / sqrt(var + eps));
      if (!running_mean) continue;
      running_mean[k + i] += momentum * ((float)middle - running_mean[k + i]);
      running_var[k + i] += momentum * ((float)(var * n / (n - 1)) - running_var[k + i]);
    }
  }
}

INLINE void normalise(const int bf, const void *z, long n, long columns, const float *mean,
                      const float *rstd, const float *gamma, const float *beta, const int relu,
                      void *to) {
  for (long k = 0; k < columns; k += LANES) {
    vec scale = *(const vec *)(gamma + k) * *(const vec *)(rstd + k);
    vec middle = *(const vec *)(mean + k), offset = *(const vec *)(beta + k);
    for (long row = 0; row < n; row++) {
      vec value = (read_vec(bf, z, row * columns + k) - middle) * scale + offset;
      write_vec(bf, to, row * columns + k, relu ? positive(value) : value);
    }
  }
}

INLINE void normalise_backward(const int bf, const void *gradient, const void *z, long n,
                               long columns, const float *mean, const float *rstd,
                               const float *gamma, const float *beta, const int relu, void *to,
                               int add, float *to_gamma, float *to_beta) {
  for (long k = 0; k < columns; k += LANES) {
    vec middle = *(const vec *)(mean + k), inverse = *(const vec *)(rstd + k);
    vec scale = *(const vec *)(gamma + k) * inverse, offset = *(const vec *)(beta + k);
    wide total = {0}, products = {0};
    for (long first = 0; first < n; first += BLOCK) {
      const long last = first + BLOCK < n ? first + BLOCK : n;
      vec s[PARALLEL] = {{0}}, q[PARALLEL] = {{0}};
      for (long row = first; row < last; row += PARALLEL)
        for (int i = 0; i < PARALLEL && row + i < last; i++) {
          vec centred = read_vec(bf, z, (row + i) * columns + k) - middle;
          vec g = read_vec(bf, gradient, (row + i) * columns + k);
          if (relu) g = (vec)((ints)g & (centred * scale + offset > 0.0f));
          s[i] += g, q[i] += g * centred;
        }
      for (int i = 0; i < PARALLEL; i++) {
        total += __builtin_convertvector(s[i], wide);
        products += __builtin_convertvector(q[i], wide);
      }
    }
    vec sum = __builtin_convertvector(total, vec);
    vec product = __builtin_convertvector(products, vec) * inverse;
    *(vec *)(to_beta + k) = sum;
    *(vec *)(to_gamma + k) = product;
    vec average = sum / (float)n, slope = product * inverse / (float)n;
    for (long row = 0; row < n; row++) {
      vec centred = read_vec(bf, z, row * columns + k) - middle;
      vec g = read_vec(bf, gradient, row * columns + k);
      if (relu) g = (vec)((ints)g & (centred * scale + offset > 0.0f));
      vec value = scale * (g - average - centred * slope);
      if (add) value += read_vec(bf, to, row * columns + k);
      write_vec(bf, to, row * columns + k, value);
    }
  }
}

/* Sums of the columns: a bias's gradient. */
INLINE void column_sums(const int bf, const void *z, long n, long columns, float *to) {
  for (long k = 0; k < columns; k += LANES) {
    wide total = {0};
    for (long row = 0; row < n; row++)
      total += __builtin_convertvector(read_vec(bf, z, row * columns + k), wide);
    *(vec *)(to + k) = __builtin_convertvector(total, vec);
  }
}

/* ---- Where the time goes ---- */

typedef enum { CONVOLVING, BACK, NORMING, MERGING, WORKS } Work;

static int timing;
static double spent[WORKS];

static double now(void) {
  struct timespec t;
  if (!timing) return 0;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Adds what has passed to a kind of work; returns the time. */
static double done(Work work, double since) {
  const double time = now();
  spent[work] += time - since;
  return time;
}

/* Starts (on) or ends the counting of seconds by kind of work; `to` gets what was counted. */
EXPORT void skipnas_time(int on, double *to) {
  memcpy(to, spent, sizeof spent);
  memset(spent, 0, sizeof spent);
  timing = on;
}

/* ---- Steps ---- */

typedef enum { CONV, NORM, MERGE, EXCITE, SQUEEZE, FOLD } Kind;

/* How a merge becomes y = ReLU(A f + B z), z the sum of the skips times their strengths. */
typedef enum {
  SUM,     /* A = 0, B = 1 */
  ADD,     /* A = B = 1 */
  SCALE,   /* A one number, B = 1 */
  CHANNEL, /* A a number per channel, B = 1 */
  GATED,   /* A a number per image and channel (fp32), B = 1 */
  HIGHWAY, /* A = sigmoid of a value per value of f, B = 1 - A */
} Form;

/* A step forward and its backward step; which fields it uses follows from its kind. */
typedef struct {
  long kind, form, bf, relu;
  long exact;            /* a convolution in fp32 of a picture, whatever the precision */
  long trained;          /* a norm takes its statistics from the images */
  Conv conv;             /* images are set by every run */
  long pixels, channels; /* of the output */
  const void *const *inputs;
  long count;
  const float *strengths;
  const void *branch, *factor;
  void *output, *before; /* before: what the norm reads */
  const void *weight, *bias;
  long bias_bf;
  const float *gamma, *beta;
  float *mean, *rstd, *running_mean, *running_var;
  const float *momentum; /* of the running statistics */
  float eps;
  const void *gradient; /* of the output */
  void *to_before;
  void *const *to_inputs; /* NULL: not asked for */
  const long *adds;       /* whether to add to what is there */
  void *to_branch;
  long add_branch;
  float *to_weight, *to_bias, *to_gamma, *to_beta;
  void *to_factor;
  const void *expand, *expand_bias; /* the second matrix of a squeeze-and-excitation gate */
  float *to_expand, *to_expand_bias;
  float *squeezed, *reduced; /* (images, channels), (images, conv.out) */
} Step;

static const float *as_floats(int which, const int bf, const void *from, long n) {
  if (!bf || !from) return from;
  float *to = scratch(which, 4 * n);
  for (long i = 0; i < n; i++) to[i] = read_one(1, from, i);
  return to;
}

static void conv_step(const Step *s, const Conv *c) {
  const float *bias = as_floats(4, s->bias_bf, s->bias, c->out);
  void *to = s->gamma ? s->before : s->output;
  const int relu = s->relu && !s->gamma;
  if (s->bf && s->exact) {
    const long size = c->out * c->side * c->side * c->parts * c->channels;
    forward(0, 1, c, s->inputs, as_floats(5, 1, s->weight, size), bias, to, relu);
  }
#if defined(__AVX512BF16__)
  else if (s->bf) forward(1, 1, c, s->inputs, s->weight, bias, to, relu);
#endif
  else forward(0, 0, c, s->inputs, s->weight, bias, to, relu);
}

#define WITH(name, bf, relu, ...)                   \
  do {                                              \
    if (bf && relu) name(1, 1, __VA_ARGS__);        \
    else if (bf) name(1, 0, __VA_ARGS__);           \
    else if (relu) name(0, 1, __VA_ARGS__);         \
    else name(0, 0, __VA_ARGS__);                   \
  } while (0)

INLINE void norm_forward(const int bf, const int relu, const Step *s, const void *z, long rows) {
  if (s->trained)
    moments(bf, z, rows, s->channels, s->eps, s->mean, s->rstd, s->running_mean, s->running_var,
            *s->momentum);
  normalise(bf, z, rows, s->channels, s->mean, s->rstd, s->gamma, s->beta, relu, s->output);
}

INLINE void norm_backward(const int bf, const int relu, const Step *s, const void *z, long rows,
                          void *to, int add) {
  normalise_backward(bf, s->gradient, z, rows, s->channels, s->mean, s->rstd, s->gamma, s->beta, relu,
                     to, add, s->to_gamma, s->to_beta);
}

INLINE void masked(const int bf, const void *gradient, const void *result, long n, void *to) {
  for (long at = 0; at < n; at += LANES) {
    vec g = read_vec(bf, gradient, at);
    write_vec(bf, to, at, (vec)((ints)g & (read_vec(bf, result, at) > 0.0f)));
  }
}

static void conv_backward(const Step *s, const Conv *c) {
  const long rows = s->pixels * c->images;
  const void *gradient = s->gradient;
  double time = now();
  if (s->gamma) {
    WITH(norm_backward, s->bf, s->relu, s, s->before, rows, s->to_before, 0);
    gradient = s->to_before;
  } else if (s->relu) {
    if (s->bf) masked(1, gradient, s->output, rows * c->out, s->to_before);
    else masked(0, gradient, s->output, rows * c->out, s->to_before);
    gradient = s->to_before;
  }
  if (s->to_bias) {
    if (s->bf) column_sums(1, gradient, rows, c->out, s->to_bias);
    else column_sums(0, gradient, rows, c->out, s->to_bias);
  }
  time = done(NORMING, time);
  memset(s->to_weight, 0, 4 * c->out * c->side * c->side * c->parts * c->channels);
  int bf = s->bf;
  if (bf && s->exact) gradient = as_floats(5, 1, gradient, rows * c->out), bf = 0;
  for (long part = 0; part < c->parts; part++) {
    void *to = s->to_inputs[part];
#if defined(__AVX512BF16__)
    if (bf) {
      if (to) backward_input(1, c, gradient, s->weight, part, to, (int)s->adds[part]);
      backward_weight(1, c, s->inputs[part], gradient, part, s->to_weight);
      continue;
    }
#endif
    if (to) backward_input(0, c, gradient, s->weight, part, to, (int)s->adds[part]);
    backward_weight(0, c, s->inputs[part], gradient, part, s->to_weight);
  }
  done(BACK, time);
}

INLINE vec picked(ints where, vec yes, vec no) {
  return (vec)(((ints)yes & where) | ((ints)no & ~where));
}

/* e to the x, to 2 units in the last place (Cody & Waite's reduction, a polynomial of degree 6). */
INLINE vec exponential(vec x) {
  x = picked(x > 87.0f, (vec){0} + 87.0f, picked(x < -87.0f, (vec){0} - 87.0f, x));
  vec shifted = x * 1.44269504f + 12582912.0f; /* 1.5 * 2^23 rounds to a whole number */
  vec n = shifted - 12582912.0f;
  vec r = x - n * 0.693359375f + n * 2.12194440e-4f;
  vec p = (vec){0} + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  ints power = __builtin_convertvector(n, ints) + 127;
  return p * (vec)(power << 23);
}

INLINE vec sigmoid(vec x) { return 1.0f / (1.0f + exponential(-x)); }

INLINE vec skips_at(const int bf, const Step *s, long at) {
  vec z = {0};
  for (long i = 0; i < s->count; i++) z += s->strengths[i] * read_vec(bf, s->inputs[i], at);
  return z;
}

INLINE vec factor_at(const int bf, const Form form, const Step *s, long at, long within) {
  if (form == SCALE) return (vec){0} + read_one(bf, s->factor, 0);
  if (form == CHANNEL) return read_vec(bf, s->factor, within % s->channels);
  if (form == GATED) return read_vec(0, s->factor, within);
  return sigmoid(read_vec(bf, s->factor, at));
}

INLINE void merge(const int bf, const Form form, const Step *s, long images) {
  const long period = images * s->channels;
  for (long pixel = 0, at = 0; pixel < s->pixels; pixel++)
    for (long within = 0; within < period; within += LANES, at += LANES) {
      vec value = skips_at(bf, s, at);
      if (form == ADD) value = read_vec(bf, s->branch, at) + value;
      if (form > ADD) {
        vec f = read_vec(bf, s->branch, at), a = factor_at(bf, form, s, at, within);
        value = form == HIGHWAY ? a * f + (1 - a) * value : a * f + value;
      }
      write_vec(bf, s->output, at, s->relu ? positive(value) : value);
    }
}

INLINE void put(const int bf, void *to, long at, vec value, long add) {
  write_vec(bf, to, at, add ? value + read_vec(bf, to, at) : value);
}

INLINE void merge_backward(const int bf, const Form form, const Step *s, long images) {
  const long period = images * s->channels;
  float *to_factor = s->to_factor;
  vec total[4] = {{0}};
  if (form == GATED) memset(to_factor, 0, 4 * period);
  if (form == CHANNEL) memset(to_factor, 0, 4 * s->channels);
  for (long pixel = 0, at = 0; pixel < s->pixels; pixel++)
    for (long within = 0; within < period; within += LANES, at += LANES) {
      vec g = read_vec(bf, s->gradient, at), into = g;
      if (s->relu) into = g = (vec)((ints)g & (read_vec(bf, s->output, at) > 0.0f));
      if (form == ADD) put(bf, s->to_branch, at, g, s->add_branch);
      if (form > ADD) {
        vec f = read_vec(bf, s->branch, at), a = factor_at(bf, form, s, at, within);
        put(bf, s->to_branch, at, a * g, s->add_branch);
        if (form == SCALE) total[at / LANES % 4] += g * f;
        if (form == CHANNEL) *(vec *)(to_factor + within % s->channels) += g * f;
        if (form == GATED) *(vec *)(to_factor + within) += g * f;
        if (form == HIGHWAY) {
          write_vec(bf, s->to_factor, at, g * (f - skips_at(bf, s, at)) * a * (1 - a));
          into = (1 - a) * g;
        }
      }
      for (long i = 0; i < s->count; i++)
        put(bf, s->to_inputs[i], at, s->strengths[i] * into, s->adds[i]);
    }
  if (form == SCALE) *to_factor = (float)added(total[0] + total[1] + total[2] + total[3]);
}

#define FORMS(name, bf)                          \
  switch (s->form) {                             \
    case SUM: name(bf, SUM, s, images); break;   \
    case ADD: name(bf, ADD, s, images); break;   \
    case SCALE: name(bf, SCALE, s, images); break; \
    case CHANNEL: name(bf, CHANNEL, s, images); break; \
    case GATED: name(bf, GATED, s, images); break; \
    case HIGHWAY: name(bf, HIGHWAY, s, images); break; \
  }

/* The mean over pixels, fp32 (images, channels). */
INLINE void squeeze(const int bf, const void *map, long pixels, long n, float *to) {
  for (long j = 0; j < n; j += LANES) {
    vec sum = {0};
    for (long pixel = 0; pixel < pixels; pixel++) sum += read_vec(bf, map, pixel * n + j);
    *(vec *)(to + j) = sum / (float)pixels;
  }
}

INLINE void squeeze_backward(const int bf, const float *gradient, long pixels, long n, void *to,
                             long add) {
  for (long pixel = 0; pixel < pixels; pixel++)
    for (long j = 0; j < n; j += LANES)
      put(bf, to, pixel * n + j, *(const vec *)(gradient + j) / (float)pixels, add);
}

/* sigmoid(expand ReLU(reduce mean)): Hu et al. 2018, equation 3. Its matrices are small. */
static void excite(const Step *s, long images) {
  const long n = s->channels, r = s->conv.out;
  const float *reduce = as_floats(0, s->bf, s->weight, r * n), *b1 = as_floats(1, s->bf, s->bias, r);
  const float *expand = as_floats(2, s->bf, s->expand, n * r);
  const float *b2 = as_floats(4, s->bf, s->expand_bias, n);
  if (s->bf) squeeze(1, s->inputs[0], s->pixels, images * n, s->squeezed);
  else squeeze(0, s->inputs[0], s->pixels, images * n, s->squeezed);
  for (long image = 0; image < images; image++) {
    const float *mean = s->squeezed + image * n;
    float *hidden = s->reduced + image * r, *to = (float *)s->output + image * n;
    for (long i = 0; i < r; i++) {
      vec sum = {0};
      for (long k = 0; k < n; k += LANES)
        sum += *(const vec *)(reduce + i * n + k) * *(const vec *)(mean + k);
      float value = (float)added(sum) + b1[i];
      hidden[i] = value < 0 ? 0 : value;
    }
    for (long k = 0; k < n; k += LANES) {
      vec sum = *(const vec *)(b2 + k);
      for (long i = 0; i < r; i++)
        for (long lane = 0; lane < LANES; lane++) sum[lane] += expand[(k + lane) * r + i] * hidden[i];
      *(vec *)(to + k) = sigmoid(sum);
    }
  }
}

static void excite_backward(const Step *s, long images) {
  const long n = s->channels, r = s->conv.out;
  const float *reduce = as_floats(0, s->bf, s->weight, r * n);
  const float *expand = as_floats(2, s->bf, s->expand, n * r), *gradient = s->gradient;
  float *to_mean = scratch(1, 4 * images * n);
  memset(to_mean, 0, 4 * images * n);
  memset(s->to_weight, 0, 4 * r * n), memset(s->to_bias, 0, 4 * r);
  memset(s->to_expand, 0, 4 * n * r), memset(s->to_expand_bias, 0, 4 * n);
  for (long image = 0; image < images; image++) {
    const float *mean = s->squeezed + image * n, *hidden = s->reduced + image * r;
    const float *a = (const float *)s->output + image * n;
    for (long i = 0; i < r; i++) {
      float into = 0;
      for (long k = 0; k < n; k++) {
        const float g = gradient[image * n + k] * a[k] * (1 - a[k]);
        if (i == 0) s->to_expand_bias[k] += g;
        s->to_expand[k * r + i] += g * hidden[i];
        into += g * expand[k * r + i];
      }
      if (!(hidden[i] > 0)) continue;
      s->to_bias[i] += into;
      for (long k = 0; k < n; k++) {
        s->to_weight[i * n + k] += into * mean[k];
        to_mean[image * n + k] += into * reduce[i * n + k];
      }
    }
  }
  if (s->bf) squeeze_backward(1, to_mean, s->pixels, images * n, s->to_inputs[0], s->adds[0]);
  else squeeze_backward(0, to_mean, s->pixels, images * n, s->to_inputs[0], s->adds[0]);
}

/* A norm's running statistics as 1 / standard deviation, and folded into the convolution before it. */
static void fold(const Step *s) {
  const Conv *c = &s->conv;
  const long row = c->side * c->side * c->parts * c->channels;
  for (long k = 0; k < s->channels; k++) {
    s->rstd[k] = 1 / sqrtf(s->running_var[k] + s->eps);
    s->mean[k] = s->running_mean[k];
    if (!s->output) continue;
    const float scale = s->rstd[k] * s->gamma[k];
    const float bias = s->bias ? read_one((int)s->bias_bf, s->bias, k) : 0;
    s->to_bias[k] = (bias - s->running_mean[k]) * scale + s->beta[k];
    long i = 0;
    for (; i + LANES <= row; i += LANES) {
      if (s->bf) write_vec(1, s->output, k * row + i, scale * read_vec(1, s->weight, k * row + i));
      else write_vec(0, s->output, k * row + i, scale * read_vec(0, s->weight, k * row + i));
    }
    for (; i < row; i++) {
      const float value = scale * read_one((int)s->bf, s->weight, k * row + i);
      if (s->bf) ((uint16_t *)s->output)[k * row + i] = rounded((vec){0} + value)[0];
      else ((float *)s->output)[k * row + i] = value;
    }
  }
}

static void step_forward(const Step *s, long images) {
  Conv conv = s->conv;
  conv.images = images;
  double time = now();
  switch (s->kind) {
    case CONV:
      conv_step(s, &conv);
      time = done(CONVOLVING, time);
      if (s->gamma) WITH(norm_forward, s->bf, s->relu, s, s->before, s->pixels * images);
      break;
    case NORM: WITH(norm_forward, s->bf, s->relu, s, s->inputs[0], s->pixels * images); break;
    case MERGE:
      if (s->bf) FORMS(merge, 1) else FORMS(merge, 0)
      break;
    case EXCITE: excite(s, images); break;
    case SQUEEZE:
      if (s->bf) squeeze(1, s->inputs[0], s->pixels, images * s->channels, s->output);
      else squeeze(0, s->inputs[0], s->pixels, images * s->channels, s->output);
      break;
    case FOLD: fold(s); break;
  }
  done(s->kind == CONV || s->kind == NORM || s->kind == FOLD ? NORMING : MERGING, time);
}

static void step_backward(const Step *s, long images) {
  const long n = images * s->channels;
  Conv conv = s->conv;
  conv.images = images;
  const double time = now();
  switch (s->kind) {
    case CONV: conv_backward(s, &conv); return; /* it counts for itself */
    case NORM:
      WITH(norm_backward, s->bf, s->relu, s, s->inputs[0], s->pixels * images, s->to_inputs[0],
           (int)s->adds[0]);
      break;
    case MERGE:
      if (s->bf) FORMS(merge_backward, 1) else FORMS(merge_backward, 0)
      break;
    case EXCITE: excite_backward(s, images); break;
    case SQUEEZE:
      if (s->bf) squeeze_backward(1, s->gradient, s->pixels, n, s->to_inputs[0], s->adds[0]);
      else squeeze_backward(0, s->gradient, s->pixels, n, s->to_inputs[0], s->adds[0]);
      break;
  }
  done(s->kind == NORM ? NORMING : MERGING, time);
}

/* Runs steps in order for so many images. */
EXPORT void skipnas_forward(const Step *steps, long count, long images) {
  for (long i = 0; i < count; i++) step_forward(steps + i, images);
}

/* Runs the backward steps of steps in reverse order. */
EXPORT void skipnas_backward(const Step *steps, long count, long images) {
  for (long i = count; i-- > 0;) step_backward(steps + i, images);
}

EXPORT long skipnas_bf16(void) { /* whether products of bf16 numbers are compiled in */
#if defined(__AVX512BF16__)
  return 1;
#else
  return 0;
#endif
}

/* Of this file, see build.py. */
EXPORT const char *skipnas_source(void) { return SOURCE; }

EXPORT long skipnas_lanes(void) { return LANES; }
EXPORT long skipnas_max_taps(void) { return MAX_TAPS; }
