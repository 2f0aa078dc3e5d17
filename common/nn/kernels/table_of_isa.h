// All kernels of one instruction set. Included by the kernels_*.cc files only, after their
// simd_*.h.
#ifndef MELLOW_COMMON_NN_KERNELS_TABLE_OF_ISA_H_
#define MELLOW_COMMON_NN_KERNELS_TABLE_OF_ISA_H_

#include "common/nn/kernels/isa_tables.h"
// The order matters: each is written with what stands before it.
// clang-format off
#include "common/nn/kernels/vector_math.h"
#include "common/nn/kernels/bfloat16_rows.h"
#include "common/nn/kernels/tile_output.h"
#include "common/nn/kernels/activation_kernel.h"
#include "common/nn/kernels/pack_kernel.h"
#include "common/nn/kernels/gemm_kernel.h"
#include "common/nn/kernels/int8_kernel.h"
#include "common/nn/kernels/row_kernels.h"
// clang-format on

namespace mellow::nn::kernels {
namespace {

void Gemm(const GemmArgs& args) {
  switch (args.format) {
    case PanelFormat::kFloat32:
      GemmWith<Float32Panel>(args);
      break;
    case PanelFormat::kBFloat16:
#if defined(__AVX512BF16__)
      GemmWith<BFloat16PairPanel>(args);
#else
      GemmWith<BFloat16Panel>(args);
#endif
      break;
    case PanelFormat::kFloat16:
      GemmWith<Float16Panel>(args);
      break;
    case PanelFormat::kInt8:
      GemmInt8(args);
  }
  if (args.activation == nullptr) return;
  for (int r = 0; r < args.rows; ++r) Activate(*args.activation, args.c + r * args.ldc, args.cols);
}

constexpr KernelTable TableOf(Isa isa, const char* name) {
  return {
      .isa = isa,
      .name = name,
      .panel_width = kPanelWidth,
      .tile_rows = kTileRows,
      .rounded_row_multiple = kTileRows,
      .bfloat16_layout = kBFloat16Layout,
      .bfloat16_multiple = kBFloat16Multiple,
      .int8_multiple = kInt8GroupSize,
      .gemm = Gemm,
      .quantize_row = QuantizeRow,
      .round_row = RoundRow,
      .gemm_rows = GemmRows,
      .pack_panel = PackPanel,
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
}

}  // namespace
}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_TABLE_OF_ISA_H_
