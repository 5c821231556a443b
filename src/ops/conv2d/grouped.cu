// Convolution in groups of channels that see nothing of each other, and its gradients, for any shape: what cuDNN is held
// against, and what runs where it is missing. The weight is [out_channels][kernel][kernel][in_channels / groups].

// out = activation(conv(input) + bias + residual); bias and residual may be missing. A thread makes eight channels of a
// pixel.
KERNEL(conv2d_grouped, const T* input, const T* weight, const float* bias, const T* residual, float slope, T* out,
       int batch, int height, int width, int in_channels, int out_height, int out_width, int out_channels, int kernel,
       int stride, int padding, int groups) {
    int eights = out_channels / EIGHT, index = thread_index();
    if (index >= batch * out_height * out_width * eights) return;
    int channel = index % eights * EIGHT, pixel = index / eights;
    int left = pixel % out_width * stride - padding, top = pixel / out_width % out_height * stride - padding;
    long long image = pixel / out_width / out_height;
    int inputs = in_channels / groups, outputs = out_channels / groups, taps = kernel * kernel;
    Eight sum = bias ? Eight::load(bias + channel) : Eight::filled(0.0f);
    for (int tap = 0; tap < taps; tap++) {
        int x = left + tap % kernel, y = top + tap / kernel;
        if (x < 0 || x >= width || y < 0 || y >= height) continue;
        const T* from = input + ((image * height + y) * width + x) * in_channels;
#pragma unroll
        for (int i = 0; i < EIGHT; i++) {
            const T* own = from + (channel + i) / outputs * inputs;
            const T* filter = weight + (static_cast<long long>(channel + i) * taps + tap) * inputs;
            for (int at = 0; at < inputs; at++) sum.at[i] += to_float(own[at]) * to_float(filter[at]);
        }
    }
    long long at = static_cast<long long>(index) * EIGHT;
    if (residual) sum.add(Eight::load(residual + at));
    sum.activate(slope);
    sum.store(out + at);
}

// out = the input's gradient + add, which may be missing and may be `out`. A thread makes eight channels of a pixel.
KERNEL(conv2d_grouped_input_gradient, const T* gradient, const T* weight, const T* add, T* out, int batch, int height,
       int width, int in_channels, int out_height, int out_width, int out_channels, int kernel, int stride, int padding,
       int groups) {
    int eights = in_channels / EIGHT, index = thread_index();
    if (index >= batch * height * width * eights) return;
    int channel = index % eights * EIGHT, pixel = index / eights;
    int x = pixel % width + padding, y = pixel / width % height + padding;
    long long image = pixel / width / height;
    int inputs = in_channels / groups, outputs = out_channels / groups, taps = kernel * kernel;
    Eight sum = Eight::filled(0.0f);
    for (int tap = 0; tap < taps; tap++) {
        // The output that read this pixel by this tap, if one did.
        int column = x - tap % kernel, line = y - tap / kernel;
        if (column < 0 || line < 0 || column % stride != 0 || line % stride != 0) continue;
        column /= stride;
        line /= stride;
        if (column >= out_width || line >= out_height) continue;
        const T* from = gradient + ((image * out_height + line) * out_width + column) * out_channels;
#pragma unroll
        for (int i = 0; i < EIGHT; i++) {
            int first = (channel + i) / inputs * outputs, own = (channel + i) % inputs;
            for (int at = first; at < first + outputs; at++) {
                float factor = to_float(weight[(static_cast<long long>(at) * taps + tap) * inputs + own]);
                sum.at[i] += to_float(from[at]) * factor;
            }
        }
    }
    long long at = static_cast<long long>(index) * EIGHT;
    if (add) sum.add(Eight::load(add + at));
    sum.store(out + at);
}

// Adds the weight's gradient to `out`, in f32 and laid out as the weight. A block sums for a tap of an output channel; its
// threads take the inputs of the group, and the pixels in turn. Grid: output channels times taps.
KERNEL(conv2d_grouped_weight_gradient, const T* input, const T* gradient, float* out, int batch, int height, int width,
       int in_channels, int out_height, int out_width, int out_channels, int kernel, int stride, int padding,
       int groups) {
    int inputs = in_channels / groups, outputs = out_channels / groups, taps = kernel * kernel;
    int tap = blockIdx.x % taps, channel = blockIdx.x / taps, pixels = batch * out_height * out_width;
    int lanes = inputs < BLOCK ? inputs : BLOCK, rows = BLOCK / lanes;
    int lane = threadIdx.x % lanes, row = threadIdx.x / lanes;
    __shared__ float shared[BLOCK];
    for (int first = 0; first < inputs; first += lanes) {
        float sum = 0.0f;
        if (row < rows && first + lane < inputs) {
            for (int pixel = row; pixel < pixels; pixel += rows) {
                int x = pixel % out_width * stride + tap % kernel - padding;
                int y = pixel / out_width % out_height * stride + tap / kernel - padding;
                if (x < 0 || x >= width || y < 0 || y >= height) continue;
                long long place = (static_cast<long long>(pixel / out_width / out_height) * height + y) * width + x;
                float value = to_float(input[place * in_channels + channel / outputs * inputs + first + lane]);
                sum += value * to_float(gradient[static_cast<long long>(pixel) * out_channels + channel]);
            }
        }
        shared[threadIdx.x] = sum;
        __syncthreads();
        if (row == 0 && first + lane < inputs) {
            for (int other = 1; other < rows; other++) sum += shared[other * lanes + lane];
            out[(static_cast<long long>(channel) * taps + tap) * inputs + first + lane] += sum;
        }
        __syncthreads();
    }
}
