// What turns an image's logits into probabilities. metrics.rs defines it.

// Each image's largest logit, and the sum of exp(logit - largest): [batch][2]. An image a block.
PLAIN_KERNEL(softmax_terms, const float* logits, float* out, int classes) {
    __shared__ float scratch[BLOCK / WARP];
    long long image = blockIdx.x;
    const float* own = logits + image * classes;
    float largest = -INFINITY;
    for (int at = threadIdx.x; at < classes; at += BLOCK) largest = fmaxf(largest, own[at]);
#pragma unroll
    for (int step = WARP / 2; step > 0; step /= 2) {
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, step));
    }
    if (threadIdx.x % WARP == 0) scratch[threadIdx.x / WARP] = largest;
    __syncthreads();
    for (int warp = 0; warp < BLOCK / WARP; warp++) largest = fmaxf(largest, scratch[warp]);
    float sum = 0.0f;
    for (int at = threadIdx.x; at < classes; at += BLOCK) sum += expf(own[at] - largest);
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) {
        out[2 * image] = largest;
        out[2 * image + 1] = sum;
    }
}
