// Memory of the stand-in driver: what is given out is remembered, and what nobody wrote holds NaNs.
#include <cstdlib>
#include <cstring>
#include <map>

#include "driver.hpp"

uint64_t stand_in_changes = 0;

namespace {

constexpr size_t ALIGNMENT = 256;
// A NaN in every type that kernels know.
constexpr int NOTHING = 0xff;

struct Block {
    size_t bytes;
    // In the order of the stream that it was allocated in; before that and after its end nobody may touch it.
    bool alive;
};

std::map<char*, Block> blocks;
std::map<char*, size_t> pinned;
size_t taken = 0;

size_t all() {
    static const size_t bytes = setting("STAND_IN_MEMORY") ? std::strtoull(setting("STAND_IN_MEMORY"), nullptr, 10)
                                                           : size_t{16} << 30;
    return bytes;
}

Status allocate(uint64_t* address, size_t bytes, char** start) {
    if (bytes == 0) return INVALID_VALUE;
    if (bytes > all() - taken) return OUT_OF_MEMORY;
    *start = static_cast<char*>(std::aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT));
    if (!*start) return OUT_OF_MEMORY;
    taken += bytes;
    blocks[*start] = {bytes, false};
    *address = reinterpret_cast<uint64_t>(*start);
    return SUCCESS;
}

void begin(char* start) {
    stand_in_changes++;
    Block& block = blocks[start];
    block.alive = true;
    std::memset(start, NOTHING, block.bytes);
}

void end(char* start) {
    taken -= blocks[start].bytes;
    blocks.erase(start);
    std::free(start);
}

bool is_pinned(const void* address, size_t bytes) {
    auto at = pinned.upper_bound(static_cast<char*>(const_cast<void*>(address)));
    if (at == pinned.begin()) return false;
    --at;
    return static_cast<const char*>(address) + bytes <= at->first + at->second;
}

// `device_sides` are the addresses that must be the device's.
Status copy(void* to, const void* from, size_t bytes, std::vector<const void*> device_sides, void* stream) {
    return submit(stream, [=] {
        for (const void* side : device_sides) {
            if (!is_memory(side, bytes)) return lose(ILLEGAL_ADDRESS, "a copy from or to what is no device memory");
        }
        stand_in_changes++;
        std::memmove(to, from, bytes);
    });
}

void* pointer(uint64_t address) { return reinterpret_cast<void*>(address); }

}  // namespace

size_t memory_from(const void* address) {
    auto at = blocks.upper_bound(static_cast<char*>(const_cast<void*>(address)));
    if (at == blocks.begin()) return 0;
    --at;
    auto end = at->first + at->second.bytes;
    return at->second.alive && address < end ? end - static_cast<const char*>(address) : 0;
}

bool is_memory(const void* address, size_t bytes) { return bytes <= memory_from(address); }

// For a stand-in library.
EXPORTED int stand_in_is_memory(const void* address, size_t bytes) {
    auto entered = enter(__func__);
    return is_memory(address, bytes);
}

EXPORTED Status cuMemGetInfo_v2(size_t* free, size_t* total) {
    ENTER;
    *total = all();
    *free = all() - taken;
    return SUCCESS;
}

EXPORTED Status cuMemAlloc_v2(uint64_t* address, size_t bytes) {
    ENTER_UNRECORDED;
    char* start;
    Status status = allocate(address, bytes, &start);
    if (!status) begin(start);
    return status;
}

EXPORTED Status cuMemFree_v2(uint64_t address) {
    ENTER_UNRECORDED;
    finish_all();
    if (!blocks.count(static_cast<char*>(pointer(address)))) return INVALID_VALUE;
    end(static_cast<char*>(pointer(address)));
    return SUCCESS;
}

EXPORTED Status cuMemAllocAsync(uint64_t* address, size_t bytes, void* stream) {
    ENTER_UNRECORDED;
    char* start;
    Status status = allocate(address, bytes, &start);
    return status ? status : submit(stream, [start] { begin(start); });
}

EXPORTED Status cuMemFreeAsync(uint64_t address, void* stream) {
    // What a lost device held is freed all the same.
    auto entered = enter(__func__);
    if (breaks_a_recording()) return CAPTURE_UNSUPPORTED;
    char* start = static_cast<char*>(pointer(address));
    if (!blocks.count(start)) return INVALID_VALUE;
    return submit(stream, [start] { end(start); });
}

EXPORTED Status cuMemHostAlloc(void** start, size_t bytes, unsigned) {
    ENTER_UNRECORDED;
    if (bytes == 0) return INVALID_VALUE;
    *start = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    if (!*start) return OUT_OF_MEMORY;
    std::memset(*start, NOTHING, bytes);
    pinned[static_cast<char*>(*start)] = bytes;
    return SUCCESS;
}

EXPORTED Status cuMemFreeHost(void* start) {
    ENTER_UNRECORDED;
    if (!pinned.erase(static_cast<char*>(start))) return INVALID_VALUE;
    // A copy that is still to come would read it: CUDA waits for it too.
    finish_all();
    std::free(start);
    return SUCCESS;
}

EXPORTED Status cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void* stream) {
    ENTER;
    if (is_pinned(from, bytes)) return copy(pointer(to), from, bytes, {pointer(to)}, stream);
    // From memory that is not pinned CUDA copies to a buffer of its own before it returns.
    std::shared_ptr<char[]> own(new char[bytes]);
    std::memcpy(own.get(), from, bytes);
    return submit(stream, [=] {
        if (!is_memory(pointer(to), bytes)) return lose(ILLEGAL_ADDRESS, "a copy to what is no memory of the device");
        stand_in_changes++;
        std::memcpy(pointer(to), own.get(), bytes);
    });
}

EXPORTED Status cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void* stream) {
    ENTER;
    Status status = copy(to, pointer(from), bytes, {pointer(from)}, stream);
    if (status || is_pinned(to, bytes)) return status;
    // To memory that is not pinned CUDA copies before it returns.
    if (breaks_a_recording()) return CAPTURE_UNSUPPORTED;
    finish(*stream_of(stream), stream_of(stream)->issued);
    return lost;
}

EXPORTED Status cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void* stream) {
    ENTER;
    return copy(pointer(to), pointer(from), bytes, {pointer(to), pointer(from)}, stream);
}
