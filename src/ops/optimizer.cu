// A training step over all parameters at once: gradients' norm and finiteness, the loss scale, SGD, Adam and the moving
// average. optimizer.rs defines it; the room `optim` is its reference. Parameters and their buffers lie in flat arrays of
// the same order, so that a step is one launch. Nothing here needs the host to know whether a step was taken.

// Gradients are either T, as the convolutions', or f32.
DEVICE Eight gradient_at(const T* half, const float* full, long long at) {
    return half ? Eight::load(half + at) : Eight::load(full + at);
}

// Sums of squares of the unscaled gradients, one a block.
KERNEL(gradient_squares, const T* half, const float* full, const float* state, double* sums, int count) {
    __shared__ double scratch[BLOCK / WARP];
    float inverse = 1.0f / state[SCALE];
    double sum = 0.0;
    for (long long at = static_cast<long long>(thread_index()) * EIGHT; at < count;
         at += static_cast<long long>(gridDim.x) * BLOCK * EIGHT) {
        Eight gradient = gradient_at(half, full, at);
#pragma unroll
        for (int i = 0; i < EIGHT; i++) {
            double value = gradient.at[i] * inverse;
            sum += value * value;
        }
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// From the sums to whether and how far to step, and the next loss scale; one block. `max_norm` is infinite without
// clipping, and so is `lamb_norm`, above which LAMB divides what clipping left; `growth_interval` is 0 without scaling.
PLAIN_KERNEL(begin_step, const double* sums, float* state, int blocks, float max_norm, float lamb_norm, float beta1,
             float beta2, float growth_factor, float backoff_factor, int growth_interval) {
    __shared__ double scratch[BLOCK / WARP];
    double sum = 0.0;
    for (int at = threadIdx.x; at < blocks; at += BLOCK) sum += sums[at];
    double norm = sqrt(block_sum(sum, scratch));
    if (threadIdx.x != 0) return;
    bool finite = isfinite(norm);
    double clip = max_norm / (norm + 1e-6);
    if (!(clip < 1.0)) clip = 1.0;
    double beyond = norm * clip / lamb_norm;
    if (beyond > 1.0) clip /= beyond;
    state[NORM] = static_cast<float>(norm);
    state[FINITE] = finite;
    state[MULTIPLIER] = 1.0f / state[SCALE] * static_cast<float>(clip);
    if (finite) {
        state[STEPS] += 1.0f;
        state[CORRECTION] = static_cast<float>(1.0 - pow(static_cast<double>(beta1), state[STEPS]));
        state[ROOT] = static_cast<float>(sqrt(1.0 - pow(static_cast<double>(beta2), state[STEPS])));
    }
    if (growth_interval == 0) return;
    if (!finite) {
        state[SCALE] *= backoff_factor;
        state[GOOD_STEPS] = 0.0f;
        return;
    }
    state[GOOD_STEPS] += 1.0f;
    if (state[GOOD_STEPS] >= static_cast<float>(growth_interval)) {
        float grown = state[SCALE] * growth_factor;
        if (isfinite(grown)) state[SCALE] = grown;
        state[GOOD_STEPS] = 0.0f;
    }
}

// `table` holds the factor on the learning rate and the weight decay of each group. With `copy` the parameters are
// written there too, as the convolutions read them.
KERNEL(sgd, float* values, const T* half, const float* full, float* velocity, T* copy, const unsigned char* groups,
       const float* table, const float* state, float momentum, int nesterov, int count) {
    long long at = static_cast<long long>(thread_index()) * EIGHT;
    if (at >= count || state[FINITE] == 0.0f) return;
    int group = groups[at / SEGMENT];
    float lr = state[LR] * table[2 * group], decay = table[2 * group + 1], multiplier = state[MULTIPLIER];
    Eight p = Eight::load(values + at), v = Eight::load(velocity + at), gradient = gradient_at(half, full, at);
#pragma unroll
    for (int i = 0; i < EIGHT; i++) {
        float g = gradient.at[i] * multiplier + decay * p.at[i];
        v.at[i] = momentum * v.at[i] + g;
        p.at[i] -= lr * (nesterov ? g + momentum * v.at[i] : v.at[i]);
    }
    p.store(values + at);
    v.store(velocity + at);
    if (copy) p.store(copy + at);
}

// The point `weight` of the way from `start` to `end`, exact at both.
DEVICE float lerp(float start, float end, float weight) {
    return weight < 0.5f ? start + weight * (end - start) : end - (end - start) * (1.0f - weight);
}

// Adam, or with `decoupled` AdamW.
KERNEL(adam, float* values, const T* half, const float* full, float* first, float* second, T* copy,
       const unsigned char* groups, const float* table, const float* state, float beta1, float beta2, float epsilon,
       int decoupled, int count) {
    long long at = static_cast<long long>(thread_index()) * EIGHT;
    if (at >= count || state[FINITE] == 0.0f) return;
    int group = groups[at / SEGMENT];
    float lr = state[LR] * table[2 * group], decay = table[2 * group + 1], multiplier = state[MULTIPLIER];
    float kept = decoupled ? 1.0f - lr * decay : 1.0f, coupled = decoupled ? 0.0f : decay;
    float step = lr / state[CORRECTION], root = state[ROOT];
    Eight p = Eight::load(values + at), m = Eight::load(first + at), v = Eight::load(second + at);
    Eight gradient = gradient_at(half, full, at);
#pragma unroll
    for (int i = 0; i < EIGHT; i++) {
        float g = gradient.at[i] * multiplier + coupled * p.at[i];
        m.at[i] = lerp(m.at[i], g, 1.0f - beta1);
        v.at[i] = beta2 * v.at[i] + (1.0f - beta2) * g * g;
        p.at[i] = kept * p.at[i] - step * (m.at[i] / (sqrtf(v.at[i]) / root + epsilon));
    }
    p.store(values + at);
    m.store(first + at);
    v.store(second + at);
    if (copy) p.store(copy + at);
}

// Moves the average towards the values, whether or not a step was taken.
PLAIN_KERNEL(ema, float* average, const float* values, const float* state, int count) {
    long long at = static_cast<long long>(thread_index()) * EIGHT;
    if (at >= count) return;
    Eight mean = Eight::load(average + at), now = Eight::load(values + at);
#pragma unroll
    for (int i = 0; i < EIGHT; i++) mean.at[i] = lerp(mean.at[i], now.at[i], state[EMA_WEIGHT]);
    mean.store(average + at);
}

// -1, 0 or 1; NaN stays.
DEVICE float sign(float x) { return x == 0.0f ? 0.0f : x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x; }

KERNEL(lion, float* values, const T* half, const float* full, float* average, T* copy, const unsigned char* groups,
       const float* table, const float* state, float beta1, float beta2, int count) {
    long long at = static_cast<long long>(thread_index()) * EIGHT;
    if (at >= count || state[FINITE] == 0.0f) return;
    int group = groups[at / SEGMENT];
    float lr = state[LR] * table[2 * group], kept = 1.0f - lr * table[2 * group + 1], multiplier = state[MULTIPLIER];
    Eight p = Eight::load(values + at), m = Eight::load(average + at), gradient = gradient_at(half, full, at);
#pragma unroll
    for (int i = 0; i < EIGHT; i++) {
        float g = gradient.at[i] * multiplier;
        p.at[i] = kept * p.at[i] - lr * sign(lerp(m.at[i], g, 1.0f - beta1));
        m.at[i] = lerp(m.at[i], g, 1.0f - beta2);
    }
    p.store(values + at);
    m.store(average + at);
    if (copy) p.store(copy + at);
}

// LAMB's direction at a place.
DEVICE float lamb_direction(float p, float m, float v, float decay, float epsilon, const float* state) {
    return m / state[CORRECTION] / (sqrtf(v) / state[ROOT] + epsilon) + decay * p;
}

// LAMB's moments, and of each segment, which a warp takes, the sums of squares of the values and of the direction:
// [segments][2].
KERNEL(lamb_moments, const float* values, const T* half, const float* full, float* first, float* second,
       const unsigned char* groups, const float* table, const float* state, double* sums, float beta1, float beta2,
       float epsilon, int count) {
    long long at = static_cast<long long>(thread_index()) * EIGHT;
    double own = 0.0, step = 0.0;
    if (at < count && state[FINITE] != 0.0f) {
        float decay = table[2 * groups[at / SEGMENT] + 1], multiplier = state[MULTIPLIER];
        Eight p = Eight::load(values + at), m = Eight::load(first + at), v = Eight::load(second + at);
        Eight gradient = gradient_at(half, full, at);
#pragma unroll
        for (int i = 0; i < EIGHT; i++) {
            float g = gradient.at[i] * multiplier;
            m.at[i] = lerp(m.at[i], g, 1.0f - beta1);
            v.at[i] = beta2 * v.at[i] + (1.0f - beta2) * g * g;
            double direction = lamb_direction(p.at[i], m.at[i], v.at[i], decay, epsilon, state);
            own += static_cast<double>(p.at[i]) * p.at[i];
            step += direction * direction;
        }
        m.store(first + at);
        v.store(second + at);
    }
    own = warp_sum(own);
    step = warp_sum(step);
    if (at < count && threadIdx.x % WARP == 0) {
        sums[at / SEGMENT * 2] = own;
        sums[at / SEGMENT * 2 + 1] = step;
    }
}

// The factor on each parameter's rate: its norm over its direction's where it decays. `spans` holds first segment and
// number of segments; a parameter a block.
PLAIN_KERNEL(lamb_factors, const double* sums, const int* spans, const unsigned char* groups, const float* table,
             float* factors) {
    __shared__ double scratch[BLOCK / WARP];
    int first = spans[2 * blockIdx.x], segments = spans[2 * blockIdx.x + 1];
    double own = 0.0, step = 0.0;
    for (int at = threadIdx.x; at < segments; at += BLOCK) {
        own += sums[(first + at) * 2];
        step += sums[(first + at) * 2 + 1];
    }
    own = sqrt(block_sum(own, scratch));
    step = sqrt(block_sum(step, scratch));
    bool adapts = table[2 * groups[first] + 1] != 0.0f && own > 0.0 && step > 0.0;
    if (threadIdx.x == 0) factors[blockIdx.x] = adapts ? static_cast<float>(own / step) : 1.0f;
}

// `owners` holds each segment's parameter.
KERNEL(lamb_apply, float* values, const float* first, const float* second, T* copy, const unsigned char* groups,
       const float* table, const float* state, const int* owners, const float* factors, float epsilon, int count) {
    long long at = static_cast<long long>(thread_index()) * EIGHT;
    if (at >= count || state[FINITE] == 0.0f) return;
    int group = groups[at / SEGMENT];
    float lr = state[LR] * table[2 * group] * factors[owners[at / SEGMENT]], decay = table[2 * group + 1];
    Eight p = Eight::load(values + at), m = Eight::load(first + at), v = Eight::load(second + at);
#pragma unroll
    for (int i = 0; i < EIGHT; i++) p.at[i] -= lr * lamb_direction(p.at[i], m.at[i], v.at[i], decay, epsilon, state);
    p.store(values + at);
    if (copy) p.store(copy + at);
}
