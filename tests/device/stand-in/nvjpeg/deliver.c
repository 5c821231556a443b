/* The stand-in for nvJPEG (tests/decoding) on the stand-in driver: a picture comes when the stream gets there, out of a
 * file that must be there until then.
 *
 * STAND_IN_PICTURES   a folder of pictures, each named by its file's FNV-1a hash: width and height as ints, then pixels;
 *                     other files are bad
 * STAND_IN_DECODING   milliseconds that the stream takes for a picture
 * STAND_IN_FAILING    STATUS:SHARE, what is said of one of SHARE files; with 0 the first of them takes the device with it
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "stand-in.h"

static void *driver(const char *name) {
    static void *library;
    if (!library) library = dlopen("libcuda.so.1", RTLD_NOW);
    return library ? dlsym(library, name) : NULL;
}

static uint64_t fnv1a64(const unsigned char *bytes, size_t length) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t at = 0; at < length; at++) hash = (hash ^ bytes[at]) * 0x100000001b3u;
    return hash;
}

/* The file's picture behind its size; null where there is none. */
static FILE *picture(const unsigned char *bytes, size_t length, int *size) {
    const char *folder = getenv("STAND_IN_PICTURES");
    char path[4096];
    snprintf(path, sizeof path, "%s/%016llx", folder ? folder : "", (unsigned long long)fnv1a64(bytes, length));
    FILE *file = fopen(path, "rb");
    if (file && fread(size, sizeof(int), 2, file) != 2) abort();
    return file;
}

static int size(const unsigned char *bytes, size_t length, int *width, int *height) {
    int size[2];
    FILE *file = picture(bytes, length, size);
    if (!file) return BAD_JPEG;
    fclose(file);
    *width = size[0];
    *height = size[1];
    return SUCCESS;
}

/* The status with which a file is to fail, or success. */
static int failure(const unsigned char *bytes, size_t length) {
    const char *failing = getenv("STAND_IN_FAILING");
    int status, share;
    if (!failing) return SUCCESS;
    if (sscanf(failing, "%d:%d", &status, &share) != 2) abort();
    if (fnv1a64(bytes, length) % share) return SUCCESS;
    if (status) return status;
    ((void (*)(const char *))driver("stand_in_lose"))("a file took it along");
    return EXECUTION_FAILED;
}

/* About half of the files. */
static int is_for_hardware(const unsigned char *bytes, size_t length) { return length % 2; }

static int decode(const unsigned char *bytes, size_t length, unsigned char *out, size_t pitch) {
    int size[2];
    FILE *file = picture(bytes, length, size);
    if (!file) return BAD_JPEG;
    for (int line = 0; line < size[1]; line++) {
        if (fread(out + line * pitch, 3, size[0], file) != (size_t)size[0]) abort();
    }
    fclose(file);
    return SUCCESS;
}

__attribute__((constructor)) static void begin(void) {
    stand_in = (struct Behaviour){size, is_for_hardware, decode, 1};
}

typedef struct {
    const unsigned char *bytes;
    size_t length;
    uint64_t hash;
    Image image;
    int *under_way;
} Task;

static void run(void *data) {
    Task *task = data;
    void (*lose)(const char *) = (void (*)(const char *))driver("stand_in_lose");
    int (*is_memory)(const void *, size_t) = (int (*)(const void *, size_t))driver("stand_in_is_memory");
    int width, height;
    if (fnv1a64(task->bytes, task->length) != task->hash) return lose("a file was gone before it was decoded");
    if (stand_in.size(task->bytes, task->length, &width, &height)) return lose("a file that has no size any more");
    if (!is_memory(task->image.channel[0], task->image.pitch[0] * height)) return lose("a picture goes to no memory");
    const char *takes = getenv("STAND_IN_DECODING");
    if (takes) usleep(1000 * atoi(takes));
    ++*(uint64_t *)driver("stand_in_changes");
    if (stand_in.decode(task->bytes, task->length, task->image.channel[0], task->image.pitch[0])) abort();
}

static void drop(void *data) {
    Task *task = data;
    /* Any thread that waits for a stream runs its work. */
    __atomic_fetch_sub(task->under_way, 1, __ATOMIC_SEQ_CST);
    free(task);
}

int deliver(void *stream, const unsigned char *bytes, size_t length, const Image *image, int *under_way) {
    int width, height, status = stand_in.size(bytes, length, &width, &height);
    if (!status) status = failure(bytes, length);
    if (status) return status;
    unsigned char *trial = malloc(image->pitch[0] * height);
    status = stand_in.decode(bytes, length, trial, image->pitch[0]);
    free(trial);
    if (status) return status;
    int (*submit)(void *, void (*)(void *), void *, void (*)(void *)) =
        (int (*)(void *, void (*)(void *), void *, void (*)(void *)))driver("stand_in_submit");
    Task *task = malloc(sizeof(Task));
    *task = (Task){bytes, length, fnv1a64(bytes, length), *image, under_way};
    __atomic_fetch_add(under_way, 1, __ATOMIC_SEQ_CST);
    return submit(stream, run, task, drop) ? EXECUTION_FAILED : SUCCESS;
}
