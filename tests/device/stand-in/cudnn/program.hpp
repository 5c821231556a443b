// An operation graph of cuDNN's as the stand-in computes it: on the processor, in f32, one operation after the other.
#pragma once

#include <array>
#include <cstdint>
#include <iosfwd>
#include <map>
#include <string>
#include <vector>

// cudnnDataType_t
enum class Type { F32 = 0, F16 = 2, BF16 = 9 };

// cudnnPointwiseMode_t
enum class Mode { ADD = 0, MUL = 1, SUB = 9, IDENTITY = 21, RELU = 100, SIGMOID = 102, SWISH = 106, RELU_BACKWARD = 200 };

// Batch, channels, height, width, as cuDNN counts them.
using Sizes = std::array<int64_t, 4>;

struct Tensor {
    Sizes dims{}, strides{};
    Type type = Type::F32;
    // Its name in a variant pack; what is virtual lives within the program alone.
    int64_t id = 0;
    bool is_virtual = false;

    size_t elements() const { return dims[0] * dims[1] * dims[2] * dims[3]; }
    size_t bytes() const { return elements() * (type == Type::F32 ? 4 : 2); }
};

struct Convolution {
    std::array<int64_t, 2> padding{}, stride{};
};

// The places are those of its tensors among the program's: what it reads, then what it writes.
struct Operation {
    enum Kind { FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT, POINTWISE, SUM, STATISTICS, NORM_GRADIENT } kind;
    std::vector<int> places;
    Convolution convolution;
    Mode mode = Mode::IDENTITY;
    double slope = 0;
    // What sums are multiplied by.
    float factor = 1;
};

struct Program {
    std::vector<Tensor> tensors;
    std::vector<Operation> operations;

    // Computes on what lies at the addresses, by the tensors' ids.
    void run(const std::map<int64_t, char*>& addresses) const;

    std::string text() const;
    // Throws where the text is no program's.
    static Program of(const std::string& text);
};

// The same with one thing that is subtly wrong: a slope is ignored, else what is added last is left out, else sums are off
// by a factor, else the filter is shifted by a column. With `sums_first` it is sums wherever there are any.
Program flawed(const Program& program, bool sums_first);
