// Runs the kernels of one file, which is compiled apart, on the host. The blocks of a grid run one after another, and the
// threads of a block as fibres, in rising order or in falling: what a kernel computes must not depend on it.
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <vector>

#define SET_BY_RUN
#include "kernel.cuh"
#include "sanitizer/sanitizer.hpp"

#define EXPORTED extern "C" __attribute__((visibility("default")))

Dim threadIdx, blockIdx, gridDim;

namespace {

constexpr size_t STACK = 64 << 10;

struct Fibre {
    ucontext_t start;
    // Where it goes on; cheaper than a ucontext, whose switch is a system call.
    jmp_buf point;
    bool begun = false;
    Wait wait = Wait::NOT;
};

std::vector<Fibre> fibres;
std::unique_ptr<char[]> stacks;
// A place for each thread to leave a value for its warp.
uint64_t exchanged[BLOCK];
jmp_buf scheduler;
// Why the launch has failed; empty where it has not.
std::string failure;
const Kernel* running;
void** running_arguments;
bool watched;

constexpr const char* DIFFERENT_BARRIERS = "threads wait at different barriers";

bool fail(const char* reason) {
    failure = reason;
    return false;
}

void fibre_main() {
    for (;;) {
        running->call(*running, running_arguments);
        wait_for(Wait::ENDED);
    }
}

void resume(unsigned thread) {
    Fibre& fibre = fibres[thread];
    threadIdx = {thread, 0, 0};
    fibre.wait = Wait::NOT;
    if (watched) sanitizer::resume_thread();
    if (_setjmp(scheduler)) return;
    if (fibre.begun) _longjmp(fibre.point, 1);
    fibre.begun = true;
    setcontext(&fibre.start);
}

// Runs a warp for as long as none of its threads needs the other warps: no warp waits for another without a barrier that
// says so. Fails where some of its threads wait at a shuffle that others never reach.
bool run_warp(unsigned warp, bool falling) {
    auto lanes = fibres.begin() + warp * WARP;
    auto any = [=](Wait wait) { return std::any_of(lanes, lanes + WARP, [=](const Fibre& own) { return own.wait == wait; }); };
    while (any(Wait::NOT)) {
        for (unsigned at = 0; at < WARP; at++) {
            unsigned thread = warp * WARP + (falling ? WARP - 1 - at : at);
            if (fibres[thread].wait == Wait::NOT) resume(thread);
            if (!failure.empty()) return false;
        }
        if (!any(Wait::WARP)) return true;
        if (any(Wait::BLOCK) || any(Wait::ENDED)) return fail(DIFFERENT_BARRIERS);
        std::for_each(lanes, lanes + WARP, [](Fibre& own) { own.wait = Wait::NOT; });
    }
    return true;
}

// Runs all threads of a block. Fails where some wait at a barrier that others never reach.
bool run_block(bool falling) {
    constexpr unsigned warps = BLOCK / WARP;
    if (watched) sanitizer::begin_block();
    for (;;) {
        for (Fibre& fibre : fibres) fibre.wait = Wait::NOT;
        for (unsigned at = 0; at < warps; at++) {
            if (!run_warp(falling ? warps - 1 - at : at, falling)) return false;
        }
        auto ended = [](const Fibre& fibre) { return fibre.wait == Wait::ENDED; };
        auto ends = std::count_if(fibres.begin(), fibres.end(), ended);
        if (ends == BLOCK) return true;
        if (ends > 0) return fail(DIFFERENT_BARRIERS);
        if (watched) sanitizer::pass_barrier();
    }
}

void make_fibres() {
    stacks.reset(new char[BLOCK * STACK]);
    fibres = std::vector<Fibre>(BLOCK);
    for (unsigned thread = 0; thread < BLOCK; thread++) {
        ucontext_t& start = fibres[thread].start;
        getcontext(&start);
        start.uc_stack.ss_sp = &stacks[thread * STACK];
        start.uc_stack.ss_size = STACK;
        makecontext(&start, fibre_main, 0);
    }
}

void run_blocks(bool falling) {
    unsigned blocks = gridDim.x * gridDim.y * gridDim.z;
    for (unsigned at = 0; at < blocks; at++) {
        unsigned block = falling ? blocks - 1 - at : at;
        blockIdx = {block % gridDim.x, block / gridDim.x % gridDim.y, block / gridDim.x / gridDim.y};
        if (!run_block(falling)) return;
    }
}

}  // namespace

void wait_for(Wait barrier) {
    Fibre& own = fibres[threadIdx.x];
    own.wait = barrier;
    if (!_setjmp(own.point)) _longjmp(scheduler, 1);
}

uint64_t exchange(uint64_t value, int mask) {
    exchanged[threadIdx.x] = value;
    wait_for(Wait::WARP);
    value = exchanged[threadIdx.x ^ mask];
    wait_for(Wait::WARP);
    return value;
}

void give_up(const char* reason) {
    failure = reason;
    _longjmp(scheduler, 1);
}

// The kernel of that name; null where this file has none.
EXPORTED const Kernel* find_kernel(const char* name) {
    const Kernel* kernel = Kernel::first;
    while (kernel && std::strcmp(kernel->name, name) != 0) kernel = kernel->next;
    return kernel;
}

EXPORTED const char* kernel_signature(const Kernel* kernel) { return kernel->signature.c_str(); }

// Null where every thread of every block came to its end, else what went wrong, until the next call. With `sizes`, the
// bytes behind each argument that is a pointer, accesses are watched, if the file is compiled so that they can be. One
// caller at a time.
EXPORTED const char* run_kernel(const Kernel* kernel, const unsigned* grid, void** arguments, const size_t* sizes,
                                bool falling) {
    if (fibres.empty()) make_fibres();
    running = kernel;
    running_arguments = arguments;
    watched = sizes != nullptr;
    gridDim = {grid[0], grid[1], grid[2]};
    failure.clear();
    try {
        if (watched) sanitizer::begin_launch(*kernel, arguments, sizes, {stacks.get(), STACK, BLOCK});
        run_blocks(falling);
    } catch (const std::exception& error) {
        failure = error.what();
    }
    sanitizer::end_launch();
    if (failure.empty()) return nullptr;
    // They are in the middle of a kernel.
    fibres.clear();
    return failure.c_str();
}
