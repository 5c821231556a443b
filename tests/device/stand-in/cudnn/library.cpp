// A stand-in for cuDNN (libcudnn.so.9) on the stand-in driver: the functions of the backend API that src/ops/cudnn
// calls, with engines that compute on the processor, when the stream gets there.
//
// STAND_IN_CUDNN   `bare` refuses every graph of more than one operation, `nothing` every graph; with `failing` the
//                  engine that ranks first can be planned and does not run; with `wrong` it runs and computes
//                  something a little different, faster than the others, and with `all-wrong` so does every engine
#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <mutex>
#include <set>
#include <thread>

#include "descriptor.hpp"

#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace {

std::recursive_mutex busy;
std::map<void*, Shared> descriptors;
thread_local std::string last_error;

struct Handle {
    void* stream = nullptr;
};

template <typename Function>
Function driver(const char* name) {
    static void* library = dlopen("libcuda.so.1", RTLD_NOW);
    return library ? reinterpret_cast<Function>(dlsym(library, name)) : nullptr;
}

// What tensors are said to be aligned to.
constexpr uintptr_t ALIGNMENT = 16;

// What a run works on.
struct Task {
    std::shared_ptr<const Program> program;
    std::map<int64_t, char*> addresses;
    char* workspace;
    EngineFacts facts;

    // Whether running it twice is the same as running it once.
    bool can_be_repeated() const {
        std::set<char*> places;
        for (auto& [id, address] : addresses) places.insert(address);
        return places.size() == addresses.size();
    }
};

void run(void* data) {
    auto& task = *static_cast<Task*>(data);
    auto is_memory = driver<int (*)(const void*, size_t)>("stand_in_is_memory");
    int64_t workspace_bytes = task.facts.workspace;
    bool good = !workspace_bytes || is_memory(task.workspace, workspace_bytes);
    for (auto& tensor : task.program->tensors) {
        if (tensor.is_virtual) continue;
        const char* address = task.addresses[tensor.id];
        good = good && is_memory(address, tensor.bytes()) && reinterpret_cast<uintptr_t>(address) % ALIGNMENT == 0;
    }
    if (!good) return driver<void (*)(const char*)>("stand_in_lose")("a convolution's tensors are no aligned memory");
    // A clock is to prefer the wrong one.
    if (is_set("wrong") && !task.facts.is_wrong) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    // To run again what has just run would change nothing, and plans are timed so.
    static Task last{};
    static uint64_t since;
    auto& changes = *driver<uint64_t*>("stand_in_changes");
    bool again = last.program == task.program && last.facts.index == task.facts.index &&
                 last.addresses == task.addresses && since == changes;
    if (again && task.can_be_repeated()) return;
    std::memset(task.workspace, 0xff, workspace_bytes);
    // Each engine has a flaw of its own, where there is more than one to have.
    bool sums_first = task.facts.index != 0;
    (task.facts.is_wrong ? flawed(*task.program, sums_first) : *task.program).run(task.addresses);
    last = task;
    since = ++changes;
}

void drop(void* data) { delete static_cast<Task*>(data); }

Shared shared(void* raw) {
    auto found = descriptors.find(raw);
    if (found == descriptors.end()) throw Refusal(BAD_PARAM, "no descriptor");
    return found->second;
}

// Whatever is refused or thrown becomes a status and what the last error says.
template <typename Work>
Status guarded(Work work) {
    std::lock_guard alone(busy);
    try {
        work();
        return SUCCESS;
    } catch (const Refusal& refusal) {
        last_error = refusal.what();
        return refusal.status;
    } catch (const std::exception& error) {
        last_error = error.what();
        return NOT_SUPPORTED;
    }
}

bool refuses(const Program& program) {
    return is_set("nothing") || (is_set("bare") && program.operations.size() > 1);
}

// cudnnBackendAttributeType_t
constexpr int I64 = 3, NUMERICAL_NOTE = 11, BEHAVIOR_NOTE = 19;
constexpr int TENSOR_CORE = 0;

void fill_engine(Descriptor& own, const Shared& graph, const EngineFacts& facts) {
    own.attributes[1300] = {DESCRIPTOR, 1, {}, {graph}};
    own.say<int64_t>(1301, I64, {facts.index});
    own.say<int>(1303, NUMERICAL_NOTE, {TENSOR_CORE});
    own.say<int>(1305, BEHAVIOR_NOTE, {});
    own.is_final = true;
}

void finalize_plan(Descriptor& own) {
    std::shared_ptr<const Program> program;
    int64_t index;
    if (own.has(405)) {
        auto text = own.all<char>(405);
        std::string plan(text.begin(), text.end());
        index = std::stoll(plan);
        program = std::make_shared<Program>(Program::of(plan.substr(plan.find(' ') + 1)));
    } else {
        const Descriptor& chosen = *own.other(401)->other(300);
        index = chosen.one<int64_t>(1301);
        program = chosen.other(1300)->program;
    }
    EngineFacts facts = engine(index);
    if (!facts.can_be_planned) throw Refusal(NOT_SUPPORTED, "this engine can never be planned");
    own.program = program;
    own.say<int64_t>(402, I64, {facts.workspace});
    std::string text = std::to_string(index) + ' ' + program->text();
    own.say<char>(405, 24, {text.begin(), text.end()});
}

void finalize(Descriptor& own) {
    if (own.is_final) throw Refusal(BAD_PARAM, "finalised twice");
    if (own.kind == GRAPH) own.program = std::make_shared<Program>(program_of(own));
    if (own.kind == PLAN) finalize_plan(own);
    if (own.kind == HEURISTIC && refuses(*own.other(201)->program)) {
        throw Refusal(NOT_SUPPORTED, "the stand-in was told to refuse this");
    }
    if (own.kind == ENGINE) fill_engine(own, own.other(1300), engine(own.one<int64_t>(1301)));
    own.is_final = true;
}

