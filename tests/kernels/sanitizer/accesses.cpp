// What compilers call at each access of code that is compiled with -fsanitize=thread: GCC and Clang, at sizes that they
// know and at others. Nothing of libtsan is linked.
#include <cstring>

#include "watch.hpp"

using sanitizer::Access;

namespace {

inline void look(const void* address, size_t bytes, Access access, size_t aligned) {
    auto at = reinterpret_cast<uintptr_t>(address);
    if (at - sanitizer::quiet.start < sanitizer::quiet.bytes || bytes == 0) return;
    sanitizer::watch(at, bytes, access, aligned);
}

}  // namespace

// An access at one instruction, and one that the source says may be at any address.
#define ACCESSES(bytes)                                                                                               \
    void __tsan_read##bytes(void* at) { look(at, bytes, Access::READ, bytes); }                                       \
    void __tsan_write##bytes(void* at) { look(at, bytes, Access::WRITE, bytes); }                                     \
    void __tsan_unaligned_read##bytes(void* at) { look(at, bytes, Access::READ, 1); }                                 \
    void __tsan_unaligned_write##bytes(void* at) { look(at, bytes, Access::WRITE, 1); }

extern "C" {

ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

void __tsan_read_range(void* at, size_t bytes) { look(at, bytes, Access::READ, 1); }
void __tsan_write_range(void* at, size_t bytes) { look(at, bytes, Access::WRITE, 1); }

void* __tsan_memcpy(void* to, const void* from, size_t bytes) {
    look(from, bytes, Access::READ, 1);
    look(to, bytes, Access::WRITE, 1);
    return std::memcpy(to, from, bytes);
}

void* __tsan_memmove(void* to, const void* from, size_t bytes) {
    look(from, bytes, Access::READ, 1);
    look(to, bytes, Access::WRITE, 1);
    return std::memmove(to, from, bytes);
}

void* __tsan_memset(void* to, int byte, size_t bytes) {
    look(to, bytes, Access::WRITE, 1);
    return std::memset(to, byte, bytes);
}

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
}
