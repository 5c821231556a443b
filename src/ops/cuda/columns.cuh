// Sums over pixels for every channel. A block takes 64 neighbouring channels, eight a thread, and 32 rows of threads
// walk the pixels, so that a warp reads whole lines of memory. Rows are then joined as a tree: every sum has one
// order, and no atomic is used.
#pragma once
#include "kernel.cuh"

constexpr int COLUMN_GROUPS = 8;
constexpr int COLUMN_ROWS = BLOCK / COLUMN_GROUPS;
constexpr int COLUMN_CHANNELS = COLUMN_GROUPS * EIGHT;

// This thread's first channel; the block's are those of blockIdx.y.
DEVICE int column_channel() { return (blockIdx.y * COLUMN_GROUPS + threadIdx.x % COLUMN_GROUPS) * EIGHT; }

DEVICE int column_row() { return threadIdx.x / COLUMN_GROUPS; }

// The sum over the block's rows, in the threads of row 0.
DEVICE void column_sum(Eight& value) {
    __shared__ float shared[COLUMN_ROWS / 2][COLUMN_CHANNELS];
    int row = column_row(), column = threadIdx.x % COLUMN_GROUPS * EIGHT;
    for (int half = COLUMN_ROWS / 2; half > 0; half /= 2) {
        if (row >= half && row < 2 * half) value.store(&shared[row - half][column]);
        __syncthreads();
        if (row < half) value.add(Eight::load(&shared[row][column]));
        __syncthreads();
    }
}
