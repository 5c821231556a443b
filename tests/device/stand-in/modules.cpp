// The device of the stand-in driver, its kernels, and the names of errors.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>

#include "driver.hpp"

Status lost = SUCCESS;
int stand_in_modules = 0;

namespace {

constexpr unsigned BLOCK = 256;
// CUdevice_attribute
constexpr int MAJOR = 75, MINOR = 76, MEMORY_POOLS = 115;

thread_local void* current = nullptr;
int context;

// A kernel of a library that tests/kernels/run.cpp made.
struct Kernel {
    std::string name;
    const void* own;
    std::string signature;
    const char* (*run)(const void* kernel, const unsigned* grid, void** arguments, const size_t* sizes, bool falling);
    bool has_run = false;
};

std::map<std::string, Kernel> kernels;

template <typename Function>
Function symbol(void* library, const char* name) {
    return reinterpret_cast<Function>(dlsym(library, name));
}

// Every library in the folder `kernels` beside this one.
const std::vector<void*>& libraries() {
    static const std::vector<void*> opened = [] {
        Dl_info self;
        dladdr(reinterpret_cast<void*>(&libraries), &self);
        std::vector<void*> found;
        for (auto& entry : std::filesystem::directory_iterator(
                 std::filesystem::canonical(self.dli_fname).parent_path() / "kernels")) {
            void* library = dlopen(entry.path().c_str(), RTLD_NOW | RTLD_LOCAL);
            if (!library) std::fprintf(stderr, "stand-in: %s\n", dlerror());
            if (library) found.push_back(library);
        }
        return found;
    }();
    return opened;
}

Kernel* kernel_named(const std::string& name) {
    auto known = kernels.find(name);
    if (known != kernels.end()) return &known->second;
    for (void* library : libraries()) {
        const void* own = symbol<const void* (*)(const char*)>(library, "find_kernel")(name.c_str());
        if (!own) continue;
        const char* signature = symbol<const char* (*)(const void*)>(library, "kernel_signature")(own);
        return &(kernels[name] = {name, own, signature, symbol<decltype(Kernel::run)>(library, "run_kernel")});
    }
    return nullptr;
}

// Whether the device is to be lost at this launch.
bool is_the_last(const std::string& name) {
    static const std::string last = setting("STAND_IN_LOSE") ? setting("STAND_IN_LOSE") : "";
    if (last.empty()) return false;
    static const size_t colon = last.rfind(':');
    static int left = std::atoi(last.c_str() + colon + 1);
    return name.rfind(last.substr(0, colon), 0) == 0 && --left == 0;
}

struct Calls {
    std::map<std::string, size_t> counts;

    ~Calls() {
        if (!setting("STAND_IN_CALLS")) return;
        for (auto& [name, count] : counts) std::fprintf(stderr, "stand-in: %s was called %zu times\n", name.c_str(), count);
    }
};

// The arguments as they are when a kernel is launched: its caller's may be gone when it runs.
using Arguments = std::vector<std::array<char, 8>>;

void run(Kernel& kernel, std::array<unsigned, 3> grid, Arguments arguments) {
    if (is_the_last(kernel.name)) return lose(LAUNCH_FAILED, kernel.name + " was to be the last");
    std::vector<void*> pointers;
    std::vector<size_t> sizes(arguments.size());
    for (size_t at = 0; at < arguments.size(); at++) {
        void* address = nullptr;
        if (kernel.signature[at] == 'p') std::memcpy(&address, arguments[at].data(), sizeof address);
        sizes[at] = memory_from(address);
        if (address && sizes[at] == 0) {
            return lose(ILLEGAL_ADDRESS, kernel.name + " is given what is no memory as " + std::to_string(at));
        }
        pointers.push_back(arguments[at].data());
    }
    stand_in_changes++;
    const size_t* watched = setting("STAND_IN_CHECK") ? sizes.data() : nullptr;
    if (const char* wrong = kernel.run(kernel.own, grid.data(), pointers.data(), watched, false)) {
        lose(LAUNCH_FAILED, kernel.name + ": " + wrong);
    }
}

}  // namespace

std::unique_lock<std::recursive_mutex> enter(const char* function) {
    static std::recursive_mutex mutex;
    std::unique_lock entered(mutex);
    static Calls calls;
    calls.counts[function]++;
    return entered;
}

void lose(Status status, const std::string& why) {
    if (!lost) std::fprintf(stderr, "stand-in: the device is lost: %s\n", why.c_str());
    if (!lost) lost = status;
}

const char* setting(const char* name) { return std::getenv(name); }

EXPORTED Status cuInit(unsigned) { return SUCCESS; }

EXPORTED Status cuDriverGetVersion(int* version) {
    *version = 13000;
    return SUCCESS;
}

