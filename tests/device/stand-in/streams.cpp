// Streams, events and graphs of the stand-in driver.
#include <chrono>
#include <cstdlib>
#include <map>
#include <random>

#include "driver.hpp"

namespace {

// CUevent_flags
constexpr unsigned DISABLE_TIMING = 2;

struct Event {
    bool has_time;
    std::shared_ptr<Stream> stream;
    uint64_t ticket = 0;
    std::chrono::steady_clock::time_point passed;
};

using Works = std::vector<Run>;

std::map<void*, std::shared_ptr<Stream>> streams;
std::map<void*, std::shared_ptr<Event>> events;
std::map<void*, std::shared_ptr<Works>> graphs;
uintptr_t handles = 0x1000;

void* new_handle() { return reinterpret_cast<void*>(handles += 0x10); }

template <typename Thing>
Status forget(std::map<void*, std::shared_ptr<Thing>>& things, void* handle) {
    return things.erase(handle) ? SUCCESS : INVALID_HANDLE;
}

// Runs the next work; false where it waits for another stream's, unless that may be run too.
bool step(Stream& stream, bool whatever_it_takes) {
    Work& next = stream.queue.front();
    if (next.awaited && next.awaited->done < next.ticket) {
        if (!whatever_it_takes) return false;
        finish(*next.awaited, next.ticket);
    }
    Work work = std::move(next);
    stream.queue.pop_front();
    if (work.run && !lost) work.run();
    stream.done++;
    return true;
}

// Some of what was put in runs before anybody waits for it, as STAND_IN_ORDER says.
void go_on() {
    static const std::string order = setting("STAND_IN_ORDER") ? setting("STAND_IN_ORDER") : "late";
    if (order == "late") return;
    if (order == "early") return finish_all();
    if (order == "copies") {
        // Handles rise: the first stream is the one that computes.
        for (auto at = std::next(streams.begin()); at != streams.end(); at++) {
            while (!at->second->queue.empty() && step(*at->second, false)) continue;
        }
        return;
    }
    static std::mt19937 random(std::atoi(order.c_str()));
    auto at = streams.begin();
    std::advance(at, random() % streams.size());
    Stream& stream = *at->second;
    for (unsigned steps = random() % 4; steps > 0 && !stream.queue.empty(); steps--) {
        if (!step(stream, false)) return;
    }
}

Status push(void* handle, Work work) {
    auto stream = stream_of(handle);
    if (!stream) return INVALID_HANDLE;
    stream->queue.push_back(std::move(work));
    stream->issued++;
    go_on();
    return lost;
}

}  // namespace

std::shared_ptr<Stream> stream_of(void* handle) {
    auto found = streams.find(handle);
    return found == streams.end() ? nullptr : found->second;
}

Status submit(void* handle, Run run) {
    auto stream = stream_of(handle);
    if (!stream) return INVALID_HANDLE;
    if (!stream->recording) return push(handle, {std::move(run), nullptr, 0});
    stream->recording->works.push_back(std::move(run));
    return SUCCESS;
}

void finish(Stream& stream, uint64_t ticket) {
    while (stream.done < ticket) step(stream, true);
}

void finish_all() {
    for (auto& [handle, stream] : streams) finish(*stream, stream->issued);
}

bool breaks_a_recording() {
    bool broken = false;
    for (auto& [handle, stream] : streams) {
        auto& recording = stream->recording;
        if (recording && recording->by == std::this_thread::get_id()) broken = recording->broken = true;
    }
    return broken;
}

EXPORTED Status cuStreamCreate(void** handle, unsigned) {
    ENTER;
    streams[*handle = new_handle()] = std::make_shared<Stream>();
    return SUCCESS;
}

EXPORTED Status cuStreamDestroy_v2(void* handle) {
    ENTER;
    auto stream = stream_of(handle);
    if (stream) finish(*stream, stream->issued);
    return forget(streams, handle);
}

EXPORTED Status cuStreamSynchronize(void* handle) {
    ENTER_UNRECORDED;
    auto stream = stream_of(handle);
    if (!stream) return INVALID_HANDLE;
    finish(*stream, stream->issued);
    return lost;
}

EXPORTED Status cuStreamWaitEvent(void* handle, void* event, unsigned) {
    ENTER;
    auto found = events.find(event);
    if (found == events.end() || !stream_of(handle)) return INVALID_HANDLE;
    if (stream_of(handle)->recording) return CAPTURE_UNSUPPORTED;
    // What has been recorded by now; later recordings do not matter.
    return push(handle, {nullptr, found->second->stream, found->second->ticket});
}

