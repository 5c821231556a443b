// The fully connected layer and its gradients, all in f32. linear.rs defines it. Grids: rows by columns of the result,
// in tiles of 64, where nothing else is said.

// out [batch, outputs] = activation(input [batch, inputs] * weight [outputs, inputs] + bias)
PLAIN_KERNEL(linear, const float* input, const float* weight, const float* bias, float slope, float* out, int batch,
             int inputs, int outputs) {
    Sums sums = product<true, true>(
        inputs,
        [=](int row, int k) { return row < batch ? input[static_cast<long long>(row) * inputs + k] : 0.0f; },
        [=](int k, int column) { return column < outputs ? weight[static_cast<long long>(column) * inputs + k] : 0.0f; });
    for (int i = 0; i < OWN; i++) {
        for (int j = 0; j < OWN; j++) {
            int row = Sums::row(i), column = Sums::column(j);
            if (row >= batch || column >= outputs) continue;
            out[static_cast<long long>(row) * outputs + column] = activate(sums.at[i][j] + bias[column], slope);
        }
    }
}

// The same for a few images, whose tiles would be too few to wait for memory at once: a warp makes a sum. Grid: blocks of
// 8 outputs by images.
PLAIN_KERNEL(linear_few, const float* input, const float* weight, const float* bias, float slope, float* out, int batch,
             int inputs, int outputs) {
    int output = blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    long long image = blockIdx.y;
    if (output >= outputs || image >= batch) return;
    const float *row = input + image * inputs, *column = weight + static_cast<long long>(output) * inputs;
    float sum = 0.0f;
#pragma unroll 16
    for (int at = lane; at < inputs; at += WARP) sum += row[at] * column[at];
    sum = warp_sum(sum);
    if (lane == 0) out[image * outputs + output] = activate(sum + bias[output], slope);
}

// out [batch, inputs] = gradient [batch, outputs] * weight
PLAIN_KERNEL(linear_input_gradient, const float* gradient, const float* weight, float* out, int batch, int inputs,
             int outputs) {
    Sums sums = product<true, false>(
        outputs,
        [=](int row, int k) { return row < batch ? gradient[static_cast<long long>(row) * outputs + k] : 0.0f; },
        [=](int k, int column) { return column < inputs ? weight[static_cast<long long>(k) * inputs + column] : 0.0f; });
    for (int i = 0; i < OWN; i++) {
        for (int j = 0; j < OWN; j++) {
            int row = Sums::row(i), column = Sums::column(j);
            if (row < batch && column < inputs) out[static_cast<long long>(row) * inputs + column] = sums.at[i][j];
        }
    }
}

// weight_gradient [outputs, inputs] += sum over the batch of gradient * input; bias_gradient += sum of gradient
PLAIN_KERNEL(linear_weight_gradient, const float* gradient, const float* input, float* weight_gradient,
             float* bias_gradient, int batch, int inputs, int outputs) {
    Sums sums = product<false, false>(
        batch,
        [=](int row, int k) { return row < outputs ? gradient[static_cast<long long>(k) * outputs + row] : 0.0f; },
        [=](int k, int column) { return column < inputs ? input[static_cast<long long>(k) * inputs + column] : 0.0f; });
    for (int i = 0; i < OWN; i++) {
        for (int j = 0; j < OWN; j++) {
            int row = Sums::row(i), column = Sums::column(j);
            if (row < outputs && column < inputs) {
                weight_gradient[static_cast<long long>(row) * inputs + column] += sums.at[i][j];
            }
        }
    }
    int output = blockIdx.x * TILE + threadIdx.x;
    if (blockIdx.y == 0 && threadIdx.x < TILE && output < outputs) {
        float sum = 0.0f;
        for (int row = 0; row < batch; row++) sum += gradient[static_cast<long long>(row) * outputs + output];
        bias_gradient[output] += sum;
    }
}
