/* A stand-in for the CUDA driver (libcuda.so.1), with which cuDNN's plans can be built, and not run, where no GPU is.
 *
 * cuDNN compiles a fused kernel when its plan is finalised, and then asks the driver to load it. These loads succeed
 * here, on handles that nobody looks into; whatever needs a device says that there is none. The functions are those
 * that cuDNN 9.19 looks for; a missing one it names on stderr. Arguments that are not looked at are left out, which
 * the calling convention of x86-64 and AArch64 permits.
 */

enum { SUCCESS = 0, NO_DEVICE = 100 };

#define LOADS(name) \
    int name(void **handle) { *handle = (void *)1; return SUCCESS; }
#define SUCCEEDS(name) \
    int name(void) { return SUCCESS; }
#define NEEDS_A_DEVICE(name) \
    int name(void) { return NO_DEVICE; }

int cuDriverGetVersion(int *version) {
    *version = 13000;
    return SUCCESS;
}

/* Registers a thread, bytes of shared memory and the like: small enough for every check. */
int cuFuncGetAttribute(int *value) {
    *value = 32;
    return SUCCESS;
}

int cuKernelGetAttribute(int *value) {
    *value = 32;
    return SUCCESS;
}

int cuGetErrorName(int error, const char **name) {
    *name = "the stand-in driver";
    return SUCCESS;
}

int cuGetErrorString(int error, const char **text) {
    *text = "the stand-in driver has no device";
    return SUCCESS;
}

LOADS(cuLibraryLoadData)
LOADS(cuLibraryGetKernel)
LOADS(cuLibraryGetModule)
LOADS(cuKernelGetFunction)
LOADS(cuModuleLoadData)
LOADS(cuModuleLoadDataEx)
LOADS(cuModuleGetFunction)

SUCCEEDS(cuInit)
SUCCEEDS(cuFuncSetAttribute)
SUCCEEDS(cuKernelSetAttribute)
SUCCEEDS(cuLibraryUnload)
SUCCEEDS(cuModuleUnload)
SUCCEEDS(cuCtxPushCurrent)
SUCCEEDS(cuCtxPopCurrent)

NEEDS_A_DEVICE(cuCtxGetCurrent)
NEEDS_A_DEVICE(cuCtxGetLimit)
NEEDS_A_DEVICE(cuDeviceGet)
NEEDS_A_DEVICE(cuDeviceGetCount)
NEEDS_A_DEVICE(cuGetExportTable)
NEEDS_A_DEVICE(cuLaunchCooperativeKernel)
NEEDS_A_DEVICE(cuLaunchKernel)
NEEDS_A_DEVICE(cuLaunchKernelEx)
NEEDS_A_DEVICE(cuLibraryLoadFromFile)
NEEDS_A_DEVICE(cuLinkAddData)
NEEDS_A_DEVICE(cuLinkComplete)
NEEDS_A_DEVICE(cuLinkCreate)
NEEDS_A_DEVICE(cuLinkDestroy)
NEEDS_A_DEVICE(cuOccupancyMaxPotentialClusterSize)
NEEDS_A_DEVICE(cuStreamGetCtx)
