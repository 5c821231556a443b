// An access of a kernel, and where the launch has got to when it happens.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sanitizer {

enum class Access { READ, WRITE };

// Accesses in these bytes are nobody else's affair: the thread's own stack, or where nothing is watched all memory.
struct Quiet {
    uintptr_t start = 0;
    size_t bytes = SIZE_MAX;
};
extern Quiet quiet;

// An access that is not quiet. `aligned` is what its address has to be a multiple of.
void watch(uintptr_t at, size_t bytes, Access access, size_t aligned);

}  // namespace sanitizer
