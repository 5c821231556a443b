// Compiles the kernel file that -DKERNEL_SOURCE="..." names for every element type. What kernel files use is included
// here, outside of the namespaces. A PLAIN_KERNEL, all of it f32, is compiled once: for the other types it is a template
// that nothing uses.
#include "columns.cuh"
#include "kernel.cuh"
#include "product.cuh"
#include "state.cuh"

namespace as_f32 {
using T = float;
#define KERNEL(name, ...) DECLARE_KERNEL(name##_f32, __VA_ARGS__)
#define PLAIN_KERNEL(name, ...) DECLARE_KERNEL(name, __VA_ARGS__)
#include KERNEL_SOURCE
#undef KERNEL
#undef PLAIN_KERNEL
#define PLAIN_KERNEL(name, ...) template <int> DEVICE void unused_##name(__VA_ARGS__)
}  // namespace as_f32

namespace as_f16 {
using T = f16;
#define KERNEL(name, ...) DECLARE_KERNEL(name##_f16, __VA_ARGS__)
#include KERNEL_SOURCE
#undef KERNEL
}  // namespace as_f16

namespace as_bf16 {
using T = bf16;
#define KERNEL(name, ...) DECLARE_KERNEL(name##_bf16, __VA_ARGS__)
#include KERNEL_SOURCE
#undef KERNEL
}  // namespace as_bf16
