/* Stands in for nvJPEG in the tests: its functions, checked for being called as its header says, over decoders that the
 * test brings. */
#include "stand-in.h"

#include <stdlib.h>

enum { RGB_INTERLEAVED = 5, HARDWARE = 3 };

typedef struct {
    int backend;
} Handle;

typedef struct {
    Handle *handle;
    int batch;
    /* Pictures that are to come in the order of a stream. */
    int under_way;
} State;

typedef struct {
    const unsigned char *bytes;
    size_t length;
} Parser;

struct Behaviour stand_in;

/* What was done: files in batches by each backend, files one by one, and parts that are still alive. */
int by_hardware, by_cores, alone, alive;

int nvjpegGetProperty(int type, int *value) {
    *value = type == 0 ? VERSION : type;
    return SUCCESS;
}

int nvjpegCreateEx(int backend, void *device, void *pinned, unsigned flags, Handle **handle) {
    if (device || pinned || flags != 32) return INVALID_PARAMETER;
    if (backend == HARDWARE && !stand_in.has_hardware) return ARCH_MISMATCH;
    *handle = calloc(1, sizeof(Handle));
    (*handle)->backend = backend;
    alive++;
    return SUCCESS;
}

int nvjpegJpegStateCreate(Handle *handle, State **state) {
    *state = calloc(1, sizeof(State));
    (*state)->handle = handle;
    alive++;
    return SUCCESS;
}

int nvjpegJpegStreamCreate(Handle *handle, Parser **parser) {
    *parser = calloc(1, sizeof(Parser));
    alive++;
    return SUCCESS;
}

static int end(void *part) {
    free(part);
    alive--;
    return SUCCESS;
}

int nvjpegDestroy(Handle *handle) { return end(handle); }
int nvjpegJpegStateDestroy(State *state) { return end(state); }
int nvjpegJpegStreamDestroy(Parser *parser) { return end(parser); }

int nvjpegJpegStreamParseHeader(Handle *handle, const unsigned char *bytes, size_t length, Parser *parser) {
    parser->bytes = bytes;
    parser->length = length;
    return SUCCESS;
}

int nvjpegDecodeBatchedSupported(Handle *handle, Parser *parser, int *unsupported) {
    if (handle->backend != HARDWARE || !parser->bytes) return INVALID_PARAMETER;
    *unsupported = !stand_in.is_for_hardware(parser->bytes, parser->length);
    return SUCCESS;
}

int nvjpegGetImageInfo(Handle *handle, const unsigned char *bytes, size_t length, int *components, int *sampling,
                       int *widths, int *heights) {
    *components = 3;
    *sampling = 2;
    return stand_in.size(bytes, length, widths, heights);
}

int nvjpegDecodeBatchedInitialize(Handle *handle, State *state, int batch, int threads, int format) {
    if (state->handle != handle || batch < 1 || threads < 1 || format != RGB_INTERLEAVED) return INVALID_PARAMETER;
    state->batch = batch;
    return SUCCESS;
}

/* Without streams it is there at once. */
__attribute__((weak)) int deliver(void *stream, const unsigned char *bytes, size_t length, const Image *image,
                                  int *under_way) {
    return stand_in.decode(bytes, length, image->channel[0], image->pitch[0]);
}

static int decode_one(State *state, const unsigned char *bytes, size_t length, const Image *image, void *stream) {
    int width, height, status = stand_in.size(bytes, length, &width, &height);
    if (status) return status;
    if (!image->channel[0] || image->channel[1] || image->pitch[0] != (size_t)width * 3) return INVALID_PARAMETER;
    return deliver(stream, bytes, length, image, &state->under_way);
}

int nvjpegDecodeBatched(Handle *handle, State *state, const unsigned char *const *files, const size_t *lengths,
                        Image *images, void *stream) {
    if (state->handle != handle || !state->batch) return INVALID_PARAMETER;
    /* What a batch keeps on the host is read until its last picture is there. */
    if (__atomic_load_n(&state->under_way, __ATOMIC_SEQ_CST)) return EXECUTION_FAILED;
    int batch = state->batch, status;
    for (int at = 0; at < batch; at++) {
        /* As nvJPEG does: the whole batch is lost, and must be begun anew. */
        state->batch = 0;
        if ((status = decode_one(state, files[at], lengths[at], &images[at], stream))) return status;
    }
    state->batch = batch;
    *(handle->backend == HARDWARE ? &by_hardware : &by_cores) += batch;
    return SUCCESS;
}

int nvjpegDecode(Handle *handle, State *state, const unsigned char *bytes, size_t length, int format, Image *image,
                 void *stream) {
    if (handle->backend == HARDWARE || state->handle != handle || format != RGB_INTERLEAVED) return INVALID_PARAMETER;
    int status = decode_one(state, bytes, length, image, stream);
    alone += status == SUCCESS;
    return status;
}