EXPORTED Status cuDeviceGetCount(int* count) {
    *count = 1;
    return SUCCESS;
}

EXPORTED Status cuDeviceGet(int* device, int number) {
    *device = number;
    return number == 0 ? SUCCESS : INVALID_DEVICE;
}

EXPORTED Status cuDeviceGetName(char* name, int room, int) {
    std::snprintf(name, room, "stand-in");
    return SUCCESS;
}

EXPORTED Status cuDeviceGetAttribute(int* value, int attribute, int) {
    *value = attribute == MAJOR ? 9 : attribute == MEMORY_POOLS ? 1 : 0;
    return attribute == MAJOR || attribute == MINOR || attribute == MEMORY_POOLS ? SUCCESS : INVALID_VALUE;
}

EXPORTED Status cuDevicePrimaryCtxRetain(void** own, int) {
    *own = &context;
    return SUCCESS;
}

EXPORTED Status cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }

EXPORTED Status cuCtxGetCurrent(void** own) {
    *own = current;
    return SUCCESS;
}

EXPORTED Status cuCtxSetCurrent(void* own) {
    current = own;
    return SUCCESS;
}

EXPORTED Status cuCtxSynchronize() {
    ENTER_UNRECORDED;
    finish_all();
    return lost;
}

EXPORTED Status cuModuleLoadData(void** handle, const void*) {
    ENTER_UNRECORDED;
    if (!current) return INVALID_CONTEXT;
    stand_in_modules++;
    *handle = &context;
    return SUCCESS;
}

EXPORTED Status cuModuleUnload(void*) { return SUCCESS; }

EXPORTED Status cuModuleGetFunction(void** function, void*, const char* name) {
    ENTER;
    *function = kernel_named(name);
    return *function ? SUCCESS : NOT_FOUND;
}

EXPORTED Status cuLaunchKernel(void* function, unsigned x, unsigned y, unsigned z, unsigned block_x, unsigned block_y,
                               unsigned block_z, unsigned, void* stream, void** values, void**) {
    ENTER;
    auto& kernel = *static_cast<Kernel*>(function);
    // The limits of grids, and what kernels are written for.
    bool fits = x > 0 && y > 0 && z > 0 && x <= 0x7fffffff && y <= 0xffff && z <= 0xffff;
    if (!fits || block_x != BLOCK || block_y != 1 || block_z != 1) return INVALID_VALUE;
    auto own = stream_of(stream);
    if (!own) return INVALID_HANDLE;
    // Code is loaded when a kernel first runs, which may wait for the device.
    if (own->recording && !kernel.has_run) return CAPTURE_UNSUPPORTED;
    kernel.has_run = true;
    Arguments arguments(kernel.signature.size());
    for (size_t at = 0; at < arguments.size(); at++) {
        std::memcpy(arguments[at].data(), values[at], kernel.signature[at] == 'p' ? 8 : 4);
    }
    return submit(stream, [&kernel, grid = std::array{x, y, z}, arguments] { run(kernel, grid, arguments); });
}

namespace {
const std::map<Status, std::array<const char*, 2>> ERRORS = {
    {INVALID_VALUE, {"CUDA_ERROR_INVALID_VALUE", "invalid argument"}},
    {OUT_OF_MEMORY, {"CUDA_ERROR_OUT_OF_MEMORY", "out of memory"}},
    {INVALID_DEVICE, {"CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"}},
    {INVALID_CONTEXT, {"CUDA_ERROR_INVALID_CONTEXT", "invalid device context"}},
    {INVALID_HANDLE, {"CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"}},
    {NOT_FOUND, {"CUDA_ERROR_NOT_FOUND", "named symbol not found"}},
    {NOT_READY, {"CUDA_ERROR_NOT_READY", "device not ready"}},
    {ILLEGAL_ADDRESS, {"CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"}},
    {LAUNCH_FAILED, {"CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"}},
    {CAPTURE_UNSUPPORTED, {"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "not permitted when stream is capturing"}},
    {CAPTURE_INVALIDATED, {"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error"}},
};
Status error_text(Status error, const char** text, int which) {
    auto found = ERRORS.find(error);
    *text = found == ERRORS.end() ? nullptr : found->second[which];
    return found == ERRORS.end() ? INVALID_VALUE : SUCCESS;
}
}  // namespace

EXPORTED Status cuGetErrorName(Status error, const char** text) { return error_text(error, text, 0); }

EXPORTED Status cuGetErrorString(Status error, const char** text) { return error_text(error, text, 1); }

// For a stand-in library.
EXPORTED void stand_in_lose(const char* why) { lose(ILLEGAL_ADDRESS, why); }
