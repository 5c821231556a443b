//! Names and codes of cuDNN's backend API, each attribute with the type of its values, so that a wrong one does not
//! compile. The numbers are those of `cudnn_graph.h` of cuDNN 9.19, and never change: they are its ABI.

use std::ffi::c_int;
use std::marker::PhantomData;

use super::library::Raw;

/// What an attribute holds.
///
/// # Safety
/// `TYPE` is the `cudnnBackendAttributeType_t` whose values are laid out as `Self`, and all bytes zero are a value.
pub(super) unsafe trait Element: Copy {
    const TYPE: c_int;
}

macro_rules! elements {
    ($($type:ty = $code:literal),* $(,)?) => {
        $(
            // SAFETY: the header documents this type for this code; it is made of integers, floats or pointers.
            unsafe impl Element for $type {
                const TYPE: c_int = $code;
            }
        )*
    };
}

/// C's `bool`.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Flag(pub u8);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident { $($value:ident = $code:literal),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
            #[repr(transparent)]
            pub struct $name(pub(super) c_int);
            impl $name {
                $(pub const $value: Self = Self($code);)*
            }
        )*
    };
}

codes! {
    /// `cudnnDataType_t`
    DataType { F32 = 0, F16 = 2, BF16 = 9 }
    /// `cudnnPointwiseMode_t`
    PointwiseMode { ADD = 0, MUL = 1, SUB = 9, IDENTITY = 21, RELU = 100, SIGMOID = 102, SWISH = 106, RELU_BACKWARD = 200 }
    /// `cudnnBackendHeurMode_t`
    HeuristicMode { FALLBACK = 2, A = 3 }
    /// `cudnnBackendNumericalNote_t`
    NumericalNote { TENSOR_CORE = 0, NONDETERMINISTIC = 4, WINOGRAD = 5 }
    /// `cudnnBackendBehaviorNote_t`
    BehaviorNote { RUNTIME_COMPILATION = 0 }
    /// `cudnnConvolutionMode_t`
    ConvolutionMode { CROSS_CORRELATION = 1 }
    /// `cudnnGenStatsMode_t`
    StatisticsMode { SUM_AND_SQUARES = 0 }
    /// `cudnnReduceTensorOp_t`
    ReductionMode { ADD = 0 }
    /// `cudnnBackendKnobType_t`, whatever it is: passed on.
    KnobType {}
}

elements! {
    DataType = 1,
    Flag = 2,
    i64 = 3,
    f32 = 4,
    f64 = 5,
    ConvolutionMode = 7,
    HeuristicMode = 8,
    KnobType = 9,
    NumericalNote = 11,
    PointwiseMode = 14,
    StatisticsMode = 16,
    ReductionMode = 18,
    BehaviorNote = 19,
    u8 = 24,
}

/// A handle as an attribute's value.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct HandleValue(pub Raw);

/// A descriptor as an attribute's value.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct DescriptorValue(pub Raw);

/// A device address as an attribute's value.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct DeviceAddress(pub u64);

elements! {
    HandleValue = 0,
    DeviceAddress = 6,
    DescriptorValue = 15,
}

/// A name whose values are of type `T`.
pub(super) struct Attribute<T> {
    pub code: c_int,
    values: PhantomData<T>,
}

const fn is<T>(code: c_int) -> Attribute<T> {
    Attribute { code, values: PhantomData }
}

macro_rules! attributes {
    ($($name:ident: $type:ty = $code:literal;)*) => {
        $(pub(super) const $name: Attribute<$type> = is($code);)*
    };
}

