// What holds a kernel that is not ours against one that is: operands that are made up, and how far results are apart.
// cuda/verification.rs defines them.

// A hash of a value's number and its map's seed (the constants are those of Chris Wellons' lowbias32).
DEVICE unsigned hashed(unsigned number, unsigned seed) {
    unsigned hash = number * 0x9e3779b9u + seed * 0x85ebca6bu;
    hash = (hash ^ hash >> 16) * 0x7feb352du;
    hash = (hash ^ hash >> 15) * 0x846ca68bu;
    return hash ^ hash >> 16;
}

// Odd sixteenths from -15/16 to 15/16, times `scale`. A thread makes eight.
KERNEL(made_up, T* out, int seed, float scale, int groups) {
    int index = thread_index();
    if (index >= groups) return;
    Eight values;
#pragma unroll
    for (int i = 0; i < EIGHT; i++) {
        unsigned number = static_cast<unsigned>(index) * EIGHT + i;
        int sixteenths = 2 * static_cast<int>(hashed(number, seed) >> 28) - 15;
        values.at[i] = scale * static_cast<float>(sixteenths) / 16.0f;
    }
    values.store(out + static_cast<long long>(index) * EIGHT);
}

// What all threads of a block get: the largest of their values.
DEVICE float block_largest(float value, float* scratch) {
#pragma unroll
    for (int step = WARP / 2; step > 0; step /= 2) value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, step));
    __syncthreads();
    if (threadIdx.x % WARP == 0) scratch[threadIdx.x / WARP] = value;
    __syncthreads();
    float largest = scratch[0];
    for (int warp = 1; warp < BLOCK / WARP; warp++) largest = fmaxf(largest, scratch[warp]);
    return largest;
}

// Of each block's values: the largest difference between `found` and what is expected, the largest that is expected, how
// many are further away than they may be, and how many are not finite. What is expected comes as `expected` or, in f32,
// as `exact`. A value may be off by relative * |expected| + absolute; of a value behind a slope, by as much less of
// `absolute` as the slope takes away: where `through` is not positive, or else where neither value is.
KERNEL(deviation, const T* found, const T* expected, const float* exact, const T* through, float slope, float relative,
       float absolute, float* out, int groups) {
    float difference = 0.0f, magnitude = 0.0f;
    int beyond = 0, not_finite = 0;
    for (long long index = thread_index(); index < groups; index += gridDim.x * BLOCK) {
        long long at = index * EIGHT;
        Eight own = Eight::load(found + at), other = exact ? Eight::load(exact + at) : Eight::load(expected + at);
        Eight sign = own;
        if (through) sign = Eight::load(through + at);
#pragma unroll
        for (int i = 0; i < EIGHT; i++) {
            float away = fabsf(own.at[i] - other.at[i]), size = fabsf(other.at[i]);
            if (!isfinite(own.at[i]) || !isfinite(other.at[i])) {
                not_finite++;
                continue;
            }
            bool positive = sign.at[i] > 0.0f || (!through && other.at[i] > 0.0f);
            difference = fmaxf(difference, away);
            magnitude = fmaxf(magnitude, size);
            if (away > relative * size + absolute * (positive ? 1.0f : slope)) beyond++;
        }
    }
    __shared__ float largest[BLOCK / WARP];
    __shared__ int counts[BLOCK / WARP];
    difference = block_largest(difference, largest);
    magnitude = block_largest(magnitude, largest);
    beyond = block_sum(beyond, counts);
    not_finite = block_sum(not_finite, counts);
    if (threadIdx.x > 0) return;
    float* own = out + blockIdx.x * 4;
    own[0] = difference;
    own[1] = magnitude;
    own[2] = static_cast<float>(beyond);
    own[3] = static_cast<float>(not_finite);
}
