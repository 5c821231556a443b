/* What the parts of the stand-in for nvJPEG share. */
#pragma once

#include <stddef.h>

enum { SUCCESS = 0, INVALID_PARAMETER = 2, BAD_JPEG = 3, EXECUTION_FAILED = 6, ARCH_MISMATCH = 7 };

typedef struct {
    unsigned char *channel[4];
    size_t pitch[4];
} Image;

/* What decodes: the test's. */
extern struct Behaviour {
    int (*size)(const unsigned char *bytes, size_t length, int *width, int *height);
    int (*is_for_hardware)(const unsigned char *bytes, size_t length);
    int (*decode)(const unsigned char *bytes, size_t length, unsigned char *out, size_t pitch);
    int has_hardware;
} stand_in;

/* Puts a picture into its place in the order of a stream, and counts it in `under_way` until then. The status is known
 * at once. */
int deliver(void *stream, const unsigned char *bytes, size_t length, const Image *image, int *under_way);
