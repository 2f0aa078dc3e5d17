#include "common/nn/kernels/isa_tables.h"
// The order matters: the vectors of this instruction set, then what is written with them.
// clang-format off
#include "common/nn/kernels/simd_avx512.h"
#include "common/nn/kernels/vector_math.h"
#include "common/nn/kernels/bfloat16_rows.h"
#include "common/nn/kernels/gemm_kernel.h"
#include "common/nn/kernels/int8_kernel.h"
#include "common/nn/kernels/row_kernels.h"
// clang-format on

namespace mellow::nn::kernels {

const KernelTable kAvx512Bf16Kernels = {
    .isa = Isa::kAvx512Bf16,
    .name = "avx512_bf16",
    .panel_width = kPanelWidth,
    .tile_rows = kTileRows,
    .bfloat16_pairs = true,
    .gemm = Gemm,
    .quantize_row = QuantizeRow,
    .round_row = RoundRowToPairs,
    .gemm_rows = GemmRows,
    .rms_norm = RmsNorm,
    .layer_norm = LayerNorm,
    .softmax = Softmax,
    .log_sum_exp = LogSumExp,
    .activate = Activate,
    .activate_gated = ActivateGated,
    .add = AddTo,
    .multiply = MultiplyBy,
    .scale = Scale,
    .rms_norm_backward = RmsNormBackward,
    .softmax_backward = SoftmaxBackward,
    .activate_backward = ActivateBackward,
    .activate_gated_backward = ActivateGatedBackward,
    .probabilities = Probabilities,
};

}  // namespace mellow::nn::kernels
