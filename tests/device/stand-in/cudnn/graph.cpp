// From a graph's descriptors to a program.
#include "descriptor.hpp"

namespace {

constexpr int GRAPH_OPERATIONS = 801;

Tensor tensor_of(const Descriptor& own) {
    if (own.kind != TENSOR) throw Refusal(BAD_PARAM, "an operation on what is no tensor");
    Tensor tensor;
    auto dims = own.all<int64_t>(902), strides = own.all<int64_t>(903);
    if (dims.size() != 4 || strides.size() != 4) throw Refusal(BAD_PARAM, "a tensor that has not rank 4");
    std::copy(dims.begin(), dims.end(), tensor.dims.begin());
    std::copy(strides.begin(), strides.end(), tensor.strides.begin());
    tensor.type = static_cast<Type>(own.one<int>(901));
    tensor.id = own.one<int64_t>(906);
    tensor.is_virtual = own.has(907) && own.one<char>(907);
    return tensor;
}

Convolution convolution_of(const Descriptor& own) {
    // Cross-correlation in f32, with as much padding behind as before.
    bool known = own.one<int>(100) == 0 && own.one<int>(101) == 1 && own.one<int64_t>(106) == 2;
    auto before = own.all<int64_t>(105), behind = own.all<int64_t>(104), stride = own.all<int64_t>(103);
    if (!known || before != behind || own.all<int64_t>(102) != std::vector<int64_t>{1, 1}) {
        throw Refusal(NOT_SUPPORTED, "the stand-in does not know this convolution");
    }
    return {{before[0], before[1]}, {stride[0], stride[1]}};
}

struct Reader {
    Program program;
    std::map<const Descriptor*, int> places;

    int place(const Descriptor& operation, int name) {
        const Descriptor* tensor = operation.other(name).get();
        auto known = places.find(tensor);
        if (known != places.end()) return known->second;
        program.tensors.push_back(tensor_of(*tensor));
        return places[tensor] = static_cast<int>(program.tensors.size()) - 1;
    }

    void convolution(const Descriptor& own, Operation::Kind kind, int descriptor, std::vector<int> names) {
        Operation operation{kind, {}, convolution_of(*own.other(descriptor)), {}, 0};
        for (int name : names) operation.places.push_back(place(own, name));
        program.operations.push_back(operation);
    }

    void pointwise(const Descriptor& own) {
        const Descriptor& how = *own.other(750);
        Operation operation{Operation::POINTWISE, {place(own, 751)}, {}, static_cast<Mode>(how.one<int>(0)), 0};
        if (how.has(5)) operation.slope = how.one<double>(5);
        if (operation.mode == Mode::RELU_BACKWARD) {
            operation.places.insert(operation.places.end(), {place(own, 757), place(own, 756)});
        } else {
            if (own.has(752)) operation.places.push_back(place(own, 752));
            operation.places.push_back(place(own, 753));
        }
        program.operations.push_back(operation);
    }

    void read(const Descriptor& own) {
        switch (own.kind) {
            case FORWARD_OPERATION: return convolution(own, Operation::FORWARD, 702, {704, 703, 705});
            case DATA_OPERATION: return convolution(own, Operation::INPUT_GRADIENT, 708, {711, 709, 710});
            case FILTER_OPERATION: return convolution(own, Operation::WEIGHT_GRADIENT, 714, {716, 717, 715});
            case POINTWISE_OPERATION: return pointwise(own);
            case REDUCTION_OPERATION:
                program.operations.push_back({Operation::SUM, {place(own, 1610), place(own, 1611)}, {}, {}, 0});
                return;
            case STATISTICS_OPERATION:
                program.operations.push_back(
                    {Operation::STATISTICS, {place(own, 772), place(own, 773), place(own, 774)}, {}, {}, 0});
                return;
            case NORM_OPERATION: {
                Operation operation{Operation::NORM_GRADIENT, {}, {}, {}, 0};
                for (int name : {1624, 1625, 1621, 1622, 1623, 1626, 1627, 1628, 1629, 1630}) {
                    operation.places.push_back(place(own, name));
                }
                program.operations.push_back(operation);
                return;
            }
            default: throw Refusal(NOT_SUPPORTED, "the stand-in does not know operation " + std::to_string(own.kind));
        }
    }
};

}  // namespace

Program program_of(const Descriptor& graph) {
    Reader reader;
    for (auto& operation : graph.attribute(GRAPH_OPERATIONS).others) reader.read(*operation);
    if (reader.program.operations.empty()) throw Refusal(BAD_PARAM, "a graph of nothing");
    return reader.program;
}
