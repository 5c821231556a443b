// What NVIDIA's compute-sanitizer does on a GPU (memcheck, racecheck, initcheck), on the host: every access of a kernel
// is looked at. A kernel file is compiled with the instrumentation of -fsanitize=thread, which calls a function at each
// access, and those functions are ours (accesses.cpp).
//
// An access lies within one buffer of the launch, as far as the launch says that the kernel goes, within one shared
// variable, or on the thread's own stack; and its address is a multiple of its size. An index that leaves a shared
// variable and meets the next is not seen.
//
// Where two threads of a block touch the same byte, and one writes it, a __syncthreads() lies between. A shuffle will
// not do, it orders no memory (CUDA C++ Programming Guide, "Warp Shuffle Functions"). Threads of different blocks do not
// touch the same byte at all where one writes it: no kernel uses an atomic or a fence. One that did would find no
// function to link with here, and needs its rule first.
//
// Shared memory that a block reads it has written. What lies in a buffer before the launch counts as written: where
// nobody wrote, NaNs lie.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shim.hpp"

namespace sanitizer {

// Stacks of the threads of a block, one after another.
struct Stacks {
    const char* first;
    size_t each, count;
};

// Begins to watch. There is a size in bytes for each argument, of which those of pointers that are not null count.
void begin_launch(const Kernel& kernel, void** arguments, const size_t* sizes, Stacks stacks);

// The block of blockIdx begins.
void begin_block();

// The threads of the block have met.
void pass_barrier();

// The thread of threadIdx goes on.
void resume_thread();

// Watches no more.
void end_launch();

}  // namespace sanitizer

// Ends the launch out of one of its threads; says what is wrong.
[[noreturn]] void give_up(const char* reason);