attributes! {
    POINTWISE_MODE: PointwiseMode = 0;
    POINTWISE_PRECISION: DataType = 1;
    POINTWISE_RELU_SLOPE: f64 = 5;
    CONVOLUTION_PRECISION: DataType = 100;
    CONVOLUTION_MODE: ConvolutionMode = 101;
    CONVOLUTION_DILATIONS: i64 = 102;
    CONVOLUTION_STRIDES: i64 = 103;
    CONVOLUTION_POST_PADDINGS: i64 = 104;
    CONVOLUTION_PRE_PADDINGS: i64 = 105;
    CONVOLUTION_SPATIAL_DIMS: i64 = 106;
    HEURISTIC_MODE: HeuristicMode = 200;
    HEURISTIC_GRAPH: DescriptorValue = 201;
    HEURISTIC_RESULTS: DescriptorValue = 202;
    HEURISTIC_DEVICE: DescriptorValue = 204;
    CONFIG_ENGINE: DescriptorValue = 300;
    CONFIG_KNOBS: DescriptorValue = 302;
    PLAN_HANDLE: HandleValue = 400;
    PLAN_CONFIG: DescriptorValue = 401;
    PLAN_WORKSPACE: i64 = 402;
    PLAN_JSON: u8 = 405;
    PLAN_DEVICE: DescriptorValue = 407;
    KNOB_TYPE: KnobType = 600;
    KNOB_VALUE: i64 = 601;
    FORWARD_ALPHA: f32 = 700;
    FORWARD_BETA: f32 = 701;
    FORWARD_CONVOLUTION: DescriptorValue = 702;
    FORWARD_W: DescriptorValue = 703;
    FORWARD_X: DescriptorValue = 704;
    FORWARD_Y: DescriptorValue = 705;
    DATA_ALPHA: f32 = 706;
    DATA_BETA: f32 = 707;
    DATA_CONVOLUTION: DescriptorValue = 708;
    DATA_W: DescriptorValue = 709;
    DATA_DX: DescriptorValue = 710;
    DATA_DY: DescriptorValue = 711;
    FILTER_ALPHA: f32 = 712;
    FILTER_BETA: f32 = 713;
    FILTER_CONVOLUTION: DescriptorValue = 714;
    FILTER_DW: DescriptorValue = 715;
    FILTER_X: DescriptorValue = 716;
    FILTER_DY: DescriptorValue = 717;
    POINTWISE: DescriptorValue = 750;
    POINTWISE_X: DescriptorValue = 751;
    POINTWISE_B: DescriptorValue = 752;
    POINTWISE_Y: DescriptorValue = 753;
    POINTWISE_DX: DescriptorValue = 756;
    POINTWISE_DY: DescriptorValue = 757;
    STATISTICS_MODE: StatisticsMode = 770;
    STATISTICS_PRECISION: DataType = 771;
    STATISTICS_X: DescriptorValue = 772;
    STATISTICS_SUM: DescriptorValue = 773;
    STATISTICS_SQUARES: DescriptorValue = 774;
    GRAPH_HANDLE: HandleValue = 800;
    GRAPH_OPERATIONS: DescriptorValue = 801;
    TENSOR_ALIGNMENT: i64 = 900;
    TENSOR_DATA_TYPE: DataType = 901;
    TENSOR_DIMENSIONS: i64 = 902;
    TENSOR_STRIDES: i64 = 903;
    TENSOR_ID: i64 = 906;
    TENSOR_IS_VIRTUAL: Flag = 907;
    PACK_IDS: i64 = 1000;
    PACK_ADDRESSES: DeviceAddress = 1001;
    PACK_WORKSPACE: DeviceAddress = 1003;
    ENGINE_GRAPH: DescriptorValue = 1300;
    ENGINE_INDEX: i64 = 1301;
    ENGINE_NUMERICAL_NOTES: NumericalNote = 1303;
    ENGINE_BEHAVIOR_NOTES: BehaviorNote = 1305;
    ENGINE_DEVICE: DescriptorValue = 1307;
    REDUCTION_MODE: ReductionMode = 1600;
    REDUCTION_PRECISION: DataType = 1601;
    REDUCTION_X: DescriptorValue = 1610;
    REDUCTION_Y: DescriptorValue = 1611;
    REDUCTION: DescriptorValue = 1612;
    NORM_PRECISION: DataType = 1620;
    NORM_MEAN: DescriptorValue = 1621;
    NORM_INVERSE: DescriptorValue = 1622;
    NORM_WEIGHT: DescriptorValue = 1623;
    NORM_X: DescriptorValue = 1624;
    NORM_DY: DescriptorValue = 1625;
    NORM_WEIGHT_GRADIENT: DescriptorValue = 1626;
    NORM_BIAS_GRADIENT: DescriptorValue = 1627;
    NORM_DY_FACTOR: DescriptorValue = 1628;
    NORM_X_FACTOR: DescriptorValue = 1629;
    NORM_OFFSET: DescriptorValue = 1630;
    DEVICE_JSON: u8 = 2702;
}

/// `cudnnBackendDescriptorType_t`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Kind {
    Pointwise = 0,
    Convolution = 1,
    Engine = 2,
    EngineConfig = 3,
    Heuristic = 4,
    Plan = 5,
    KnobChoice = 7,
    ForwardOperation = 10,
    FilterOperation = 11,
    DataOperation = 12,
    PointwiseOperation = 13,
    StatisticsOperation = 14,
    Graph = 15,
    VariantPack = 16,
    Tensor = 17,
    Reduction = 21,
    ReductionOperation = 22,
    NormOperation = 23,
    DeviceProperties = 38,
}
