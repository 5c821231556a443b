// The shortcut without parameters: every so many pixels, and zeros for further channels. subsample.rs defines it.

// [batch, height, width, channels] to [batch, height / stride, width / stride, out_channels], sides rounded up.
KERNEL(subsample, const T* input, T* out, int batch, int height, int width, int channels, int stride,
       int out_channels) {
    int groups = out_channels / EIGHT, out_height = (height + stride - 1) / stride;
    int out_width = (width + stride - 1) / stride, index = thread_index();
    if (index >= batch * out_height * out_width * groups) return;
    int channel = index % groups * EIGHT, pixel = index / groups;
    int x = pixel % out_width * stride, y = pixel / out_width % out_height * stride;
    long long image = pixel / out_width / out_height;
    Eight value = Eight::filled(0.0f);
    if (channel < channels) value = Eight::load(input + ((image * height + y) * width + x) * channels + channel);
    value.store(out + static_cast<long long>(index) * EIGHT);
}

KERNEL(subsample_gradient, const T* gradient, T* out, int batch, int height, int width, int channels, int stride,
       int out_channels) {
    int groups = channels / EIGHT, out_height = (height + stride - 1) / stride;
    int out_width = (width + stride - 1) / stride, index = thread_index();
    if (index >= batch * height * width * groups) return;
    int channel = index % groups * EIGHT, pixel = index / groups;
    int x = pixel % width, y = pixel / width % height;
    long long image = pixel / width / height;
    Eight value = Eight::filled(0.0f);
    if (x % stride == 0 && y % stride == 0) {
        long long from = (image * out_height + y / stride) * out_width + x / stride;
        value = Eight::load(gradient + from * out_channels + channel);
    }
    value.store(out + static_cast<long long>(index) * EIGHT);
}
