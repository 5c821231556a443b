// What every kernel file stands on: element types, 16-byte accesses to eight channels, and how a kernel is declared.
//
// A kernel file is compiled once for each element type (see each_element.cu), in which `T` is the type, and
// `KERNEL(name, parameters...)` declares `name_f32`, `name_f16` and `name_bf16`; `PLAIN_KERNEL` declares `name` once.
// Parameters are pointers, int and float, which launch.rs passes in order. Feature maps are NHWC with a multiple
// of eight channels, so that eight of them are one aligned access. Sums are f32 whatever T is.
//
// Without nvcc, shim.hpp of the tests stands in for CUDA: the same sources then run on the host.
#pragma once

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#define DEVICE __device__ __forceinline__
#define DECLARE_KERNEL(name, ...) extern "C" __global__ void __launch_bounds__(256) name(__VA_ARGS__)
using f16 = __half;
using bf16 = __nv_bfloat16;
#else
#include "shim.hpp"
#define DEVICE inline
#endif

// Threads of every block: `BLOCK` of launch.rs.
constexpr int BLOCK = 256;
constexpr int WARP = 32;
// Channels that one thread takes.
constexpr int EIGHT = 8;

DEVICE float to_float(float x) { return x; }
DEVICE float to_float(f16 x) { return __half2float(x); }
DEVICE float to_float(bf16 x) { return __bfloat162float(x); }

DEVICE void from_float(float x, float& out) { out = x; }
DEVICE void from_float(float x, f16& out) { out = __float2half_rn(x); }
DEVICE void from_float(float x, bf16& out) { out = __float2bfloat16_rn(x); }

// Eight values as 16-byte words.
template <typename Element>
union Packed {
    uint4 words[sizeof(Element) * EIGHT / sizeof(uint4)];
    Element values[EIGHT];
    DEVICE Packed() {}
};

// What stands for SiLU where a kernel takes a slope, which is at most 1: `SILU` of launch.rs.
constexpr float SILU = 2.0f;

// share / (1 + exp(-x)) without a branch, by the hardware's exponential and reciprocal: off by about
// 4 + 1.2 * |x| units of the last place (CUDA C++ Programming Guide, "Intrinsic Functions").
DEVICE float sigmoid(float x, float share = 1.0f) { return __fdividef(share, 1.0f + __expf(-x)); }

// max(x, slope * x); NaN stays NaN.
DEVICE float leaky(float x, float slope) {
    float scaled = x * slope;
    return scaled > x ? scaled : x;
}

// leaky(x, slope), or x * sigmoid(x) for SILU.
DEVICE float activate(float x, float slope) { return slope == SILU ? sigmoid(x, x) : leaky(x, slope); }

// The slope of x * sigmoid(x).
DEVICE float silu_slope(float x) {
    float gate = sigmoid(x);
    return gate * (1.0f + x * (1.0f - gate));
}

// Eight consecutive values in registers, as f32.
struct Eight {
    float at[EIGHT];

    DEVICE static Eight filled(float value) {
        Eight eight;
#pragma unroll
        for (int i = 0; i < EIGHT; i++) eight.at[i] = value;
        return eight;
    }

    // `from` is aligned to 16 bytes.
    template <typename Element>
    DEVICE static Eight load(const Element* from) {
        Packed<Element> packed;
        constexpr int words = sizeof(packed.words) / sizeof(uint4);
#pragma unroll
        for (int i = 0; i < words; i++) packed.words[i] = reinterpret_cast<const uint4*>(from)[i];
        Eight eight;
#pragma unroll
        for (int i = 0; i < EIGHT; i++) eight.at[i] = to_float(packed.values[i]);
        return eight;
    }

    // `to` is aligned to 16 bytes.
    template <typename Element>
    DEVICE void store(Element* to) const {
        Packed<Element> packed;
        constexpr int words = sizeof(packed.words) / sizeof(uint4);
#pragma unroll
        for (int i = 0; i < EIGHT; i++) from_float(at[i], packed.values[i]);
#pragma unroll
        for (int i = 0; i < words; i++) reinterpret_cast<uint4*>(to)[i] = packed.words[i];
    }

    DEVICE void add(const Eight& other, float weight = 1.0f) {
#pragma unroll
        for (int i = 0; i < EIGHT; i++) at[i] += weight * other.at[i];
    }

    // The activation of each value. Which one it is is asked once: asked for each value, it is a jump for each.
    DEVICE void activate(float slope) {
        if (slope == SILU) {
#pragma unroll
            for (int i = 0; i < EIGHT; i++) at[i] = sigmoid(at[i], at[i]);
        } else {
#pragma unroll
            for (int i = 0; i < EIGHT; i++) at[i] = leaky(at[i], slope);
        }
    }

    // A gradient on its way back through the leaky ReLU that was given `sign`, or gave it. A factor is chosen rather than
    // a way, so that no lane of a warp waits for others.
    DEVICE void leak_back(const Eight& sign, float slope) {
#pragma unroll
        for (int i = 0; i < EIGHT; i++) at[i] *= sign.at[i] > 0.0f ? 1.0f : slope;
    }
};

// The place of this thread among all of a one-dimensional grid's, which launch.rs keeps below 2^31.
DEVICE int thread_index() { return static_cast<int>(blockIdx.x * BLOCK + threadIdx.x); }

// What all lanes of a warp get: their sum.
template <typename Number>
DEVICE Number warp_sum(Number value) {
#pragma unroll
    for (int step = WARP / 2; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
    return value;
}

// What all threads of a block get: their sum, in an order that depends on nothing. `scratch` holds a value a warp.
template <typename Number>
DEVICE Number block_sum(Number value, Number* scratch) {
    value = warp_sum(value);
    __syncthreads();
    if (threadIdx.x % WARP == 0) scratch[threadIdx.x / WARP] = value;
    __syncthreads();
    Number total = 0;
    for (int warp = 0; warp < BLOCK / WARP; warp++) total += scratch[warp];
    return total;
}
