// A stand-in for the CUDA driver, for machines without a GPU: device memory is the process's, kernels are those of
// tests/kernels, compiled for the host, and streams are queues of work that nobody has done yet.
//
// What is put into a stream runs as late as it may: when something waits for it. So whoever reads a result, or fills a
// buffer again, without having waited as CUDA demands gets the wrong numbers here, every time. STAND_IN_ORDER chooses
// another order: `early` runs everything at once, `copies` at once what is in any stream but the first, a number some
// of it at random. Memory that was never written holds NaNs. What may not be recorded in a graph is refused, and so are
// addresses that were never given out.
//
// STAND_IN_MEMORY   the device's memory in bytes; 16 GiB where it is not set
// STAND_IN_CHECK    looks at every access of every kernel, as tests/kernels/sanitizer says; takes twice as long and more.
//                   A kernel may touch whatever lies behind its arguments in memory that was allocated as one
// STAND_IN_CALLS    says on stderr in the end how often each function was called
// STAND_IN_LOSE     NAME:COUNT, the launch of a kernel whose name begins so at which the device is lost
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#define EXPORTED extern "C" __attribute__((visibility("default")))

// CUresult
using Status = int;
constexpr Status SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_DEVICE = 101, INVALID_CONTEXT = 201,
                 INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600, ILLEGAL_ADDRESS = 700, LAUNCH_FAILED = 719,
                 CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901;

using Run = std::function<void()>;

// What a stream was given while it was captured.
struct Recording {
    std::vector<Run> works;
    bool broken = false;
    std::thread::id by = std::this_thread::get_id();
};

struct Stream;

// Something to do, or the other stream's work to wait for.
struct Work {
    Run run;
    std::shared_ptr<Stream> awaited;
    uint64_t ticket = 0;
};

struct Stream {
    std::deque<Work> queue;
    // Works that were put in, and that have run.
    uint64_t issued = 0, done = 0;
    std::shared_ptr<Recording> recording;
};

// Every call of the driver holds it, and is counted by its name.
std::unique_lock<std::recursive_mutex> enter(const char* function);

// What every call returns once the device is lost.
extern Status lost;

// How often the device's memory has been changed.
extern "C" __attribute__((visibility("default"))) uint64_t stand_in_changes;

// How many modules have been loaded.
extern "C" __attribute__((visibility("default"))) int stand_in_modules;

// The device is lost; says why on stderr.
void lose(Status status, const std::string& why);

// The value of an environment variable, or null.
const char* setting(const char* name);

// The stream of a handle; null where there is none.
std::shared_ptr<Stream> stream_of(void* handle);

// Puts work into a stream, or into the graph that is recorded of it.
Status submit(void* handle, Run run);

// Runs a stream's work up to a ticket.
void finish(Stream& stream, uint64_t ticket);

void finish_all();

// Whether this thread records a graph, which forbids what waits or allocates; the recording is then broken.
bool breaks_a_recording();

// How many bytes from there on are one piece of memory that was given out.
size_t memory_from(const void* address);

// Whether so many bytes there are memory that was given out.
bool is_memory(const void* address, size_t bytes);

// Begins a function of the driver: one thread at a time, and none once the device is lost.
#define ENTER             \
    auto entered = enter(__func__); \
    if (lost) return lost

// The same for what may not be called while this thread records a graph.
#define ENTER_UNRECORDED \
    ENTER;               \
    if (breaks_a_recording()) return CAPTURE_UNSUPPORTED
