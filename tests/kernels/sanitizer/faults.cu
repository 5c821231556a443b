// Kernels that are wrong where `broken` is 1, and right where it is 0: for tests/kernels/sanitizer.rs. `out` has 256
// floats.

PLAIN_KERNEL(missing_barrier, float* out, int broken) {
    __shared__ float sums[BLOCK];
    int own = threadIdx.x;
    sums[own] = 1.0f;
    __syncthreads();
    for (int half = BLOCK / 2; half > 0; half /= 2) {
        if (own < half) sums[own] += sums[own + half];
        if (!broken) __syncthreads();
    }
    if (own == 0) out[blockIdx.x] = sums[0];
}

// A warp's threads see each other's writes behind a barrier alone: a shuffle is none.
PLAIN_KERNEL(shuffle_for_barrier, float* out, int broken) {
    __shared__ float values[BLOCK];
    values[threadIdx.x] = 1.0f;
    float sum = warp_sum(1.0f);
    if (!broken) __syncthreads();
    out[threadIdx.x] = sum + values[threadIdx.x ^ 1];
}

PLAIN_KERNEL(past_the_end, float* out, int broken) { out[threadIdx.x + broken] = 1.0f; }

PLAIN_KERNEL(before_the_start, float* out, int broken) {
    out[threadIdx.x] = *(out + threadIdx.x - broken * (threadIdx.x == 0));
}

// Out of bounds by a function that compilers call for a loop.
PLAIN_KERNEL(past_the_end_by_memset, float* out, int broken) {
    if (threadIdx.x == 0) std::memset(out, 0, (BLOCK + broken) * sizeof(float));
}

PLAIN_KERNEL(null_pointer, float* out, float* missing, int broken) {
    if (broken) out[threadIdx.x] = missing[threadIdx.x];
}

PLAIN_KERNEL(past_a_shared_variable, float* out, int broken) {
    __shared__ float values[BLOCK + 1];
    values[threadIdx.x] = 1.0f;
    if (threadIdx.x == 200) values[BLOCK + broken] = 1.0f;
    out[threadIdx.x] = values[threadIdx.x];
}

PLAIN_KERNEL(blocks_write_one_byte, float* out, int broken) {
    if (threadIdx.x == 3) out[broken ? 0 : blockIdx.x] = 1.0f;
}

// A block reads what another writes.
PLAIN_KERNEL(blocks_exchange, float* out, int broken) {
    if (threadIdx.x == 0) out[2 * blockIdx.x] = out[2 * blockIdx.x + (broken ? 2 : 1)];
}

// A block reads, as others do, and then writes.
PLAIN_KERNEL(read_by_earlier_blocks, float* out, int broken) {
    if (threadIdx.x != 0) return;
    float* at = out + (broken ? 0 : blockIdx.x);
    float value = *at;
    out[8 + blockIdx.x] = value;
    if (blockIdx.x == 1) *at = value + 1.0f;
}

PLAIN_KERNEL(unwritten_shared, float* out, int broken) {
    __shared__ float values[BLOCK];
    if (!broken || threadIdx.x < 128) values[threadIdx.x] = 1.0f;
    __syncthreads();
    out[threadIdx.x] = values[BLOCK - 1 - threadIdx.x];
}

// What another block left in shared memory is not there.
PLAIN_KERNEL(left_by_another_block, float* out, int broken) {
    __shared__ float values[BLOCK];
    if (!broken || blockIdx.x == 0) values[threadIdx.x] = 1.0f;
    if (blockIdx.x == 1) out[threadIdx.x] = values[threadIdx.x];
}

PLAIN_KERNEL(misaligned, float* out, int broken) {
    if (threadIdx.x >= 16) return;
    float* at = out + threadIdx.x * EIGHT;
    Eight value = Eight::load(at + broken);
    value.store(at);
}

// Neighbours in a word.
PLAIN_KERNEL(bytes_of_a_word, unsigned char* out, int broken) {
    out[threadIdx.x + (threadIdx.x == 8 ? broken : 0)] = 1;
}

// Threads that write sixteen bytes at a time, and others that read two of them.
KERNEL(accesses_of_many_sizes, T* out, int broken) {
    if (threadIdx.x < 8) Eight::filled(1.0f).store(out + threadIdx.x * EIGHT);
    if (!broken) __syncthreads();
    float value = to_float(out[threadIdx.x % 64]);
    __syncthreads();
    from_float(value, out[threadIdx.x]);
}

PLAIN_KERNEL(stack_of_another_thread, float* out, int broken) {
    __shared__ float* local;
    float own[2] = {1.0f, 2.0f};
    if (threadIdx.x == 5) local = own;
    __syncthreads();
    if (threadIdx.x == 5 || broken) out[threadIdx.x] = local[1];
    __syncthreads();
}

PLAIN_KERNEL(different_barriers, float* out, int broken) {
    if (!broken || threadIdx.x < 100) __syncthreads();
    out[threadIdx.x] = 1.0f;
}
