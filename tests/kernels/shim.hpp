// What a kernel file needs of CUDA, on the host: types, shuffles and barriers, and a table of the kernels with their
// signatures. Threads of a block are fibres that run one at a time, up to the next barrier; run.cpp schedules them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

// With -fsanitize=thread GCC leaves it to libtsan to see these; Clang calls them by these names itself.
#ifdef __SANITIZE_THREAD__
extern "C" {
void* memcpy(void* to, const void* from, size_t bytes) noexcept __asm__("__tsan_memcpy");
void* memmove(void* to, const void* from, size_t bytes) noexcept __asm__("__tsan_memmove");
void* memset(void* to, int byte, size_t bytes) noexcept __asm__("__tsan_memset");
}
#endif

using std::isfinite;
using std::isnan;

#define __shared__ static
// What is no access of a kernel's, though it stands in its file (see sanitizer/sanitizer.hpp).
#define UNWATCHED __attribute__((no_sanitize("thread")))
#define DECLARE_KERNEL(name, ...)                                 \
    extern "C" void name(__VA_ARGS__);                            \
    static const Kernel kernel_##name(#name, #__VA_ARGS__, name); \
    extern "C" void name(__VA_ARGS__)

struct Dim {
    unsigned x, y, z;
};
// A vector, which compilers load and store whole.
using uint4 = unsigned __attribute__((vector_size(16)));

// To a thread they are constants, which are no memory; run.cpp, which sets them, defines it empty.
#ifndef SET_BY_RUN
#define SET_BY_RUN const
#endif
extern SET_BY_RUN Dim threadIdx, blockIdx, gridDim;

// Where a fibre waits.
enum class Wait { NOT, WARP, BLOCK, ENDED };
void wait_for(Wait barrier);

// What the hardware does with fewer digits.
inline float __expf(float x) { return std::exp(x); }
inline float __fdividef(float x, float y) { return x / y; }

inline void __syncthreads() { wait_for(Wait::BLOCK); }

// The value of the thread of the warp whose number differs by the mask.
uint64_t exchange(uint64_t value, int mask);

template <typename Number>
Number __shfl_xor_sync(unsigned, Number value, int mask) {
    static_assert(sizeof(Number) <= sizeof(uint64_t));
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(Number));
    bits = exchange(bits, mask);
    std::memcpy(&value, &bits, sizeof(Number));
    return value;
}

// IEEE half precision; conversions round to nearest, ties to even.
struct f16 {
    uint16_t bits;
};

inline float __half2float(f16 half) {
    int exponent = half.bits >> 10 & 31, fraction = half.bits & 1023;
    float value = exponent == 0    ? std::ldexp(static_cast<float>(fraction), -24)
                  : exponent == 31 ? (fraction ? NAN : INFINITY)
                                   : std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
    return half.bits & 0x8000 ? -value : value;
}

inline f16 __float2half_rn(float value) {
    uint16_t sign = std::signbit(value) ? 0x8000 : 0;
    value = std::fabs(value);
    if (std::isnan(value)) return {0x7fff};
    // 65520 lies halfway between the largest half and the next, and ties to the even one, which is infinity.
    if (value >= 65520.0f) return {static_cast<uint16_t>(sign | 0x7c00)};
    int exponent = value == 0.0f ? -14 : std::max(std::ilogb(value), -14);
    // In units of the last place; a carry into the exponent is right as it is.
    auto units = static_cast<int>(std::nearbyint(std::ldexp(value, 10 - exponent)));
    return {static_cast<uint16_t>(sign | (((exponent + 14) << 10) + units))};
}

// The upper half of a float.
struct bf16 {
    uint16_t bits;
};

inline float __bfloat162float(bf16 value) {
    uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
    float wide;
    std::memcpy(&wide, &bits, sizeof wide);
    return wide;
}

inline bf16 __float2bfloat16_rn(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    if (std::isnan(value)) return {0x7fff};
    return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

// A kernel with its signature: p for a pointer, i for int, f for float.
struct Kernel {
    static inline const Kernel* first = nullptr;

    const char* name;
    // As the kernel declares them.
    const char* parameters;
    const Kernel* next;
    void (*call)(const Kernel& kernel, void** arguments);
    std::string signature;
    void (*function)();

    template <typename... Parameters>
    Kernel(const char* name, const char* parameters, void (*kernel)(Parameters...))
        : name(name), parameters(parameters), next(first) {
        (signature.push_back(letter<Parameters>()), ...);
        function = reinterpret_cast<void (*)()>(kernel);
        call = begin<Parameters...>;
        first = this;
    }

    template <typename... Parameters>
    UNWATCHED static void begin(const Kernel& own, void** arguments) {
        invoke(reinterpret_cast<void (*)(Parameters...)>(own.function), arguments,
               std::index_sequence_for<Parameters...>());
    }

    template <typename... Parameters, size_t... Places>
    UNWATCHED static void invoke(void (*kernel)(Parameters...), void** arguments, std::index_sequence<Places...>) {
        kernel(*static_cast<Parameters*>(arguments[Places])...);
    }

    template <typename Parameter>
    static constexpr char letter() {
        static_assert(std::is_pointer_v<Parameter> || std::is_same_v<Parameter, int> || std::is_same_v<Parameter, float>);
        return std::is_pointer_v<Parameter> ? 'p' : std::is_same_v<Parameter, int> ? 'i' : 'f';
    }
};
