// The fully connected layer and its gradients, all in f32. linear.rs defines it. Grids of the gradients: rows by columns of
// the result, in tiles of 64.

// What a warp makes the sums of: `IMAGES` and `OUTPUTS` of linear.rs.
constexpr int IMAGES = 8;
constexpr int OUTPUTS = 2;

// out [batch, outputs] = activation(input [batch, inputs] * weight [outputs, inputs] + bias). The lanes of a warp share each
// sum, in an order that the batch has no say in: one image alone has enough on its way from memory, and the very result
// that it has among many. Grid: blocks of 8 warps' outputs by warps' images.
PLAIN_KERNEL(linear, const float* input, const float* weight, const float* bias, float slope, float* out, int batch,
             int inputs, int outputs) {
    int lane = threadIdx.x % WARP;
    int output = (blockIdx.x * (BLOCK / WARP) + threadIdx.x / WARP) * OUTPUTS, image = blockIdx.y * IMAGES;
    if (output >= outputs) return;
    const float *rows[IMAGES], *columns[OUTPUTS];
    float sums[IMAGES][OUTPUTS];
#pragma unroll
    for (int j = 0; j < OUTPUTS; j++) {
        columns[j] = weight + static_cast<long long>(output + j < outputs ? output + j : output) * inputs;
    }
#pragma unroll
    for (int i = 0; i < IMAGES; i++) {
        rows[i] = input + static_cast<long long>(image + i < batch ? image + i : image) * inputs;
#pragma unroll
        for (int j = 0; j < OUTPUTS; j++) sums[i][j] = 0.0f;
    }
#pragma unroll 4
    for (int at = lane; at < inputs; at += WARP) {
        float weights[OUTPUTS];
#pragma unroll
        for (int j = 0; j < OUTPUTS; j++) weights[j] = columns[j][at];
#pragma unroll
        for (int i = 0; i < IMAGES; i++) {
            float value = rows[i][at];
#pragma unroll
            for (int j = 0; j < OUTPUTS; j++) sums[i][j] += value * weights[j];
        }
    }
    // Each lane keeps one of them.
    float own = 0.0f;
#pragma unroll
    for (int i = 0; i < IMAGES; i++) {
#pragma unroll
        for (int j = 0; j < OUTPUTS; j++) {
            float sum = warp_sum(sums[i][j]);
            if (lane == i * OUTPUTS + j) own = sum;
        }
    }
    image += lane / OUTPUTS;
    output += lane % OUTPUTS;
    if (lane >= IMAGES * OUTPUTS || image >= batch || output >= outputs) return;
    out[static_cast<long long>(image) * outputs + output] = activate(own + bias[output], slope);
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
