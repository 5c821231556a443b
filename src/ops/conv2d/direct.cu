// Convolution on the CUDA cores, for any shape: what cuDNN is held against, and what runs where it is missing. The
// weight is [out_channels][kernel][kernel][in_channels]. Grids: rows by columns of the product, in tiles of 64.

// out = activation(conv(input) + bias + residual); bias and residual may be missing.
KERNEL(conv2d, const T* input, const T* weight, const float* bias, const T* residual, float slope, T* out, int batch,
       int height, int width, int in_channels, int out_height, int out_width, int out_channels, int kernel, int stride,
       int padding) {
    int pixels = batch * out_height * out_width, depth = kernel * kernel * in_channels;
    Sums sums = product<true, true>(
        depth,
        [=](int pixel, int k) {
            if (pixel >= pixels) return 0.0f;
            int channel = k % in_channels, tap = k / in_channels;
            int x = pixel % out_width * stride + tap % kernel - padding;
            int y = pixel / out_width % out_height * stride + tap / kernel - padding;
            if (x < 0 || x >= width || y < 0 || y >= height) return 0.0f;
            long long image = pixel / out_width / out_height;
            return to_float(input[((image * height + y) * width + x) * in_channels + channel]);
        },
        [=](int k, int channel) {
            return channel < out_channels ? to_float(weight[static_cast<long long>(channel) * depth + k]) : 0.0f;
        });
    for (int i = 0; i < OWN; i++) {
        for (int j = 0; j < OWN; j++) {
            int pixel = Sums::row(i), channel = Sums::column(j);
            if (pixel >= pixels || channel >= out_channels) continue;
            long long at = static_cast<long long>(pixel) * out_channels + channel;
            float sum = sums.at[i][j];
            if (bias) sum += bias[channel];
            if (residual) sum += to_float(residual[at]);
            from_float(activate(sum, slope), out[at]);
        }
    }
}

// out = the input's gradient + add, which may be missing and may be `out`.
KERNEL(conv2d_input_gradient, const T* gradient, const T* weight, const T* add, T* out, int batch, int height,
       int width, int in_channels, int out_height, int out_width, int out_channels, int kernel, int stride,
       int padding) {
    int pixels = batch * height * width, taps = kernel * kernel;
    Sums sums = product<true, false>(
        taps * out_channels,
        [=](int pixel, int k) {
            if (pixel >= pixels) return 0.0f;
            int channel = k % out_channels, tap = k / out_channels;
            // The output that read this pixel by this tap, if one did.
            int x = pixel % width + padding - tap % kernel, y = pixel / width % height + padding - tap / kernel;
            if (x < 0 || y < 0 || x % stride != 0 || y % stride != 0) return 0.0f;
            x /= stride;
            y /= stride;
            if (x >= out_width || y >= out_height) return 0.0f;
            long long image = pixel / width / height;
            return to_float(gradient[((image * out_height + y) * out_width + x) * out_channels + channel]);
        },
        [=](int k, int channel) {
            if (channel >= in_channels) return 0.0f;
            long long row = static_cast<long long>(k % out_channels) * taps + k / out_channels;
            return to_float(weight[row * in_channels + channel]);
        });
    for (int i = 0; i < OWN; i++) {
        for (int j = 0; j < OWN; j++) {
            int pixel = Sums::row(i), channel = Sums::column(j);
            if (pixel >= pixels || channel >= in_channels) continue;
            long long at = static_cast<long long>(pixel) * in_channels + channel;
            from_float(sums.at[i][j] + (add ? to_float(add[at]) : 0.0f), out[at]);
        }
    }
}

// Adds the weight's gradient to `out`, in f32 and laid out as the weight.
KERNEL(conv2d_weight_gradient, const T* input, const T* gradient, float* out, int batch, int height, int width,
       int in_channels, int out_height, int out_width, int out_channels, int kernel, int stride, int padding) {
    int depth = kernel * kernel * in_channels;
    Sums sums = product<false, false>(
        batch * out_height * out_width,
        [=](int channel, int pixel) {
            return channel < out_channels ? to_float(gradient[static_cast<long long>(pixel) * out_channels + channel])
                                          : 0.0f;
        },
        [=](int pixel, int k) {
            if (k >= depth) return 0.0f;
            int channel = k % in_channels, tap = k / in_channels;
            int x = pixel % out_width * stride + tap % kernel - padding;
            int y = pixel / out_width % out_height * stride + tap / kernel - padding;
            if (x < 0 || x >= width || y < 0 || y >= height) return 0.0f;
            long long image = pixel / out_width / out_height;
            return to_float(input[((image * height + y) * width + x) * in_channels + channel]);
        });
    for (int i = 0; i < OWN; i++) {
        for (int j = 0; j < OWN; j++) {
            int channel = Sums::row(i), k = Sums::column(j);
            if (channel < out_channels && k < depth) out[static_cast<long long>(channel) * depth + k] += sums.at[i][j];
        }
    }
}
