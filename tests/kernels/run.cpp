// Runs the kernels of one file (-DKERNEL_SOURCE="...") on the host. The blocks of a grid run one after another, and the
// threads of a block as fibres, in rising order or in falling: what a kernel computes must not depend on it.
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "each_element.cu"

#define EXPORTED extern "C" __attribute__((visibility("default")))

Dim threadIdx, blockIdx, gridDim;
unsigned char exchanged[256][8];

namespace {

constexpr size_t STACK = 64 << 10;

struct Fibre {
    ucontext_t start;
    // Where it goes on; cheaper than a ucontext, whose switch is a system call.
    jmp_buf point;
    bool begun = false;
    Wait wait = Wait::NOT;
    std::unique_ptr<char[]> stack = std::make_unique<char[]>(STACK);
};

std::vector<Fibre> fibres;
jmp_buf scheduler;
const Kernel* running;
void** running_arguments;

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
    if (_setjmp(scheduler)) return;
    if (fibre.begun) _longjmp(fibre.point, 1);
    fibre.begun = true;
    setcontext(&fibre.start);
}

// Runs a warp for as long as none of its threads needs the other warps: no warp waits for another without a barrier that
// says so. False where some of its threads wait at a shuffle that others never reach.
bool run_warp(unsigned warp, bool falling) {
    auto lanes = fibres.begin() + warp * WARP;
    auto any = [=](Wait wait) { return std::any_of(lanes, lanes + WARP, [=](const Fibre& own) { return own.wait == wait; }); };
    while (any(Wait::NOT)) {
        for (unsigned at = 0; at < WARP; at++) {
            unsigned thread = warp * WARP + (falling ? WARP - 1 - at : at);
            if (fibres[thread].wait == Wait::NOT) resume(thread);
        }
        if (!any(Wait::WARP)) return true;
        if (any(Wait::BLOCK) || any(Wait::ENDED)) return false;
        std::for_each(lanes, lanes + WARP, [](Fibre& own) { own.wait = Wait::NOT; });
    }
    return true;
}

// Runs all threads of a block; false where some wait at a barrier that others never reach.
bool run_block(bool falling) {
    constexpr unsigned warps = BLOCK / WARP;
    for (;;) {
        for (Fibre& fibre : fibres) fibre.wait = Wait::NOT;
        for (unsigned at = 0; at < warps; at++) {
            if (!run_warp(falling ? warps - 1 - at : at, falling)) return false;
        }
        auto ended = [](const Fibre& fibre) { return fibre.wait == Wait::ENDED; };
        auto ends = std::count_if(fibres.begin(), fibres.end(), ended);
        if (ends == BLOCK) return true;
        if (ends > 0) return false;
    }
}

}  // namespace

void wait_for(Wait barrier) {
    Fibre& own = fibres[threadIdx.x];
    own.wait = barrier;
    if (!_setjmp(own.point)) _longjmp(scheduler, 1);
}

// The kernel of that name; null where this file has none.
EXPORTED const Kernel* find_kernel(const char* name) {
    const Kernel* kernel = Kernel::first;
    while (kernel && std::strcmp(kernel->name, name) != 0) kernel = kernel->next;
    return kernel;
}

EXPORTED const char* kernel_signature(const Kernel* kernel) { return kernel->signature.c_str(); }

// Whether every thread of every block came to its end. One caller at a time.
EXPORTED bool run_kernel(const Kernel* kernel, const unsigned* grid, void** arguments, bool falling) {
    if (fibres.empty()) {
        fibres = std::vector<Fibre>(BLOCK);
        for (Fibre& fibre : fibres) {
            getcontext(&fibre.start);
            fibre.start.uc_stack.ss_sp = fibre.stack.get();
            fibre.start.uc_stack.ss_size = STACK;
            makecontext(&fibre.start, fibre_main, 0);
        }
    }
    running = kernel;
    running_arguments = arguments;
    gridDim = {grid[0], grid[1], grid[2]};
    unsigned blocks = grid[0] * grid[1] * grid[2];
    for (unsigned at = 0; at < blocks; at++) {
        unsigned block = falling ? blocks - 1 - at : at;
        blockIdx = {block % grid[0], block / grid[0] % grid[1], block / grid[0] / grid[1]};
        if (!run_block(falling)) return false;
    }
    return true;
}
