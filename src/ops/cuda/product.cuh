// A matrix product on the CUDA cores: a block makes 64 x 64 sums, a thread 4 x 4 of them. What is multiplied comes from
// functions of row and column, so that one loop serves convolutions and linear layers of any shape.
#pragma once
#include "kernel.cuh"

constexpr int TILE = 64;
// Terms of the sums that lie in shared memory at a time.
constexpr int DEPTH = 16;
constexpr int THREAD_ROW = 16;
constexpr int OWN = TILE / THREAD_ROW;

struct Sums {
    float at[OWN][OWN];

    // Row and column of sum [i][j] in the whole product; a block's tile is that of blockIdx.x and blockIdx.y.
    DEVICE static int row(int i) { return blockIdx.x * TILE + threadIdx.x / THREAD_ROW + i * THREAD_ROW; }
    DEVICE static int column(int j) { return blockIdx.y * TILE + threadIdx.x % THREAD_ROW + j * THREAD_ROW; }
};

// sum over k < depth of left(row, k) * right(k, column); both give 0 outside. The flags say along which index of each
// neighbours lie in memory.
template <bool LEFT_BY_DEPTH, bool RIGHT_BY_DEPTH, typename Left, typename Right>
DEVICE Sums product(int depth, Left left, Right right) {
    __shared__ float lefts[DEPTH][TILE + 1];
    __shared__ float rights[DEPTH][TILE + 1];
    Sums sums;
#pragma unroll
    for (int i = 0; i < OWN; i++) {
#pragma unroll
        for (int j = 0; j < OWN; j++) sums.at[i][j] = 0.0f;
    }
    int y = threadIdx.x / THREAD_ROW, x = threadIdx.x % THREAD_ROW;
    for (int first = 0; first < depth; first += DEPTH) {
        for (int at = threadIdx.x; at < TILE * DEPTH; at += BLOCK) {
            int k = LEFT_BY_DEPTH ? at % DEPTH : at / TILE, row = LEFT_BY_DEPTH ? at / DEPTH : at % TILE;
            lefts[k][row] = first + k < depth ? left(blockIdx.x * TILE + row, first + k) : 0.0f;
        }
        for (int at = threadIdx.x; at < TILE * DEPTH; at += BLOCK) {
            int k = RIGHT_BY_DEPTH ? at % DEPTH : at / TILE, column = RIGHT_BY_DEPTH ? at / DEPTH : at % TILE;
            rights[k][column] = first + k < depth ? right(first + k, blockIdx.y * TILE + column) : 0.0f;
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            float own_left[OWN], own_right[OWN];
#pragma unroll
            for (int i = 0; i < OWN; i++) {
                own_left[i] = lefts[k][y + i * THREAD_ROW];
                own_right[i] = rights[k][x + i * THREAD_ROW];
            }
#pragma unroll
            for (int i = 0; i < OWN; i++) {
#pragma unroll
                for (int j = 0; j < OWN; j++) sums.at[i][j] += own_left[i] * own_right[j];
            }
        }
        __syncthreads();
    }
    return sums;
}
