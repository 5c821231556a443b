// Convolution in groups of channels that see nothing of each other, for any shape: what cuDNN is held against, and what
// runs where it is missing. The weight is [out_channels][kernel][kernel][in_channels / groups].

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
#pragma unroll
    for (int i = 0; i < EIGHT; i++) sum.at[i] = activate(sum.at[i], slope);
    sum.store(out + at);
}