// Fills the descriptors that the caller made, as many as there are.
void fill(const Descriptor& own, int name, int64_t room, int64_t* count, void** values) {
    if (name == 202) {
        auto offered = engines(own.one<int>(200));
        *count = offered.size();
        for (int64_t at = 0; at < std::min(room, *count); at++) {
            Descriptor& config = *shared(values[at]);
            auto chosen = std::make_shared<Descriptor>(Descriptor{ENGINE, false, {}, nullptr});
            fill_engine(*chosen, own.other(201), offered[at]);
            config.attributes[300] = {DESCRIPTOR, 1, {}, {chosen}};
            config.is_final = true;
        }
    } else if (name == 300) {
        *count = 1;
        if (room > 0) *shared(values[0]) = *own.other(300);
    } else {
        // Knobs, of which the engines have none.
        *count = 0;
    }
}

}  // namespace

EXPORTED size_t cudnnGetVersion() { return 91900; }

EXPORTED const char* cudnnGetErrorString(Status status) {
    switch (status) {
        case SUCCESS: return "CUDNN_STATUS_SUCCESS";
        case BAD_PARAM: return "CUDNN_STATUS_BAD_PARAM";
        case NOT_SUPPORTED: return "CUDNN_STATUS_NOT_SUPPORTED";
        case EXECUTION_FAILED: return "CUDNN_STATUS_EXECUTION_FAILED";
        default: return "CUDNN_STATUS_INTERNAL_ERROR";
    }
}

EXPORTED void cudnnGetLastErrorString(char* text, size_t room) { std::snprintf(text, room, "%s", last_error.c_str()); }

EXPORTED Status cudnnCreate(Handle** handle) {
    *handle = new Handle;
    return SUCCESS;
}

EXPORTED Status cudnnDestroy(Handle* handle) {
    delete handle;
    return SUCCESS;
}

EXPORTED Status cudnnSetStream(Handle* handle, void* stream) {
    handle->stream = stream;
    return SUCCESS;
}

EXPORTED Status cudnnBackendCreateDescriptor(int kind, void** raw) {
    return guarded([&] {
        auto own = std::make_shared<Descriptor>(Descriptor{static_cast<Kind>(kind), false, {}, nullptr});
        descriptors[*raw = own.get()] = own;
    });
}

EXPORTED Status cudnnBackendDestroyDescriptor(void* raw) {
    return guarded([&] { descriptors.erase(raw); });
}

EXPORTED Status cudnnBackendSetAttribute(void* raw, int name, int type, int64_t count, const void* values) {
    return guarded([&] {
        // By cudnnBackendAttributeType_t.
        static const std::map<int, size_t> sizes = {{0, 8},  {1, 4},  {2, 1},  {3, 8},  {4, 4},   {5, 8},  {6, 8},
                                                    {7, 4},  {8, 4},  {9, 4},  {11, 4}, {14, 4},  {15, 8}, {16, 4},
                                                    {18, 4}, {19, 4}, {24, 1}};
        auto own = shared(raw);
        if (own->is_final) throw Refusal(BAD_PARAM, "a final descriptor is set");
        Attribute attribute{type, count, {}, {}};
        auto* start = static_cast<const char*>(values);
        if (type == DESCRIPTOR) {
            for (int64_t at = 0; at < count; at++) {
                attribute.others.push_back(shared(static_cast<void* const*>(values)[at]));
                if (!attribute.others.back()->is_final) throw Refusal(BAD_PARAM, "a descriptor that is not final");
            }
        } else {
            attribute.bytes.assign(start, start + count * sizes.at(type));
        }
        own->attributes[name] = attribute;
    });
}

EXPORTED Status cudnnBackendGetAttribute(void* raw, int name, int type, int64_t room, int64_t* count, void* values) {
    return guarded([&] {
        auto own = shared(raw);
        if (!own->is_final) throw Refusal(NOT_INITIALIZED_DESCRIPTOR, "a descriptor that is not final is asked");
        if (type == DESCRIPTOR) return fill(*own, name, room, count, static_cast<void**>(values));
        auto& attribute = own->attribute(name);
        if (attribute.type != type) throw Refusal(BAD_PARAM, "an attribute of another type");
        *count = attribute.count;
        if (attribute.count > 0) {
            size_t size = attribute.bytes.size() / attribute.count;
            std::memcpy(values, attribute.bytes.data(), size * std::min(room, *count));
        }
    });
}

EXPORTED Status cudnnBackendFinalize(void* raw) {
    return guarded([&] { finalize(*shared(raw)); });
}

EXPORTED Status cudnnBackendExecute(Handle* handle, void* plan, void* pack) {
    return guarded([&] {
        auto own = shared(plan), bound = shared(pack);
        auto text = own->all<char>(405);
        EngineFacts facts = engine(std::stoll(std::string(text.begin(), text.end())));
        if (!facts.can_run) throw Refusal(EXECUTION_FAILED, "this engine never runs");
        auto* task = new Task{own->program, {}, bound->one<char*>(1003), facts};
        auto ids = bound->all<int64_t>(1000);
        auto addresses = bound->all<char*>(1001);
        for (size_t at = 0; at < ids.size(); at++) task->addresses[ids[at]] = addresses[at];
        auto submit = driver<int (*)(void*, void (*)(void*), void*, void (*)(void*))>("stand_in_submit");
        if (submit(handle->stream, run, task, drop)) throw Refusal(EXECUTION_FAILED, "the driver refuses");
    });
}
