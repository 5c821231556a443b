// Memory that kernels may touch, and what is known of each of its bytes.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "sanitizer.hpp"

namespace sanitizer {

// Who touched some bytes last. Times are intervals: they begin with each block and each barrier, and count from 1 on.
struct Cell {
    uint32_t written, read;
    // When threads of a block before that of `read` read it last.
    uint32_t read_before;
    // A second reader in the same interval, if it is not the first.
    uint8_t writer, reader, other_reader, reader_before;
};

struct Free {
    void operator()(void* memory) const { std::free(memory); }
};

// A shared variable, or the launch's buffers as far as they overlap.
struct Span {
    uintptr_t start, end;
    bool shared;
    // Bytes of a cell, as a power of two: the smallest that was accessed so far.
    unsigned granule = 4;
    // Taken when it is first touched: large buffers are touched in places.
    std::unique_ptr<Cell[], Free> cells = nullptr;

    // The cell of an address, and how many cells `bytes` from there on have; 2^unit divides both.
    Cell* cells_at(uintptr_t at, size_t bytes, unsigned unit, size_t& count) {
        if (!cells || unit < granule) divide(unit);
        count = bytes >> granule;
        return &cells[(at - base()) >> granule];
    }

  private:
    uintptr_t base() const { return start & ~uintptr_t{15}; }
    void divide(unsigned unit);
};

// What reports call by its name.
struct Named {
    uintptr_t start, end;
    std::string name;
};

// Shared variables of this library: function-local statics.
const std::vector<Named>& shared_variables();

// Whether the bytes are constants of this library.
bool are_constants(uintptr_t at, size_t bytes);

// The buffers of a launch.
std::vector<Named> buffers(const Kernel& kernel, void** arguments, const size_t* sizes);

// Spans in rising order, and the one that an address is in.
class Spans {
  public:
    void begin_launch(const std::vector<Named>& buffers);

    // Null where it is in none.
    Span* find(uintptr_t at);

    // Forgets who touched shared variables.
    void forget();

  private:
    std::vector<Span> spans;
    // By some bits of the address, the span found last.
    Span* found[64] = {};
};

}  // namespace sanitizer
