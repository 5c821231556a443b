// Descriptors of cuDNN's backend API, as the stand-in keeps them. Numbers are those of cudnn_graph.h, as in
// src/ops/cudnn/attribute.rs.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "program.hpp"

// cudnnStatus_t
using Status = int;
constexpr Status SUCCESS = 0, BAD_PARAM = 2000, NOT_INITIALIZED_DESCRIPTOR = 2003, NOT_SUPPORTED = 3000,
                 EXECUTION_FAILED = 5000;

// cudnnBackendDescriptorType_t
enum Kind {
    POINTWISE = 0, CONVOLUTION = 1, ENGINE = 2, ENGINE_CONFIG = 3, HEURISTIC = 4, PLAN = 5, KNOB_CHOICE = 7,
    FORWARD_OPERATION = 10, FILTER_OPERATION = 11, DATA_OPERATION = 12, POINTWISE_OPERATION = 13,
    STATISTICS_OPERATION = 14, GRAPH = 15, VARIANT_PACK = 16, TENSOR = 17, REDUCTION_OPERATION = 22,
    NORM_OPERATION = 23,
};

// cudnnBackendAttributeType_t of descriptors.
constexpr int DESCRIPTOR = 15;

struct Descriptor;
using Shared = std::shared_ptr<Descriptor>;

// What an attribute was set to.
struct Attribute {
    int type = 0;
    int64_t count = 0;
    std::vector<char> bytes;
    // In place of the bytes, where it refers to others.
    std::vector<Shared> others;
};

struct Refusal : std::runtime_error {
    Status status;
    Refusal(Status status, const std::string& why) : std::runtime_error(why), status(status) {}
};

struct Descriptor {
    Kind kind;
    bool is_final = false;
    std::map<int, Attribute> attributes;
    // Of a graph and of a plan.
    std::shared_ptr<const Program> program;

    bool has(int name) const { return attributes.count(name); }

    const Attribute& attribute(int name) const {
        auto found = attributes.find(name);
        if (found == attributes.end()) {
            throw Refusal(BAD_PARAM, "descriptor " + std::to_string(kind) + " lacks attribute " + std::to_string(name));
        }
        return found->second;
    }

    template <typename T>
    std::vector<T> all(int name) const {
        auto& own = attribute(name);
        std::vector<T> values(own.bytes.size() / sizeof(T));
        std::memcpy(values.data(), own.bytes.data(), own.bytes.size());
        return values;
    }

    template <typename T>
    T one(int name) const {
        auto values = all<T>(name);
        if (values.size() != 1) throw Refusal(BAD_PARAM, "attribute " + std::to_string(name) + " is no single value");
        return values[0];
    }

    const Shared& other(int name) const {
        auto& own = attribute(name);
        if (own.others.size() != 1) throw Refusal(BAD_PARAM, "attribute " + std::to_string(name) + " is no descriptor");
        return own.others[0];
    }

    // Sets what the library itself says of it.
    template <typename T>
    void say(int name, int type, const std::vector<T>& values) {
        auto* start = reinterpret_cast<const char*>(values.data());
        attributes[name] = {type, static_cast<int64_t>(values.size()), {start, start + values.size() * sizeof(T)}, {}};
    }
};

// Whether STAND_IN_CUDNN says so.
bool is_set(const char* what);

// The program of a graph's descriptor.
Program program_of(const Descriptor& graph);

// An engine of the stand-in.
struct EngineFacts {
    int64_t index;
    // Bytes of scratch memory, all of which it writes.
    int64_t workspace;
    // Whether its plan can be made, and whether it then runs.
    bool can_be_planned, can_run;
    // Whether it computes something a little different.
    bool is_wrong = false;
};

// cuDNN's ranking (A, 3) and its further ones (FALLBACK, 2).
std::vector<EngineFacts> engines(int mode);

// The engine of that number; refuses where there is none.
EngineFacts engine(int64_t index);
