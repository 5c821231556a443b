// Softmax cross-entropy with its gradient, the label's rank, and a batch's totals. cross_entropy.rs defines them.

// An image a block. The target is a class, of which `smoothing` is spread over all, or a weight for each class. The
// gradient, where asked for, is that of the batch's mean times the loss scale; without it this is an evaluation, and a
// label beyond the classes, or a logit of -inf, is not an error. `ranks` says how many classes come before the label:
// NaN before every number, of equals the lower class; -1 for a label that no class has.
PLAIN_KERNEL(cross_entropy, const float* logits, const int* labels, const float* targets, float smoothing,
             const float* loss_scale, float* gradient, float* losses, int* ranks, int* finite, int batch, int classes) {
    __shared__ float scratch[BLOCK / WARP];
    long long image = blockIdx.x;
    const float* own = logits + image * classes;
    int label = labels ? labels[image] : -1;
    bool known = label >= 0 && label < classes;
    float own_score = known ? own[label] : 0.0f, largest = -INFINITY, bad = 0.0f, before = 0.0f;
    for (int at = threadIdx.x; at < classes; at += BLOCK) {
        float score = own[at];
        largest = fmaxf(largest, score);
        if (!isfinite(score)) bad = 1.0f;
        bool better = isnan(own_score) ? isnan(score) && at < label
                                       : isnan(score) || score > own_score || (score == own_score && at < label);
        if (known && better) before += 1.0f;
    }
#pragma unroll
    for (int step = WARP / 2; step > 0; step /= 2) {
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, step));
    }
    if (threadIdx.x % WARP == 0) scratch[threadIdx.x / WARP] = largest;
    __syncthreads();
    for (int warp = 0; warp < BLOCK / WARP; warp++) largest = fmaxf(largest, scratch[warp]);
    bool all_finite = block_sum(bad, scratch) == 0.0f;
    before = block_sum(before, scratch);
    float sum = 0.0f;
    for (int at = threadIdx.x; at < classes; at += BLOCK) sum += expf(own[at] - largest);
    sum = block_sum(sum, scratch);
    float log_sum = logf(sum);
    auto target = [=](int at) {
        if (targets) return targets[image * classes + at];
        return (at == label ? 1.0f - smoothing : 0.0f) + smoothing / static_cast<float>(classes);
    };
    float loss = 0.0f, total = 0.0f;
    for (int at = threadIdx.x; at < classes; at += BLOCK) {
        float weight = target(at);
        total += weight;
        if (weight != 0.0f) loss += weight * (log_sum - (own[at] - largest));
    }
    loss = block_sum(loss, scratch);
    total = block_sum(total, scratch);
    if (gradient) {
        float share = (loss_scale ? *loss_scale : 1.0f) / static_cast<float>(batch);
        for (int at = threadIdx.x; at < classes; at += BLOCK) {
            float probability = expf(own[at] - largest) / sum;
            gradient[image * classes + at] = all_finite ? share * (total * probability - target(at)) : NAN;
        }
        if (!all_finite) loss = NAN;
    } else if (labels && !known) {
        loss = INFINITY;
    }
    if (threadIdx.x == 0) {
        losses[image] = loss;
        ranks[image] = known ? static_cast<int>(before) : -1;
        finite[image] = all_finite;
    }
}

// Adds a batch to `totals`: images, right at first, right among five, images with logits that are not finite, and the
// sum of losses. One block.
PLAIN_KERNEL(count_losses, const float* losses, const int* ranks, const int* finite, double* totals, int batch) {
    __shared__ double scratch[BLOCK / WARP];
    double sums[4] = {0.0, 0.0, 0.0, 0.0};
    for (int image = threadIdx.x; image < batch; image += BLOCK) {
        sums[0] += ranks[image] == 0;
        sums[1] += ranks[image] >= 0 && ranks[image] < 5;
        sums[2] += !finite[image];
        sums[3] += losses[image];
    }
    for (int at = 0; at < 4; at++) {
        double sum = block_sum(sums[at], scratch);
        if (threadIdx.x == 0) totals[1 + at] += sum;
    }
    if (threadIdx.x == 0) totals[0] += batch;
}

// The `count` best classes of each image and their scores, best first, in the order of the ranks above; an image a
// block. `count` is at most `classes`.
PLAIN_KERNEL(top_k, const float* logits, int* best, float* scores, int classes, int count) {
    __shared__ float shared_scores[BLOCK];
    __shared__ int shared_classes[BLOCK];
    const float* own = logits + static_cast<long long>(blockIdx.x) * classes;
    auto first = [](float score, int at, float other, int other_at) {
        if (isnan(score) != isnan(other)) return isnan(score);
        if (score > other || score < other) return score > other;
        return at < other_at;
    };
    float last_score = 0.0f;
    int last = -1;
    for (int place = 0; place < count; place++) {
        float score = 0.0f;
        int found = -1;
        for (int at = threadIdx.x; at < classes; at += BLOCK) {
            if (last >= 0 && !first(last_score, last, own[at], at)) continue;
            if (found < 0 || first(own[at], at, score, found)) {
                score = own[at];
                found = at;
            }
        }
        shared_scores[threadIdx.x] = score;
        shared_classes[threadIdx.x] = found;
        __syncthreads();
        for (int half = BLOCK / 2; half > 0; half /= 2) {
            int own_place = threadIdx.x, other = own_place + half;
            if (own_place < half && shared_classes[other] >= 0 &&
                (shared_classes[own_place] < 0 || first(shared_scores[other], shared_classes[other],
                                                        shared_scores[own_place], shared_classes[own_place]))) {
                shared_scores[own_place] = shared_scores[other];
                shared_classes[own_place] = shared_classes[other];
            }
            __syncthreads();
        }
        last_score = shared_scores[0];
        last = shared_classes[0];
        __syncthreads();
        if (threadIdx.x == 0) {
            best[static_cast<long long>(blockIdx.x) * count + place] = last;
            scores[static_cast<long long>(blockIdx.x) * count + place] = last_score;
        }
    }
}
