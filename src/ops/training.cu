// What happens around a training step's forward and backward pass. The room `ops::training` says when.

PLAIN_KERNEL(zero, float* values, int count) {
    long long at = static_cast<long long>(thread_index()) * EIGHT;
    if (at < count) Eight::filled(0.0f).store(values + at);
}

// Copies; with `state`, where its gradients are not finite.
PLAIN_KERNEL(keep_running, const float* from, float* to, const float* state, int count) {
    long long at = static_cast<long long>(thread_index()) * EIGHT;
    if (at >= count || (state && state[FINITE] != 0.0f)) return;
    Eight::load(from + at).store(to + at);
}

PLAIN_KERNEL(begin_update, float* state, float loss) {
    if (thread_index() == 0) state[LOSS] = loss;
}

// Takes over what a batch brings, before its loss.
PLAIN_KERNEL(begin_batch, const float* control, float* state) {
    if (thread_index() != 0) return;
    state[LR] = control[NEXT_LR];
    state[EMA_WEIGHT] = control[NEXT_EMA_WEIGHT];
    state[BATCH_SCALE] = state[SCALE] * control[SHARE];
}

// Adds a batch's mean loss times its share to the update's. One block.
PLAIN_KERNEL(end_batch, const float* losses, const float* control, float* state, int batch) {
    __shared__ double scratch[BLOCK / WARP];
    double sum = 0.0;
    for (int image = threadIdx.x; image < batch; image += BLOCK) sum += losses[image];
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) state[LOSS] += static_cast<float>(sum / batch * control[SHARE]);
}

// Adds a convolution's bare gradient to the weight's.
KERNEL(accumulate, const T* values, float* sums, int count) {
    long long at = static_cast<long long>(thread_index()) * EIGHT;
    if (at >= count) return;
    Eight sum = Eight::load(sums + at);
    sum.add(Eight::load(values + at));
    sum.store(sums + at);
}