EXPORTED Status cuEventCreate(void** handle, unsigned flags) {
    ENTER;
    events[*handle = new_handle()] = std::make_shared<Event>(Event{!(flags & DISABLE_TIMING), nullptr, 0, {}});
    return SUCCESS;
}

EXPORTED Status cuEventDestroy_v2(void* handle) {
    ENTER;
    return forget(events, handle);
}

EXPORTED Status cuEventRecord(void* handle, void* stream) {
    ENTER;
    auto found = events.find(handle);
    if (found == events.end() || !stream_of(stream)) return INVALID_HANDLE;
    if (stream_of(stream)->recording) return CAPTURE_UNSUPPORTED;
    auto event = found->second;
    event->stream = stream_of(stream);
    event->ticket = event->stream->issued + 1;
    return submit(stream, [event] { event->passed = std::chrono::steady_clock::now(); });
}

EXPORTED Status cuEventSynchronize(void* handle) {
    ENTER_UNRECORDED;
    auto found = events.find(handle);
    if (found == events.end()) return INVALID_HANDLE;
    // One that was never recorded has passed.
    if (found->second->stream) finish(*found->second->stream, found->second->ticket);
    return lost;
}

EXPORTED Status cuEventQuery(void* handle) {
    ENTER_UNRECORDED;
    auto found = events.find(handle);
    if (found == events.end()) return INVALID_HANDLE;
    go_on();
    const Event& event = *found->second;
    return event.stream && event.stream->done < event.ticket ? NOT_READY : lost;
}

EXPORTED Status cuEventElapsedTime_v2(float* milliseconds, void* start, void* end) {
    ENTER;
    for (void* handle : {start, end}) {
        if (!events.count(handle) || !events[handle]->has_time) return INVALID_HANDLE;
    }
    *milliseconds = std::chrono::duration<float, std::milli>(events[end]->passed - events[start]->passed).count();
    return SUCCESS;
}

EXPORTED Status cuStreamBeginCapture_v2(void* handle, int) {
    ENTER;
    auto stream = stream_of(handle);
    if (!stream || stream->recording) return INVALID_HANDLE;
    stream->recording = std::make_shared<Recording>();
    return SUCCESS;
}

EXPORTED Status cuStreamEndCapture(void* handle, void** graph) {
    ENTER;
    *graph = nullptr;
    auto stream = stream_of(handle);
    if (!stream || !stream->recording) return INVALID_HANDLE;
    auto recording = std::move(stream->recording);
    stream->recording = nullptr;
    if (recording->broken) return CAPTURE_INVALIDATED;
    graphs[*graph = new_handle()] = std::make_shared<Works>(std::move(recording->works));
    return SUCCESS;
}

EXPORTED Status cuStreamIsCapturing(void* handle, int* status) {
    ENTER;
    auto stream = stream_of(handle);
    if (!stream) return INVALID_HANDLE;
    *status = stream->recording ? (stream->recording->broken ? 2 : 1) : 0;
    return SUCCESS;
}

EXPORTED Status cuGraphInstantiateWithFlags(void** executable, void* graph, uint64_t) {
    ENTER_UNRECORDED;
    if (!graphs.count(graph)) return INVALID_HANDLE;
    auto works = graphs[graph];
    graphs[*executable = new_handle()] = works;
    return SUCCESS;
}

EXPORTED Status cuGraphLaunch(void* executable, void* stream) {
    ENTER;
    if (!graphs.count(executable)) return INVALID_HANDLE;
    return submit(stream, [works = graphs[executable]] {
        for (auto& run : *works) {
            if (!lost) run();
        }
    });
}

EXPORTED Status cuGraphUpload(void* executable, void*) {
    ENTER;
    return graphs.count(executable) ? SUCCESS : INVALID_HANDLE;
}

EXPORTED Status cuGraphDestroy(void* graph) {
    ENTER;
    return forget(graphs, graph);
}

EXPORTED Status cuGraphExecDestroy(void* executable) {
    ENTER;
    return forget(graphs, executable);
}

// For a stand-in library: puts `run(data)` into a stream, and `drop(data)` behind its last use.
EXPORTED Status stand_in_submit(void* stream, void (*run)(void*), void* data, void (*drop)(void*)) {
    ENTER;
    std::shared_ptr<void> owned(data, drop);
    return submit(stream, [run, owned] { run(owned.get()); });
}
