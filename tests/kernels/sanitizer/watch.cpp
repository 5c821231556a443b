// The rules that sanitizer.hpp tells, applied to one access after another.
#include "watch.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "spans.hpp"

namespace sanitizer {

Quiet quiet;

namespace {

// A launch may take a third of what an interval's type holds.
constexpr uint32_t MOST_INTERVALS = 0xaaaaaaaa;

Spans spans;
std::vector<Named> names;
Stacks stacks;
uint32_t interval = 0, block_start = 0;

// The first intervals of the launch's blocks so far.
struct Began {
    uint32_t interval;
    Dim block;
};
std::vector<Began> blocks;

std::string thread_name(unsigned thread, const Dim& block) {
    auto number = [](unsigned value) { return std::to_string(value); };
    return "thread " + number(thread) + " of block (" + number(block.x) + ", " + number(block.y) + ", " +
           number(block.z) + ")";
}

std::string bytes_name(size_t bytes) { return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes"); }

// `thread 3 of block (0, 0, 0) reads 4 bytes `.
std::string subject(Access access, size_t bytes) {
    const char* verb = access == Access::READ ? " reads " : " writes ";
    return thread_name(threadIdx.x, blockIdx) + verb + bytes_name(bytes) + " ";
}

// Of those that overlap there the one that begins last.
const Named* name_of(uintptr_t at) {
    const Named* found = nullptr;
    for (const Named& named : names) {
        if (at >= named.start && at < named.end && (!found || named.start > found->start)) found = &named;
    }
    return found;
}

// `at byte 8 of `out` (argument 1)`.
std::string place(uintptr_t at, const Named& named) {
    return "at byte " + std::to_string(static_cast<intptr_t>(at - named.start)) + " of " + named.name;
}

std::string place(uintptr_t at) { return place(at, *name_of(at)); }

std::string size_of(const Named& named) { return ", which has " + std::to_string(named.end - named.start); }

// What an access out of bounds meets: the place by what is nearest, if it is nothing else's.
std::string nowhere(uintptr_t at, size_t bytes) {
    if (const Named* named = name_of(at)) return place(at, *named) + size_of(*named);
    if (at < 4096) return "by a null pointer";
    size_t stack = (at - reinterpret_cast<uintptr_t>(stacks.first)) / stacks.each;
    if (stack < stacks.count) return "on the stack of thread " + std::to_string(stack);
    if (are_constants(at, bytes)) return "of constants";
    auto distance = [=](const Named& named) { return at < named.start ? named.start - at : at - named.end; };
    auto is_nearer = [=](const Named& left, const Named& right) { return distance(left) < distance(right); };
    auto nearest = std::min_element(names.begin(), names.end(), is_nearer);
    return nearest == names.end() ? "where no memory is" : place(at, *nearest) + size_of(*nearest);
}

[[noreturn]] void report(const std::string& what) { give_up(what.c_str()); }

// A conflict with what `other` did in the interval `when`.
[[noreturn]] void report_race(uintptr_t at, size_t bytes, Access access, Access other_access, uint32_t when,
                              unsigned other) {
    std::string kind = access == other_access ? "write-write" : "read-write";
    std::string what = kind + " race: " + subject(access, bytes) + place(at) + ", which ";
    const char* did = other_access == Access::WRITE ? " wrote" : " read";
    if (when >= block_start) report(what + "thread " + std::to_string(other) + did + " with no barrier between them");
    auto after = std::upper_bound(blocks.begin(), blocks.end(), when,
                                  [](uint32_t when, const Began& began) { return when < began.interval; });
    report(what + thread_name(other, std::prev(after)->block) + did + " in the same launch");
}

// Whether what happened in that interval, by that thread, is ordered before what this thread does now. Other blocks' is
// not; what touched shared memory before this block was another memory's.
bool conflicts(uint32_t when, unsigned thread, bool shared) {
    return when == interval ? thread != threadIdx.x : when != 0 && when < block_start && !shared;
}

void read(Cell& cell, const Span& span, uintptr_t at, size_t bytes) {
    if (conflicts(cell.written, cell.writer, span.shared)) {
        report_race(at, bytes, Access::READ, Access::WRITE, cell.written, cell.writer);
    }
    if (span.shared && cell.written < block_start) {
        report("unwritten memory: " + subject(Access::READ, bytes) + place(at) +
               ", which no thread of its block has written");
    }
    if (cell.read == interval) {
        if (cell.reader != threadIdx.x) cell.other_reader = threadIdx.x;
        return;
    }
    if (cell.read < block_start) {
        cell.read_before = cell.read;
        cell.reader_before = cell.reader;
    }
    cell.read = interval;
    cell.reader = cell.other_reader = threadIdx.x;
}

void write(Cell& cell, const Span& span, uintptr_t at, size_t bytes) {
    if (conflicts(cell.written, cell.writer, span.shared)) {
        report_race(at, bytes, Access::WRITE, Access::WRITE, cell.written, cell.writer);
    }
    for (unsigned reader : {cell.reader, cell.other_reader}) {
        if (conflicts(cell.read, reader, span.shared)) {
            report_race(at, bytes, Access::WRITE, Access::READ, cell.read, reader);
        }
    }
    if (conflicts(cell.read_before, cell.reader_before, span.shared)) {
        report_race(at, bytes, Access::WRITE, Access::READ, cell.read_before, cell.reader_before);
    }
    cell.written = interval;
    cell.writer = threadIdx.x;
}

}  // namespace

void watch(uintptr_t at, size_t bytes, Access access, size_t aligned) {
    Span* span = spans.find(at);
    if (!span || at + bytes > span->end) {
        if (access == Access::READ && are_constants(at, bytes)) return;
        report("out of bounds: " + subject(access, bytes) + nowhere(at, bytes));
    }
    if (at % aligned != 0) {
        report("misaligned: " + subject(access, bytes) + place(at) + ", an address that is no multiple of " +
               std::to_string(aligned));
    }
    size_t cells;
    Cell* cell = span->cells_at(at, bytes, __builtin_ctzl(at | bytes | 16), cells);
    auto look = access == Access::READ ? read : write;
    for (; cells > 0; cells--, cell++) look(*cell, *span, at, bytes);
}

void begin_launch(const Kernel& kernel, void** arguments, const size_t* sizes, Stacks given) {
    stacks = given;
    names = buffers(kernel, arguments, sizes);
    spans.begin_launch(names);
    if (interval > MOST_INTERVALS) {
        spans.forget();
        interval = 0;
    }
    names.insert(names.end(), shared_variables().begin(), shared_variables().end());
    blocks.clear();
}

void begin_block() {
    block_start = ++interval;
    blocks.push_back({interval, blockIdx});
}

void pass_barrier() { interval++; }

void resume_thread() { quiet = {reinterpret_cast<uintptr_t>(stacks.first + threadIdx.x * stacks.each), stacks.each}; }

void end_launch() { quiet = {}; }

}  // namespace sanitizer
